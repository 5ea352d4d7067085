package mcp

import (
	"strings"
	"unicode"
)

// TextOf returns the text that the arguments of a call have under a name. It
// is ok only if every parser would read just that: the call was read by Parse,
// the argument is a text without what some parsers cut or replace, and no other
// has the same name but for its case.
func TextOf(arguments []byte, name string) (text string, ok bool) {
	s := scanner{b: arguments}
	if s.peek() != '{' {
		return "", false
	}
	twice := false
	s.object(func(key []byte) {
		switch {
		case string(key) != name:
			twice = twice || strings.EqualFold(string(key), name) || fold(string(key)) == fold(name)
			s.value()
		case s.peek() == '"':
			text, ok = s.text(), true
		default:
			s.value()
		}
	})
	if s.bad != nil || twice || !ok {
		return "", false
	}
	return text, true
}

// fold takes away what parsers that do not mind case or space do not see.
func fold(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, strings.TrimSpace(s))
}
