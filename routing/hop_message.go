package routing

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// maxMessage is how long a request may be to be written as one: about what a
// connection takes without waiting for its reader, who may itself be waiting for
// us to read its answer.
const maxMessage = 32 << 10

// A message is a request as it is written, head and body.
type message struct{ bytes.Buffer }

var messages = sync.Pool{New: func() any { return new(message) }}

// newMessage spells a request for HTTP/1.1 (RFC 9112 §3), or returns nil if it is
// not for a hop. Whoever gets a message frees it.
func newMessage(req *http.Request) *message {
	body, ok := wholeBody(req)
	host, target := req.Host, req.URL.RequestURI()
	if host == "" {
		host = req.URL.Host
	}
	if !ok || len(body) > maxMessage || !isMethod(req.Method) || !isAuthority(host) || !isTarget(target) || req.Header["Upgrade"] != nil || req.Header["Expect"] != nil {
		return nil
	}
	m := messages.Get().(*message)
	m.Reset()
	m.words(req.Method, " ", target, " HTTP/1.1\r\nHost: ", host, newline)
	if len(body) > 0 || req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch {
		m.words("Content-Length: ", strconv.Itoa(len(body)), newline)
	}
	if !m.header(req.Header) {
		m.free()
		return nil
	}
	m.words(newline)
	_, _ = m.Write(body)
	if m.Len() > maxMessage {
		m.free()
		return nil
	}
	return m
}

// header writes a request's headers but for those that newMessage writes itself,
// and an empty User-Agent, which is how one says to http.Transport that there
// shall be none. It tells whether they are all such as can be written.
func (m *message) header(h http.Header) bool {
	for name, values := range h {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding", "Trailer":
			continue
		case "User-Agent":
			if len(values) == 0 || values[0] == "" {
				continue
			}
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		for _, value := range values {
			if !isLine(value) {
				return false
			}
			m.words(name, ": ", value, newline)
		}
	}
	return true
}

func (m *message) words(words ...string) {
	for _, w := range words {
		_, _ = m.WriteString(w)
	}
}

// free lets another request have the message.
func (m *message) free() {
	if m.Cap() <= 2*maxMessage {
		messages.Put(m)
	}
}

// wholeBody returns the body of a request that has it in memory.
func wholeBody(req *http.Request) ([]byte, bool) {
	if len(req.TransferEncoding) > 0 || req.Trailer != nil {
		return nil, false
	}
	if req.Body == nil || req.Body == http.NoBody {
		return nil, true
	}
	b, ok := req.Body.(*replayed)
	if !ok || int64(len(b.all)) != req.ContentLength {
		return nil, false
	}
	return b.all, true
}

func isMethod(s string) bool { return s != "" && only(s, "-_") }

func isAuthority(s string) bool { return s != "" && only(s, "-_.:[]") }

// only tells whether s has nothing but letters, digits and marks.
func only(s, marks string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}

// isLine tells whether s stays in its line, which is all that a value must be
// asked again: net/http lets no other that HTTP forbids come in.
func isLine(s string) bool {
	return strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, 0) < 0
}

// isTarget tells whether s stays one word of a request line.
func isTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}
