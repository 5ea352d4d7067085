package mcp_test

import (
	"fmt"
	"testing"
	"unicode"

	"mcp-oauth2-proxy/routing/mcp"
)

// TestTextOfKnowsEveryCase: a name that is another one but for the case of a
// letter, of whatever alphabet, or for space around it, is in doubt.
func TestTextOfKnowsEveryCase(t *testing.T) {
	for r := '!'; r <= unicode.MaxRune; r++ {
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			for _, name := range []string{string(other), " " + string(other), string(other) + "\u3000"} {
				if _, ok := mcp.TextOf(fmt.Appendf(nil, `{"%s":1,"%c":"x","other":2}`, name, r), string(r)); ok {
					t.Errorf("%q beside %q", name, r)
				}
			}
		}
	}
	if text, ok := mcp.TextOf([]byte(`{"ab":1,"\u0061":"x","b":2}`), "a"); text != "x" || !ok {
		t.Errorf("%q, %v", text, ok)
	}
}
