package routing

import (
	"bytes"
	"io"
	"net/url"
	"slices"
	"strings"
)

// maxFirst is how long the first event of a stream may be to be looked at.
const maxFirst = 8 << 10

// An opening is an event stream in whose first event the transport of
// 2024-11-05 says where messages are to be posted. The event is held until it
// is complete, which no client notices, and goes on as rewrite makes it; from
// then on, and in every other stream, the bytes pass as they come.
type opening struct {
	io.ReadCloser
	rewrite func(uri string) string

	held  []byte // what has come of the first event
	ready []byte // what may go
	err   error
	done  bool
}

// Read reads on.
func (o *opening) Read(p []byte) (int, error) {
	for len(o.ready) == 0 {
		if o.err != nil {
			return 0, o.err
		}
		if o.done {
			o.ready = nil
			return o.ReadCloser.Read(p)
		}
		var n int
		n, o.err = o.ReadCloser.Read(p)
		o.held = append(o.held, p[:n]...)
		o.look()
	}
	n := copy(p, o.ready)
	o.ready = o.ready[n:]
	return n, nil
}

// look lets go of every event but one that is not complete.
func (o *opening) look() {
	for !o.done {
		end := eventEnd(o.held)
		if end < 0 {
			break
		}
		event, counts := o.event(o.held[:end])
		o.ready = append(o.ready, event...)
		o.held = o.held[end:]
		o.done = counts
	}
	if o.done || o.err != nil || len(o.held) > maxFirst {
		o.ready = append(o.ready, o.held...)
		o.held, o.done = nil, true
	}
}

// event returns an event as it goes on, and whether it is one: comments and
// what has no data are none.
func (o *opening) event(event []byte) (out []byte, counts bool) {
	var kind string
	var from, to, lines int // where the data stands
	for start := 0; start < len(event); {
		end := start + bytes.IndexAny(event[start:], "\r\n")
		name, value, _ := bytes.Cut(event[start:end], []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "data":
			from, to = end-len(value), end
			lines++
		}
		start = end + 1
	}
	if kind != "endpoint" || lines != 1 {
		return event, lines > 0
	}
	return slices.Concat(event[:from], []byte(o.rewrite(string(event[from:to]))), event[to:]), true
}

// eventEnd is where the first event ends: after an empty line, whichever of the
// three ways the lines end.
func eventEnd(b []byte) int {
	start := 0
	for i := 0; i < len(b); i++ {
		if b[i] != '\n' && b[i] != '\r' {
			continue
		}
		empty := i == start
		if b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			i++
		}
		if start = i + 1; empty {
			return start
		}
	}
	return -1
}

// postTo is the address of an endpoint event as the client may use it: at our
// origin, for clients refuse any other, with its session bound to the caller.
func (x *exchange) postTo(uri string) string {
	r := x.route
	if at := strings.Index(uri, "//"); at == 0 || at > 0 && uri[at-1] == ':' && !strings.ContainsAny(uri[:at], "/?#") {
		rest := uri[at+2:]
		path := ""
		if i := strings.IndexAny(rest, "/?#"); i >= 0 {
			path = rest[i:]
		}
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		uri = r.Origin + path
	}
	x.warnUnserved(uri)
	// A session that the client named itself was not minted for it.
	if !r.binds(x.caller) || namesSession(x.req.URL.RawQuery) {
		return uri
	}
	before, query, found := strings.Cut(uri, "?")
	if !found {
		return uri
	}
	query, fragment, _ := strings.Cut(query, "#")
	if fragment != "" {
		fragment = "#" + fragment
	}
	return before + "?" + eachSession(query, func(written, id string) string {
		tag := r.tag(id, x.caller)
		return written + "." + string(tag[:])
	}) + fragment
}

// warnUnserved tells the operator, once, why messages will not arrive.
func (x *exchange) warnUnserved(uri string) {
	at, err := x.req.URL.Parse(uri)
	if err != nil || x.route.Serves(at.EscapedPath()) {
		return
	}
	x.route.unserved.Do(func() {
		x.route.options.Log.WarnContext(x.req.Context(), "the MCP server wants messages at a path that is not passed on; add it to proxy.hosts[].paths",
			"host", x.route.Host, "path", (&url.URL{Path: at.Path}).EscapedPath())
	})
}
