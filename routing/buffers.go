package routing

import (
	"bytes"
	"io"
	"sync"
)

// Buffers carry answers. An event stream lives long and says little, so it does
// not get to keep a large one.
const (
	largeBuffer = 32 << 10
	smallBuffer = 4 << 10
)

type buffers struct{ large, small sync.Pool }

// Get returns a buffer for the answer of this exchange.
func (x *exchange) Get() []byte {
	if x.stream {
		if b, ok := x.route.buffers.small.Get().(*[smallBuffer]byte); ok {
			return b[:]
		}
		return make([]byte, smallBuffer)
	}
	if b, ok := x.route.buffers.large.Get().(*[largeBuffer]byte); ok {
		return b[:]
	}
	return make([]byte, largeBuffer)
}

// Put takes a buffer back.
func (x *exchange) Put(b []byte) {
	switch len(b) {
	case smallBuffer:
		x.route.buffers.small.Put((*[smallBuffer]byte)(b))
	case largeBuffer:
		x.route.buffers.large.Put((*[largeBuffer]byte)(b))
	}
}

// listChanged is how a server says, in its stream, that its tools are others
// now. The words alone are enough: asking once too often does no harm.
var listChanged = []byte("list_changed")

// watched is a stream in which listChanged is looked for.
type watched struct {
	io.ReadCloser
	seen func()
	tail []byte
}

// Read reads on.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n == 0 {
		return n, err
	}
	const most = len("list_changed") - 1         // of it can be in the part before
	joint := append(w.tail, p[:min(n, most)]...) //nolint:gocritic // in the room behind the tail, once it has grown
	if bytes.Contains(p[:n], listChanged) || bytes.Contains(joint, listChanged) {
		w.seen()
	}
	if n > most {
		joint = p[:n]
	}
	w.tail = append(w.tail[:0], joint[max(0, len(joint)-most):]...)
	return n, err
}
