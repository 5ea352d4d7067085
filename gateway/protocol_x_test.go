package gateway

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/routing/routingtest"
)

// tokenOf is an access token of a user and a client, however they got it.
func (f *fixture) tokenOf(t testing.TB, user, client string) string {
	t.Helper()
	raw, _, err := access.NewMinter(f.ring, time.Hour, f.now).Mint(t.Context(), access.Token{
		Issuer: notes, Subject: "local:" + user, ClientID: client, Audience: []string{notes, notes + "/mcp"},
		Scopes: strings.Fields(allNotesScopes), Grant: "grant of " + user + " to " + client,
	}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// say sends a message as the holder of a token.
func (f *fixture) say(t testing.TB, token, message string, headers ...string) answer {
	t.Helper()
	return f.ask(t, http.MethodPost, notes+"/mcp", message, append([]string{
		"Content-Type", "application/json", "Accept", "application/json, text/event-stream", "Authorization", "Bearer " + token,
	}, headers...)...)
}

func sessions() option {
	o := notesServer()
	o.Era = routingtest.Sessions
	return before(o)
}

func TestX17_R19_a_session_is_of_the_user_and_client_it_was_minted_for(t *testing.T) {
	const page = "https://app.example"
	f := newFixture(t, sessions(), with("PROXY_ALLOWEDORIGINS", page))
	first := f.tokenOf(t, ada, "client-1")
	a := f.say(t, first, initialize)
	id := a.Header.Get("Mcp-Session-Id")
	if a.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("initialize: %s %q: %s", a.Status, id, a.body)
	}
	f.leavesNothing(t, func() {
		f.say(t, first, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "Mcp-Session-Id", id)
	})
	for name, tc := range map[string]struct {
		token  string
		status int
	}{
		"the same user and client":   {first, http.StatusOK},
		"a later token of them":      {f.tokenOf(t, ada, "client-1"), http.StatusOK},
		"another client of the user": {f.tokenOf(t, ada, "client-2"), http.StatusNotFound},
		"another user of the client": {f.tokenOf(t, bob, "client-1"), http.StatusNotFound},
	} {
		a := f.say(t, tc.token, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, "Mcp-Session-Id", id, "Mcp-Protocol-Version", "2025-11-25", "Origin", page)
		if a.StatusCode != tc.status {
			t.Errorf("%s: %s: %s", name, a.Status, a.body)
		}
		a.wantShared(t, page)
		if tc.status == http.StatusNotFound && a.body != `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}`+"\n" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	unknown := f.say(t, first, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, "Mcp-Session-Id", "whatever")
	if unknown.StatusCode != http.StatusNotFound || !strings.Contains(unknown.body, "Session not found") {
		t.Errorf("a session that nobody has differs: %s: %s", unknown.Status, unknown.body)
	}
}

func TestX25_requests_of_a_user_are_limited_if_that_is_configured(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_REQUESTSPERMINUTE", "3"))
	adas, other, bobs := f.tokenOf(t, ada, "client-1"), f.tokenOf(t, ada, "client-2"), f.tokenOf(t, bob, "client-1")
	for range 3 {
		if a := f.call(t, notes, adas, "ping"); a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", a.Status, a.body)
		}
	}
	for name, token := range map[string]string{"the same client": adas, "another client of the user": other} {
		a := f.call(t, notes, token, "ping")
		a.wantJSON(t, http.StatusTooManyRequests, "too_many_requests")
		if a.Header.Get("Retry-After") != "20" {
			t.Errorf("%s: Retry-After %q, want 20", name, a.Header.Get("Retry-After"))
		}
	}
	if a := f.call(t, notes, bobs, "ping"); a.StatusCode != http.StatusOK {
		t.Errorf("another user: %s", a.Status)
	}
	f.forward(t, 20*time.Second)
	if a := f.call(t, notes, adas, "ping"); a.StatusCode != http.StatusOK {
		t.Errorf("after that time: %s", a.Status)
	}
	unlimited := newFixture(t)
	token := unlimited.tokenOf(t, ada, "client-1")
	for range 200 {
		if a := unlimited.call(t, notes, token, "ping"); a.StatusCode != http.StatusOK {
			t.Fatalf("by default: %s", a.Status)
		}
	}
}

// TestX19_what_only_listens_ends_with_its_token: the deadline is one of the real
// clock, so the gateway's is set to when tokens are about to end.
func TestX19_what_only_listens_ends_with_its_token_and_a_call_does_not(t *testing.T) {
	step := make(chan string)
	o := notesServer()
	o.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Silent") == "" {
			return false
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: begun\n\n")
		_ = http.NewResponseController(w).Flush()
		if r.Header.Get("X-Silent") == "call" {
			_, _ = io.WriteString(w, <-step)
			return true
		}
		<-r.Context().Done()
		return true
	}
	f := newFixture(t, before(o), func(s *setup) { s.clock.at = time.Now().Add(5*time.Second - access.Leeway - time.Hour) })
	token := f.tokenOf(t, ada, "client-1")
	open := func(method, body, kind string) *bufio.Reader {
		r := newRequest(t, method, notes+"/mcp", body, "Content-Type", "application/json", "Accept", "text/event-stream",
			"Authorization", "Bearer "+token, "X-Silent", kind)
		res, err := (&http.Client{Transport: f}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		in := bufio.NewReader(res.Body)
		if line, err := in.ReadString('\n'); err != nil || line != "data: begun\n" {
			t.Fatalf("%s: %q, %v", res.Status, line, err)
		}
		return in
	}
	call := open(http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ping"}}`, "call")
	for name, in := range map[string]*bufio.Reader{
		"a GET":          open(http.MethodGet, "", "listen"),
		"a subscription": open(http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}`, "listen"),
	} {
		if rest, err := io.ReadAll(in); err != nil || string(rest) != "\n" {
			t.Errorf("%s does not end in order: %q, %v", name, rest, err)
		}
	}
	step <- "data: done\n\n"
	if rest, err := io.ReadAll(call); err != nil || string(rest) != "\ndata: done\n\n" {
		t.Errorf("the call: %q, %v", rest, err)
	}
}

func TestX15_a_server_that_does_not_answer_says_when_to_try_again_and_is_down(t *testing.T) {
	f := newFixture(t)
	token := f.tokenOf(t, ada, "client-1") // there is a key from then on
	status := func() (ready string, metric string) {
		for path, to := range map[string]*string{"/readyz": &ready, "/metrics": &metric} {
			w := httptest.NewRecorder()
			f.admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if *to = w.Body.String(); w.Code != http.StatusOK {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
		lines := slices.DeleteFunc(strings.Split(metric, "\n"), func(line string) bool { return !strings.HasPrefix(line, "mcp_upstream_up{") })
		return ready, strings.Join(lines, "\n")
	}
	if ready, metric := status(); !strings.Contains(ready, `"notes.example.com":{"status":"unknown"}`) || metric != "" {
		t.Errorf("before anything is known: %s\n%s", ready, metric)
	}
	f.call(t, notes, token, "ping")
	if ready, metric := status(); !strings.Contains(ready, `"notes.example.com":{"status":"up","since":"`) || metric != `mcp_upstream_up{host="notes.example.com"} 1` {
		t.Errorf("after an answer: %s\n%s", ready, metric)
	}
	f.upstream.Close()
	a := f.call(t, notes, token, "ping")
	a.wantJSON(t, http.StatusBadGateway, "upstream_unavailable")
	if a.Header.Get("Retry-After") == "" || decoded(t, a.body)["reference"] == nil {
		t.Errorf("%v: %s", a.Header, a.body)
	}
	if ready, metric := status(); !strings.Contains(ready, `"notes.example.com":{"status":"down","since":"`) || metric != `mcp_upstream_up{host="notes.example.com"} 0` {
		t.Errorf("after it is gone: %s\n%s", ready, metric)
	}
}

func TestH9_headers_may_be_long_but_not_endless(t *testing.T) {
	f := newFixture(t)
	s := httptest.NewUnstartedServer(nil)
	s.Config = f.server(t.Context(), f.Gateway)
	s.Start()
	defer s.Close()
	token := f.tokenOf(t, ada, "client-1")
	for size, want := range map[int]int{16 << 10: http.StatusOK, 60 << 10: http.StatusOK, 80 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		r := newRequest(t, http.MethodPost, s.URL+"/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ping"}}`,
			"Content-Type", "application/json", "Accept", "application/json, text/event-stream", "Authorization", "Bearer "+token,
			"Mcp-Param-Long", strings.Repeat("x", size))
		r.Host = "notes.example.com"
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%d bytes: %s, want %d", size, res.Status, want)
		}
	}
}
