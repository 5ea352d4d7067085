package mcp

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// skipString steps over a string whose text does not matter here. Half
// surrogates are let through: clients do cut texts in the middle of one.
func (s *scanner) skipString(i int) int {
	for i = s.plain(i + 1); s.at(i) != '"'; {
		if s.at(i) != '\\' {
			return s.fail(CodeParse, "not JSON")
		}
		if _, i = s.escape(i + 1); s.at(i) != '\\' { // many come in rows
			i = s.plain(i)
		}
	}
	return i + 1
}

// each is a byte of one, eight times.
const each = 0x0101010101010101

// plain steps over characters that stand for themselves, up to a quote, a
// backslash or a control character, eight at a time: what is taken from a byte
// that is less borrows its highest bit, and then perhaps others above it, which
// are not looked at. Bytes that have that bit anyway are no such characters.
func (s *scanner) plain(i int) int {
	for ; i+8 <= len(s.b); i += 8 {
		w := binary.LittleEndian.Uint64(s.b[i:])
		quote, backslash, control := (w^'"'*each)-each, (w^'\\'*each)-each, w-' '*each
		if found := (quote | backslash | control) &^ w & (0x80 * each); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(s.b) && s.b[i] >= ' ' && s.b[i] != '"' && s.b[i] != '\\' {
		i++
	}
	return i
}

// escapes are the characters that a backslash makes of others.
var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads what follows a backslash, and returns the character, or half of
// one.
func (s *scanner) escape(i int) (rune, int) {
	c := s.at(i)
	if e := escapes[c]; e != 0 {
		return rune(e), i + 1
	}
	if c == 'u' {
		return s.hex(i + 1)
	}
	return 0, s.fail(CodeParse, "not JSON")
}

func (s *scanner) hex(i int) (rune, int) {
	if len(s.b)-i < 4 {
		return 0, s.fail(CodeParse, "not JSON")
	}
	var r rune
	for _, c := range s.b[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, s.fail(CodeParse, "not JSON")
		}
	}
	return r, i + 4
}

// text reads a key, or another string that a decision depends on, and decodes
// it: it is part of the body unless it has escapes.
func (s *scanner) text(i int) ([]byte, int) {
	start := i + 1
	if i = s.plain(start); s.at(i) == '"' {
		return s.b[start:i:i], i + 1
	}
	return s.decode(start, i)
}

// decode reads on at i, where the first escape is. What some parsers cut or
// replace is refused: NUL ends a string in C, half a surrogate is no character.
func (s *scanner) decode(start, i int) ([]byte, int) {
	out := append([]byte(nil), s.b[start:i]...)
	for s.at(i) != '"' {
		if s.at(i) != '\\' {
			return nil, s.fail(CodeParse, "not JSON")
		}
		var r rune
		if r, i = s.escape(i + 1); utf16.IsSurrogate(r) {
			r, i = s.pair(r, i)
		}
		if r == 0 {
			return nil, s.fail(CodeParse, "a name holds NUL")
		}
		out = utf8.AppendRune(out, r)
		start = i
		i = s.plain(start)
		out = append(out, s.b[start:i]...)
	}
	return out, i + 1
}

func (s *scanner) pair(high rune, i int) (rune, int) {
	if s.at(i) == '\\' {
		low, i := s.escape(i + 1)
		if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
			return r, i
		}
	}
	return 0, s.fail(CodeParse, "a name holds half a surrogate")
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
