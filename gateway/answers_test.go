package gateway

import (
	"net/http"
	"testing"
)

// TestS14_errors_in_the_place_of_an_MCP_server_are_never_sniffed: they repeat
// what the client chose, at the origin of the consent page.
func TestS14_errors_in_the_place_of_an_MCP_server_are_never_sniffed(t *testing.T) {
	f := newFixture(t)
	_, got := f.connected(t, "notes:read")
	for name, tc := range map[string]struct {
		body   string
		status int
	}{
		"a tool outside of the scopes":     {`{"jsonrpc":"2.0","id":"<script>","method":"tools/call","params":{"name":"write_note"}}`, http.StatusForbidden},
		"a body with two readings":         {`{"jsonrpc":"2.0","id":"<script>","id":1,"method":"ping"}`, http.StatusBadRequest},
		"a session that is somebody's":     {`{"jsonrpc":"2.0","id":"<script>","method":"ping"}`, http.StatusNotFound},
		"a body that is no message at all": {`<script>`, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.ask(t, http.MethodPost, notes+"/mcp", tc.body, "Content-Type", "application/json", "Accept", "application/json, text/event-stream",
				"Authorization", "Bearer "+got.access, "Mcp-Session-Id", "not-mine")
			if a.StatusCode != tc.status || a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %v: %s", a.Status, a.Header, a.body)
			}
		})
	}
}
