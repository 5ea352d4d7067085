package mcp

import "strconv"

// maxDepth bounds the stack. Arguments of tools are nowhere near it, and many
// parsers stop at 64 or 128 themselves.
const maxDepth = 128

// A scanner reads RFC 8259 and nothing more. The first fault stops it: every
// method does nothing once bad is set.
type scanner struct {
	b     []byte
	i     int
	depth int
	bad   *BadMessage
	keys  keyring
}

func (s *scanner) fail(code int, reason string) {
	if s.bad == nil {
		s.bad = &BadMessage{Code: code, Reason: reason}
		s.i = len(s.b) // nothing more to see
	}
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// peek returns 0 at the end, which begins no value.
func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// take steps over one byte that must come, and the space around it.
func (s *scanner) take(c byte) {
	s.space()
	if s.peek() != c {
		s.fail(CodeParse, "not JSON")
		return
	}
	s.i++
	s.space()
}

func (s *scanner) value() {
	switch c := s.peek(); c {
	case '{':
		s.object(func([]byte) { s.value() })
	case '[':
		s.array(s.value)
	case '"':
		s.skipString()
	case 't':
		s.literal("true")
	case 'f':
		s.literal("false")
	case 'n':
		s.literal("null")
	default:
		s.number()
	}
}

func (s *scanner) literal(word string) {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.fail(CodeParse, "not JSON")
		return
	}
	s.i += len(word)
}

// object calls member with each key, decoded; member reads the value.
func (s *scanner) object(member func(key []byte)) {
	s.enter()
	s.take('{')
	mark := s.keys.open()
	for first := true; s.bad == nil && s.peek() != '}'; first = false {
		if !first {
			s.take(',')
		}
		key := s.key()
		s.take(':')
		if s.bad != nil {
			return
		}
		if !s.keys.add(mark, key) {
			s.fail(CodeParse, "a key appears twice in one object, or there are too many")
			return
		}
		member(key)
		s.space()
	}
	s.keys.close(mark)
	s.leave('}')
}

func (s *scanner) array(element func()) {
	s.enter()
	s.take('[')
	for first := true; s.bad == nil && s.peek() != ']'; first = false {
		if !first {
			s.take(',')
		}
		element()
		s.space()
	}
	s.leave(']')
}

func (s *scanner) enter() {
	if s.depth++; s.depth > maxDepth {
		s.fail(CodeParse, "nested too deeply")
	}
}

func (s *scanner) leave(c byte) {
	s.depth--
	if s.peek() != c {
		s.fail(CodeParse, "not JSON")
		return
	}
	s.i++
}

// number reads one, and refuses what a float cannot hold: some parsers read
// infinity there, some refuse, some keep every digit.
func (s *scanner) number() {
	start := s.i
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else {
		s.digits()
	}
	if s.peek() == '.' {
		s.i++
		s.digits()
	}
	exponent := s.peek() == 'e' || s.peek() == 'E'
	if exponent {
		s.i++
		if s.peek() == '+' || s.peek() == '-' {
			s.i++
		}
		s.digits()
	}
	if s.bad != nil || !exponent && s.i-start < 300 {
		return
	}
	if _, err := strconv.ParseFloat(string(s.b[start:s.i]), 64); err != nil {
		s.fail(CodeParse, "a number is out of range")
	}
}

func (s *scanner) digits() {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	if s.i == start {
		s.fail(CodeParse, "not JSON")
	}
}
