package routing

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"mcp-oauth2-proxy/routing/mcp"
)

// A Reading is what was seen of a request's body.
type Reading struct {
	Calls []Call
	Bytes int64
	// Unread is why calls may have been there that nobody here saw.
	Unread error
}

var errLarge = errors.New("the body is too large to be read here")

// Observe lets Read tell later what a request that nothing was held against
// has called. It changes nothing of what is passed on: a body that is
// large still streams, and one that cannot be believed still passes. A copy of a
// large body is kept, up to the limit of bodies that must be parsed, only if
// whole says so.
func (r *Route) Observe(req *http.Request, whole bool) {
	if req.Body == nil || req.Body == http.NoBody || readSmall(req) != nil {
		return
	}
	switch b := req.Body.(type) {
	case *replayed:
		if b.calls == nil && b.unread == nil {
			b.seen, b.unread = readCalls(req.Header, b.all)
		}
	default:
		o := &observed{ReadCloser: b, unread: readable(req.Header)}
		if whole && o.unread == nil && req.ContentLength <= r.options.MaxBody {
			o.limit = r.options.MaxBody
		}
		req.Body = o
	}
}

// readCalls reads what Authorize would.
func readCalls(h http.Header, body []byte) ([]Call, error) {
	if err := readable(h); err != nil {
		return nil, err
	}
	return mcp.Parse(body)
}

// Read tells what a request called, after Authorize or Observe.
func Read(req *http.Request) Reading {
	switch b := req.Body.(type) {
	case *replayed:
		seen := Reading{Calls: b.calls, Bytes: int64(len(b.all)), Unread: b.unread}
		if seen.Calls == nil {
			seen.Calls = b.seen
		}
		return seen
	case *observed:
		return b.read(req.Header)
	}
	return Reading{}
}

// observed is a body that is copied while it streams.
type observed struct {
	io.ReadCloser
	limit  int64
	unread error

	mu     sync.Mutex // its reader may outlive the request
	copied []byte
	count  int64
}

// Read reads on.
func (o *observed) Read(p []byte) (int, error) {
	n, err := o.ReadCloser.Read(p)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.count += int64(n); o.count <= o.limit {
		o.copied = append(o.copied, p[:n]...)
	} else {
		o.copied = nil
	}
	return n, err
}

func (o *observed) read(h http.Header) Reading {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := Reading{Bytes: o.count, Unread: o.unread}
	switch {
	case o.unread != nil || o.count == 0:
	case o.count > o.limit:
		seen.Unread = errLarge
	default:
		seen.Calls, seen.Unread = readCalls(h, o.copied)
	}
	return seen
}
