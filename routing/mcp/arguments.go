package mcp

import (
	"bytes"
	"strings"
)

// TextOf returns the text that the arguments of a call have under a name. It
// is ok only if every parser would read just that: the call was read by Parse,
// the argument is a text without what some parsers cut or replace, and no other
// has the same name but for its case, or for space around it.
func TextOf(arguments []byte, name string) (text string, ok bool) {
	s := scanner{b: arguments}
	if s.at(0) != '{' {
		return "", false
	}
	twice := false
	s.object(0, func(key []byte, i int) int {
		if string(key) != name {
			twice = twice || sameLetters(bytes.TrimSpace(key), strings.TrimSpace(name))
			return s.value(i)
		}
		value, end := s.textOrNone(i)
		text, ok = string(value), s.at(i) == '"'
		return end
	})
	if s.bad != nil || twice || !ok {
		return "", false
	}
	return text, true
}
