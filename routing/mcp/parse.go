package mcp

import (
	"bytes"
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
	message := func(i int) int {
		calls, i = s.message(calls, i)
		return i
	}
	i, c := s.next(0)
	if c == '[' {
		i = s.array(i, message)
	} else {
		i = message(i)
	}
	if i, _ = s.next(i); i != len(s.b) {
		s.fail(CodeParse, "something follows the message")
	}
	return calls
}

// message reads one and appends it.
func (s *scanner) message(calls []Call, i int) ([]Call, int) {
	if s.at(i) != '{' {
		s.value(i)
		return nil, s.fail(CodeInvalidRequest, "a message is an object")
	}
	var m message
	i = s.object(i, func(key []byte, i int) int { return s.member(&m, key, i) })
	if s.bad != nil {
		return nil, i
	}
	call, reason := m.call()
	if len(calls) == maxBatch {
		reason = "too many messages in a batch"
	}
	if reason != "" {
		i = s.fail(CodeInvalidRequest, reason)
		s.bad.ID = m.id
		return nil, i
	}
	return append(calls, call), i
}

// message is what of a message matters while it is read.
type message struct {
	method, name, uri, task []byte
	id, arguments           []byte
	odd                     bool // params has a key that is another one but for its case
}

func (s *scanner) member(m *message, key []byte, i int) (end int) {
	switch string(key) {
	case "method":
		m.method, end = s.methodName(i)
	case "id":
		end = s.identifier(i)
		m.id = s.b[i:end:end]
	case "params":
		end = s.params(m, i)
	case "jsonrpc", "result", "error":
		end = s.value(i)
	default:
		if anyCase(key, "jsonrpc", "method", "id", "params", "result", "error") {
			return s.fail(CodeInvalidRequest, "a key is spelled in another case")
		}
		end = s.value(i)
	}
	return end
}

func (s *scanner) params(m *message, i int) int {
	if s.at(i) != '{' {
		return s.value(i)
	}
	return s.object(i, func(key []byte, i int) (end int) {
		switch string(key) {
		case "name":
			m.name, end = s.textOrNone(i)
		case "uri":
			m.uri, end = s.textOrNone(i)
		case "taskId":
			m.task, end = s.textOrNone(i)
		case "arguments":
			end = s.value(i)
			m.arguments = s.b[i:end:end]
		case "_meta":
			end = s.value(i)
		default:
			m.odd = m.odd || anyCase(key, "name", "uri", "taskid", "arguments", "_meta")
			end = s.value(i)
		}
		return end
	})
}

func (s *scanner) methodName(i int) ([]byte, int) {
	if s.at(i) != '"' {
		return nil, s.fail(CodeInvalidRequest, "method is not a string")
	}
	return s.text(i)
}

func (s *scanner) textOrNone(i int) ([]byte, int) {
	if s.at(i) != '"' {
		return nil, s.value(i)
	}
	return s.text(i)
}

// identifier reads an id: a string, a number or null, as it was sent.
func (s *scanner) identifier(i int) int {
	switch c := s.at(i); {
	case c == '"':
		_, end := s.text(i)
		return end
	case c == '-' || '0' <= c && c <= '9' || c == 'n':
		return s.value(i)
	}
	return s.fail(CodeInvalidRequest, "id is neither a string nor a number")
}

// call says what a message asks for, or why that cannot be said.
func (m *message) call() (c Call, bad string) {
	c = Call{Method: intern(m.method), ID: m.id}
	switch c.Method {
	case "tools/call":
		c.Tool, c.Arguments = string(m.name), m.arguments
		if c.Name = c.Tool; c.Tool == "" {
			return c, "tools/call names no tool"
		}
	case "prompts/get":
		c.Name = string(m.name)
	case "resources/read":
		c.Name = string(m.uri)
	case "tasks/get", "tasks/update", "tasks/cancel", "tasks/result":
		c.Name = string(m.task)
	default:
		if anyCase(bytes.TrimSpace(m.method), "tools/call") {
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

func sameLetters(a []byte, b string) bool {
	for len(a) > 0 && len(b) > 0 {
		r, n := utf8.DecodeRune(a)
		q, m := utf8.DecodeRuneInString(b)
		if lower(r) != lower(q) {
			return false
		}
		a, b = a[n:], b[m:]
	}
	return len(a) == len(b)
}

func lower(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }
