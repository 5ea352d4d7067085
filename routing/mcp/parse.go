package mcp

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Parse reads a body: one message, or a batch of them. It goes over the bytes
// once, and returns a *BadMessage for whatever two parsers could read
// differently: keys that appear twice or in another case, text that is not
// UTF-8, half surrogates and NUL where names are, numbers no float holds, and
// anything that is not exactly RFC 8259.
func Parse(body []byte) ([]Call, error) {
	s := scanner{b: body}
	if !utf8.Valid(body) {
		s.fail(CodeParse, "not UTF-8")
		return nil, s.bad
	}
	calls := s.document()
	if s.bad != nil {
		return nil, s.bad
	}
	return calls, nil
}

// maxBatch bounds what a batch of empty messages costs.
const maxBatch = 1000

func (s *scanner) document() []Call {
	var calls []Call
	if s.space(); s.peek() == '[' {
		s.array(func() { calls = s.message(calls) })
	} else {
		calls = s.message(nil)
	}
	if s.space(); s.bad == nil && s.i != len(s.b) {
		s.fail(CodeParse, "something follows the message")
	}
	return calls
}

// message reads one and appends it.
func (s *scanner) message(calls []Call) []Call {
	if s.peek() != '{' {
		if s.value(); s.bad == nil {
			s.fail(CodeInvalidRequest, "a message is an object")
		}
		return nil
	}
	var m message
	s.object(func(key []byte) { s.member(&m, key) })
	if s.bad != nil {
		return nil
	}
	call, reason := m.call()
	if len(calls) == maxBatch {
		reason = "too many messages in a batch"
	}
	if reason != "" {
		s.fail(CodeInvalidRequest, reason)
		s.bad.ID = m.id
		return nil
	}
	return append(calls, call)
}

// message is what of a message matters while it is read.
type message struct {
	method, name, uri, task string
	id, arguments           []byte
	odd                     bool // params has a key that is another one but for its case
}

func (s *scanner) member(m *message, key []byte) {
	switch string(key) {
	case "method":
		m.method = s.methodName()
	case "id":
		m.id = s.identifier()
	case "params":
		s.params(m)
	case "jsonrpc", "result", "error":
		s.value()
	default:
		if anyCase(key, "jsonrpc", "method", "id", "params", "result", "error") {
			s.fail(CodeInvalidRequest, "a key is spelled in another case")
			return
		}
		s.value()
	}
}

func (s *scanner) params(m *message) {
	if s.peek() != '{' {
		s.value()
		return
	}
	s.object(func(key []byte) {
		switch string(key) {
		case "name":
			m.name = s.textOrNone()
		case "uri":
			m.uri = s.textOrNone()
		case "taskId":
			m.task = s.textOrNone()
		case "arguments":
			start := s.i
			s.value()
			m.arguments = s.b[start:s.i:s.i]
		case "_meta":
			s.value()
		default:
			m.odd = m.odd || anyCase(key, "name", "uri", "taskid", "arguments", "_meta")
			s.value()
		}
	})
}

func (s *scanner) methodName() string {
	if s.peek() != '"' {
		s.fail(CodeInvalidRequest, "method is not a string")
		return ""
	}
	return s.text()
}

func (s *scanner) textOrNone() string {
	if s.peek() != '"' {
		s.value()
		return ""
	}
	return s.text()
}

// identifier reads an id: a string, a number or null, as it was sent.
func (s *scanner) identifier() []byte {
	start := s.i
	switch c := s.peek(); {
	case c == '"':
		s.text()
	case c == '-' || '0' <= c && c <= '9' || c == 'n':
		s.value()
	default:
		s.fail(CodeInvalidRequest, "id is neither a string nor a number")
	}
	return s.b[start:s.i:s.i]
}

// call says what a message asks for, or why that cannot be said.
func (m *message) call() (c Call, bad string) {
	c = Call{Method: m.method, ID: m.id}
	switch m.method {
	case "tools/call":
		c.Name, c.Tool, c.Arguments = m.name, m.name, m.arguments
		if m.name == "" {
			return c, "tools/call names no tool"
		}
	case "prompts/get":
		c.Name = m.name
	case "resources/read":
		c.Name = m.uri
	case "tasks/get", "tasks/update", "tasks/cancel", "tasks/result":
		c.Name = m.task
	default:
		if anyCase([]byte(strings.TrimSpace(m.method)), "tools/call") {
			return c, "a method is spelled in lower case and without spaces"
		}
		return c, ""
	}
	if m.odd {
		return c, "a key of params is spelled in another case"
	}
	return c, ""
}

// Named tells whether messages of a method have a name that the Mcp-Name header
// mirrors.
func Named(method string) bool {
	switch method {
	case "tools/call", "prompts/get", "resources/read",
		"tasks/get", "tasks/update", "tasks/cancel", "tasks/result":
		return true
	}
	return false
}

// anyCase tells whether a key is one of names in the eyes of a parser that does
// not mind case, in whatever alphabet: the Kelvin sign is a k to some, the long
// s an s, both Turkish i an i.
func anyCase(key []byte, names ...string) bool {
	for _, name := range names {
		if sameLetters(key, name) {
			return true
		}
	}
	return false
}

func sameLetters(key []byte, name string) bool {
	i := 0
	for len(key) > 0 {
		r, n := utf8.DecodeRune(key)
		if i == len(name) || unicode.ToLower(unicode.ToUpper(r)) != rune(name[i]) {
			return false
		}
		key, i = key[n:], i+1
	}
	return i == len(name)
}
