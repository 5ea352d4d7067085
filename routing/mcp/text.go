package mcp

import (
	"unicode/utf16"
	"unicode/utf8"
)

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
	if s.bad != nil {
		return nil
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
