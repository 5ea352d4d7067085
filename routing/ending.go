package routing

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Write writes on.
func (x *exchange) Write(b []byte) (int, error) {
	if x.pulse != nil {
		return x.pulse.Write(b)
	}
	return x.ResponseWriter.Write(b)
}

// FlushError sends what was written.
func (x *exchange) FlushError() error {
	if x.pulse != nil {
		return x.pulse.flush()
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// ending is a stream that ends in order where it is we who end it, and it was
// time.
type ending struct {
	io.ReadCloser
	ctx context.Context //nolint:containedctx // it is the request's, and so is this
}

// Read reads on.
func (e *ending) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if err != nil && e.ctx.Err() != nil && errors.Is(context.Cause(e.ctx), ErrOver) {
		err = io.EOF
	}
	return n, err
}

// unblock lets an answer end with its context even where the client does not
// read it: there is no other limit to how long it may take to be written.
type unblock struct {
	stop func() bool
	mu   sync.Mutex
	done bool
}

// courtesy is how long the last words of a stream may take.
const courtesy = 5 * time.Second

func (u *unblock) begin(x *exchange) {
	ctx, control := x.req.Context(), http.NewResponseController(x.ResponseWriter)
	u.stop = context.AfterFunc(ctx, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.done { // the connection is another request's by now
			return
		}
		deadline := time.Now()
		if errors.Is(context.Cause(ctx), ErrOver) {
			deadline = deadline.Add(courtesy)
		}
		// A writer that knows no deadlines is none of a connection.
		_ = control.SetWriteDeadline(deadline)
	})
}

func (u *unblock) end() {
	if u.stop == nil {
		return
	}
	u.stop()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = true
}

// accepts tells whether an Accept header names a type.
func accepts(values []string, kind string) bool {
	for _, v := range values {
		if strings.Contains(strings.ToLower(v), kind) {
			return true
		}
	}
	return false
}
