package routing

import (
	"net/http"
	"sync"
	"time"
)

// comment is what keeps a stream awake: clients pass over it.
const comment = ":\n\n"

// A pulse writes an event stream, and a comment into it when nothing was
// written for a while: connections that are silent are cut by what lies between
// us and the client. It costs a timer, and no goroutine, while nothing happens.
type pulse struct {
	w     http.ResponseWriter
	every time.Duration // 0: never

	mu    sync.Mutex
	timer *time.Timer
	last  time.Time
	tail  [3]byte // of what was written
	over  bool
}

// WriteHeader begins the stream.
func (p *pulse) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w.WriteHeader(status)
	p.tail, p.last = [3]byte{0, '\n', '\n'}, time.Now() // nothing is in the middle of being said
	if p.every > 0 && p.timer == nil && !p.over {
		p.timer = time.AfterFunc(p.every, p.beat)
	}
}

// Write writes on.
func (p *pulse) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.w.Write(b)
	for _, c := range b[max(0, n-len(p.tail)):n] {
		p.tail = [3]byte{p.tail[1], p.tail[2], c}
	}
	p.last = time.Now()
	return n, err
}

// flush sends what was written.
func (p *pulse) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return http.NewResponseController(p.w).Flush()
}

// beat writes the comment if the stream is silent and between two events.
func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	next := p.every - time.Since(p.last)
	if next <= 0 {
		if p.between() {
			// Who is gone is found out by reading.
			_, _ = p.w.Write([]byte(comment))
			_ = http.NewResponseController(p.w).Flush()
		}
		p.last, next = time.Now(), p.every
	}
	p.timer.Reset(next)
}

// between tells whether an empty line was the last thing written. Lines end
// with CR, LF or both.
func (p *pulse) between() bool {
	a, b, c := p.tail[0], p.tail[1], p.tail[2]
	if b == '\r' && c == '\n' {
		b = a
	}
	return (c == '\n' || c == '\r') && (b == '\n' || b == '\r')
}

// end lets nothing more be written by itself.
func (p *pulse) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
}
