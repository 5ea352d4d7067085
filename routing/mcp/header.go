package mcp

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// Agree compares the Mcp-Method and Mcp-Name headers, where they are sent, with
// the messages of the body. An MCP server may go by either, so one that says
// less than the other is refused.
func Agree(h http.Header, calls []Call) error {
	methods, names := h["Mcp-Method"], h["Mcp-Name"]
	if len(methods) == 0 && len(names) == 0 {
		return nil
	}
	if len(calls) != 1 {
		return mismatch("Mcp headers on a batch", nil)
	}
	c := calls[0]
	if len(methods) > 0 && !says(methods, c.Method) {
		return mismatch("Mcp-Method is not the method of the body", c.ID)
	}
	if len(names) > 0 && Named(c.Method) && !says(names, c.Name) {
		return mismatch("Mcp-Name is not the name in the body", c.ID)
	}
	return nil
}

func mismatch(reason string, id []byte) error {
	return &BadMessage{Code: CodeHeaderMismatch, Reason: reason, ID: id}
}

func says(values []string, want string) bool {
	if len(values) != 1 {
		return false
	}
	got, ok := decodeHeader(values[0])
	return ok && got == want
}

// decodeHeader reads the form that values take which a header cannot carry.
func decodeHeader(v string) (string, bool) {
	inner, ok := strings.CutPrefix(v, "=?base64?")
	if !ok {
		return v, true
	}
	if inner, ok = strings.CutSuffix(inner, "?="); !ok {
		return v, true
	}
	b, err := base64.StdEncoding.Strict().DecodeString(inner)
	return string(b), err == nil
}
