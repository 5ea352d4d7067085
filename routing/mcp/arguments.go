package mcp

import (
	"bytes"
	"encoding/json"
)

// A Value is one argument of a call, as far as it can be compared.
type Value struct {
	Text   string
	IsText bool
}

// Arguments reads the arguments of a call that Parse has read: an object whose
// keys are there once. What is none has none.
func Arguments(raw []byte) map[string]Value {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	out := make(map[string]Value, len(members))
	for name, v := range members {
		var value Value
		// What is cut or replaced by some parsers is no text to compare.
		if len(v) > 0 && v[0] == '"' && exact(v) {
			value.IsText = json.Unmarshal(v, &value.Text) == nil
		}
		out[name] = value
	}
	return out
}

// exact tells whether every parser reads the same characters in a text: no
// half surrogates, no NUL.
func exact(raw []byte) bool {
	if !bytes.ContainsRune(raw, '\\') {
		return true
	}
	s := scanner{b: raw}
	s.text()
	return s.bad == nil
}
