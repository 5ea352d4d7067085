//go:build e2e

package e2e

import (
	"bufio"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"e2e","version":"1"}}}`

// ada signs in at the OpenID provider.
func (w *world) ada(t *testing.T) *visitor {
	t.Helper()
	return &visitor{client: w.client(t), types: map[string]string{"login": "ada", "password": "any will do"}}
}

// post sends one MCP message, as the holder of the token.
func post(t *testing.T, hc *http.Client, origin, token, session, message string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/mcp", strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return do(t, hc, req, token, session)
}

func do(t *testing.T, hc *http.Client, req *http.Request, token, session string) *http.Response {
	t.Helper()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Authorization", "Bearer "+token)
	if session != "" {
		req.Header.Set("Mcp-Session-Id", session)
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	res, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// session begins an MCP session and returns its id.
func session(t *testing.T, hc *http.Client, origin, token string) string {
	t.Helper()
	res := post(t, hc, origin, token, "", initialize)
	id := res.Header.Get("Mcp-Session-Id")
	if res.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("initialize at %s: %s, session %q", origin, res.Status, id)
	}
	post(t, hc, origin, token, id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return id
}

// TestTokenOfOneHostIsRefusedByTheOther: Z5-Z7 and R of the protocol, with two
// real MCP servers behind.
func TestTokenOfOneHostIsRefusedByTheOther(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct{ of, at string }{
		"a token of notes at tasks": {w.notes, w.tasks},
		"a token of tasks at notes": {w.tasks, w.notes},
	} {
		t.Run(name, func(t *testing.T) {
			v := w.ada(t)
			token := v.signIn(t, tc.of).Access
			if res := post(t, v.client, tc.of, token, "", initialize); res.StatusCode != http.StatusOK {
				t.Errorf("its own host answers %s", res.Status)
			}
			res := post(t, v.client, tc.at, token, "", initialize)
			if res.StatusCode != http.StatusUnauthorized {
				t.Errorf("the other host answers %s, want 401", res.Status)
			}
			challenge := res.Header.Get("WWW-Authenticate")
			for _, want := range []string{"Bearer ", `error="invalid_token"`, `resource_metadata="` + tc.at + "/.well-known/oauth-protected-resource"} {
				if !strings.Contains(challenge, want) {
					t.Errorf("the challenge is %s, without %s", challenge, want)
				}
			}
		})
	}
}

// TestStreamedResultArrivesEventByEvent: the tool takes two seconds and tells of
// its progress four times; whoever collected the answer would deliver all at once.
func TestStreamedResultArrivesEventByEvent(t *testing.T) {
	w := newWorld(t)
	v := w.ada(t)
	token := v.signIn(t, w.notes).Access
	id := session(t, v.client, w.notes, token)
	res := post(t, v.client, w.notes, token, id, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{
		"name":"trigger-long-running-operation","arguments":{"duration":2,"steps":4},"_meta":{"progressToken":"p"}}}`)
	if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("the answer is %s, %s", res.Status, kind)
	}
	var progress []time.Time
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, "notifications/progress"):
			progress = append(progress, time.Now())
		case strings.Contains(line, `"result"`):
			if len(progress) != 4 || time.Since(progress[0]) < time.Second {
				t.Errorf("%d events, the first %v before the result; want 4 and over a second", len(progress), time.Since(progress[0]))
			}
			return
		}
	}
	t.Fatal("no result")
}

// TestInterruptEndsWithOpenStreamWithinGrace: Ctrl-C while a client listens to a
// stream that would never end.
func TestInterruptEndsWithOpenStreamWithinGrace(t *testing.T) {
	w := newWorld(t)
	v := w.ada(t)
	token := v.signIn(t, w.notes).Access
	id := session(t, v.client, w.notes, token)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.notes+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res := do(t, v.client, req, token, id); res.StatusCode != http.StatusOK {
		t.Fatalf("the stream is refused: %s", res.Status)
	}
	asked := time.Now()
	w.stop(t, os.Interrupt)
	if took := time.Since(asked); took > 6*time.Second {
		t.Errorf("it took %v, with a grace of 6s", took)
	}
	if w.err != nil {
		t.Errorf("it ends with %v", w.err)
	}
}
