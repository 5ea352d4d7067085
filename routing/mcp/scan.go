package mcp

import "strconv"

// maxDepth bounds the stack. Arguments of tools are nowhere near it, and many
// parsers stop at 64 or 128 themselves.
const maxDepth = 128

// A scanner reads RFC 8259 and nothing more. Its methods are told where
// something begins and return where it ends. After a fault that is the end of
// the body, where no caller finds what it needs to go on; the first one counts.
type scanner struct {
	b     []byte
	depth int
	bad   *BadMessage
	keys  keyring
}

// fail returns the end.
func (s *scanner) fail(code int, reason string) int {
	if s.bad == nil {
		s.bad = &BadMessage{Code: code, Reason: reason}
	}
	return len(s.b)
}

// at returns 0 at the end, which begins no value.
func (s *scanner) at(i int) byte {
	if i < len(s.b) {
		return s.b[i]
	}
	return 0
}

// next returns where space ends, and what is there.
func (s *scanner) next(i int) (int, byte) {
	for ; i < len(s.b); i++ {
		switch c := s.b[i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return i, c
		}
	}
	return i, 0
}

func (s *scanner) value(i int) int {
	switch s.at(i) {
	case '{':
		return s.object(i, nil)
	case '[':
		return s.array(i, nil)
	case '"':
		return s.skipString(i)
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	}
	return s.number(i)
}

func (s *scanner) literal(i int, word string) int {
	if len(s.b)-i < len(word) || string(s.b[i:i+len(word)]) != word {
		return s.fail(CodeParse, "not JSON")
	}
	return i + len(word)
}

// object calls member with each key, decoded, and with where its value begins;
// member reads the value. Without a member the values are stepped over.
func (s *scanner) object(i int, member func(key []byte, i int) int) int {
	if s.depth++; s.depth > maxDepth {
		return s.fail(CodeParse, "nested too deeply")
	}
	names := s.keys.open()
	i, c := s.next(i + 1)
	for first := true; c != '}'; first = false {
		if !first {
			if c != ',' {
				return s.fail(CodeParse, "not JSON")
			}
			i, c = s.next(i + 1)
		}
		if c != '"' {
			return s.fail(CodeParse, "not JSON")
		}
		key, end := s.text(i)
		if i, c = s.next(end); c != ':' {
			return s.fail(CodeParse, "not JSON")
		}
		if !s.keys.add(&names, key) {
			return s.fail(CodeParse, "a key appears twice in one object, or there are too many")
		}
		if i, _ = s.next(i + 1); member == nil {
			i = s.value(i)
		} else {
			i = member(key, i)
		}
		i, c = s.next(i)
	}
	s.keys.close(names)
	s.depth--
	return i + 1
}

// array calls element with where each begins; without one they are stepped over.
func (s *scanner) array(i int, element func(i int) int) int {
	if s.depth++; s.depth > maxDepth {
		return s.fail(CodeParse, "nested too deeply")
	}
	i, c := s.next(i + 1)
	for first := true; c != ']'; first = false {
		if !first {
			if c != ',' {
				return s.fail(CodeParse, "not JSON")
			}
			i, _ = s.next(i + 1)
		}
		if element == nil {
			i = s.value(i)
		} else {
			i = element(i)
		}
		i, c = s.next(i)
	}
	s.depth--
	return i + 1
}

// number reads one, and refuses what a float cannot hold: some parsers read
// infinity there, some refuse, some keep every digit.
func (s *scanner) number(start int) int {
	i := start
	if s.at(i) == '-' {
		i++
	}
	if s.at(i) == '0' {
		i++
	} else {
		i = s.digits(i)
	}
	if s.at(i) == '.' {
		i = s.digits(i + 1)
	}
	exponent := 0 // its digits
	if c := s.at(i); c == 'e' || c == 'E' {
		if i++; s.at(i) == '+' || s.at(i) == '-' {
			i++
		}
		end := s.digits(i)
		i, exponent = end, end-i
	}
	if s.bad != nil || i-start < 200 && exponent <= 2 { // less than 1e300
		return i
	}
	if _, err := strconv.ParseFloat(string(s.b[start:i]), 64); err != nil {
		return s.fail(CodeParse, "a number is out of range")
	}
	return i
}

func (s *scanner) digits(start int) int {
	i := start
	for i < len(s.b) && '0' <= s.b[i] && s.b[i] <= '9' {
		i++
	}
	if i == start {
		return s.fail(CodeParse, "not JSON")
	}
	return i
}
