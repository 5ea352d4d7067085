package mcp

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

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

// skipString steps over a string whose text does not matter here. Half
// surrogates are let through: clients do cut texts in the middle of one.
func (s *scanner) skipString() {
	s.i++
	for s.plain() {
		if s.b[s.i] == '"' {
			s.i++
			return
		}
		s.escape()
	}
}

// plain steps over characters that stand for themselves, up to a quote or a
// backslash.
func (s *scanner) plain() bool {
	for i, c := range s.b[s.i:] {
		if c == '"' || c == '\\' {
			s.i += i
			return true
		}
		if c < ' ' {
			break
		}
	}
	s.fail(CodeParse, "not JSON")
	return false
}

// escape reads one escape sequence and returns the character, or half of one.
func (s *scanner) escape() rune {
	s.i++ // the backslash
	c := s.peek()
	s.i++
	switch c {
	case '"', '\\', '/':
		return rune(c)
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'u':
		return s.hex()
	}
	s.fail(CodeParse, "not JSON")
	return 0
}

func (s *scanner) hex() rune {
	var r rune
	for range 4 {
		switch c := s.peek(); {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			s.fail(CodeParse, "not JSON")
			return 0
		}
		s.i++
	}
	return r
}

// key reads a key, decoded. It is part of the body unless it has escapes.
func (s *scanner) key() []byte {
	if s.peek() != '"' {
		s.fail(CodeParse, "not JSON")
		return nil
	}
	s.i++
	start := s.i
	if s.plain() && s.b[s.i] == '"' {
		s.i++
		return s.b[start : s.i-1 : s.i-1]
	}
	return s.decode(start)
}

// text reads a string that a decision depends on.
func (s *scanner) text() string { return intern(s.key()) }

// decode reads on where the first escape is. What some parsers cut or replace
// is refused: NUL ends a string in C, half a surrogate is no character.
func (s *scanner) decode(start int) []byte {
	out := append([]byte(nil), s.b[start:s.i]...)
	for s.bad == nil && s.b[s.i] == '\\' {
		r := s.escape()
		if utf16.IsSurrogate(r) {
			r = s.pair(r)
		}
		if r == 0 {
			s.fail(CodeParse, "a name holds NUL")
			return nil
		}
		out = utf8.AppendRune(out, r)
		from := s.i
		if !s.plain() {
			return nil
		}
		out = append(out, s.b[from:s.i]...)
	}
	s.i++
	return out
}

func (s *scanner) pair(high rune) rune {
	if s.peek() == '\\' {
		if r := utf16.DecodeRune(high, s.escape()); r != utf8.RuneError {
			return r
		}
	}
	s.fail(CodeParse, "a name holds half a surrogate")
	return utf8.RuneError
}

// intern spares the copy of what most messages say.
func intern(b []byte) string {
	switch string(b) {
	case "tools/call":
		return "tools/call"
	case "tools/list":
		return "tools/list"
	case "initialize":
		return "initialize"
	case "notifications/initialized":
		return "notifications/initialized"
	case "server/discover":
		return "server/discover"
	}
	return string(b)
}
