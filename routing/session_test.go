package routing_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing"
)

func keyed(o *routing.Options) { o.SessionKey = []byte("a key of the store's secret") }

// minting is a server that gives and repeats sessions, and says which one it
// was called with.
func minting(t testing.TB, id string) routing.Config {
	return upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Mcp-Session-Id", id)
		w.Header().Set("X-Called-With", strings.Join(r.Header["Mcp-Session-Id"], "|")+"?"+r.URL.RawQuery)
		w.WriteHeader(http.StatusOK)
	})
}

// as sends a request of a caller, with headers given as name, value.
func (f *front) as(t testing.TB, who *routing.Caller, method, target string, headers ...string) *http.Response {
	t.Helper()
	f.caller = who
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n")
	for i := 0; i < len(headers); i += 2 {
		b.WriteString(headers[i] + ": " + headers[i+1] + "\r\n")
	}
	return f.raw(t, b.String()+"\r\n")
}

func TestASessionIsOfWhomItWasMintedFor(t *testing.T) {
	const id = "!raw~id." // any visible character
	f := newFront(t, minting(t, id), keyed)
	elsewhere := newFront(t, func() routing.Config {
		c := minting(t, id)
		c.Host = "mail.example.com"
		return c
	}(), keyed)
	seen := f.as(t, ada, "POST", "/mcp").Header.Get("Mcp-Session-Id")
	if again := f.as(t, ada, "POST", "/mcp").Header.Get("Mcp-Session-Id"); again != seen {
		t.Errorf("X17 one session has two names: %q and %q", seen, again)
	}
	if strings.ContainsFunc(seen, func(c rune) bool { return c < 0x21 || c > 0x7e }) || seen == id {
		t.Errorf("X17 the id is %q", seen)
	}
	bob, otherClient := ada.Identity, ada.Identity
	bob.Subject, otherClient.ClientID = "google:5678", "client-2"
	shifted := ada.Identity
	shifted.Subject, shifted.ClientID = ada.Subject+"c", ada.ClientID[1:]
	forged := seen[:len(seen)-1] + string(seen[len(seen)-1]^1)
	for name, tc := range map[string]struct {
		at     *front
		who    *routing.Caller
		method string
		ids    []string
		status int
	}{
		"X17 the caller's own":                        {f, ada, "POST", []string{seen}, 200},
		"X17 the caller's own, to end it":             {f, ada, "DELETE", []string{seen}, 200},
		"X17 the caller's own, to listen":             {f, ada, "GET", []string{seen}, 200},
		"X17 another user's":                          {f, routing.NewCaller(bob), "POST", []string{seen}, 404},
		"X17 another user's, to end it":               {f, routing.NewCaller(bob), "DELETE", []string{seen}, 404},
		"X17 another user's, to listen":               {f, routing.NewCaller(bob), "GET", []string{seen}, 404},
		"X17 another client's of the same user":       {f, routing.NewCaller(otherClient), "POST", []string{seen}, 404},
		"X17 a caller whose names only join the same": {f, routing.NewCaller(shifted), "POST", []string{seen}, 404},
		"X17 another host's":                          {elsewhere, ada, "POST", []string{seen}, 404},
		"X17 as the server knows it":                  {f, ada, "POST", []string{id}, 404},
		"X17 with a tag that somebody made":           {f, ada, "POST", []string{forged}, 404},
		"X17 nothing but a tag":                       {f, ada, "POST", []string{seen[len(id):]}, 404},
		"X17 an empty one":                            {f, ada, "POST", []string{""}, 404},
		"X17 two at once":                             {f, ada, "POST", []string{seen, seen}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			for _, id := range tc.ids {
				headers = append(headers, "Mcp-Session-Id", id)
			}
			res := tc.at.as(t, tc.who, tc.method, "/mcp", headers...)
			if res.StatusCode != tc.status {
				t.Fatalf("%d, want %d", res.StatusCode, tc.status)
			}
			if tc.status == 404 {
				if cause := <-tc.at.causes; !errors.Is(cause, routing.ErrSession) {
					t.Errorf("the cause is %v", cause)
				}
			} else if got := res.Header.Get("X-Called-With"); got != id+"?" {
				t.Errorf("the server is called with %q, want %q", got, id)
			}
		})
	}
}

func TestWhereSessionsMeanNothingNoneIsPassedOn(t *testing.T) {
	f := newFront(t, minting(t, "raw"), keyed)
	for version, want := range map[string]int{"2026-07-28": 200, "2027-01-01": 200, "2025-11-25": 404, "latest": 404, "2026-07-28, x": 404} {
		res := f.as(t, ada, "POST", "/mcp", "Mcp-Session-Id", "raw", "MCP-Protocol-Version", version)
		if res.StatusCode != want || res.Header.Get("X-Called-With") != map[int]string{200: "?"}[want] {
			t.Errorf("X17 %s: %d, the server is called with %q", version, res.StatusCode, res.Header.Get("X-Called-With"))
		}
	}
}

func TestSessionsAreNobodysWithoutAKeyOrACaller(t *testing.T) {
	public := minting(t, "raw")
	public.Public = true
	for name, f := range map[string]*front{
		"X17 without a key":    newFront(t, minting(t, "raw")),
		"X17 on a public host": newFront(t, public, keyed),
	} {
		t.Run(name, func(t *testing.T) {
			res := f.as(t, f.caller, "POST", "/mcp?sessionId=q", "Mcp-Session-Id", "raw")
			if got := res.Header.Get("X-Called-With"); got != "raw?sessionId=q" || res.Header.Get("Mcp-Session-Id") != "raw" {
				t.Errorf("called with %q, answered with %q", got, res.Header.Get("Mcp-Session-Id"))
			}
		})
	}
}

// FuzzNoSessionOfAnotherIsPassedOn: whatever is sent as a session, what reaches
// the server was minted for the caller.
func FuzzNoSessionOfAnotherIsPassedOn(f *testing.F) {
	front := newFront(f, minting(f, "raw"), keyed, func(o *routing.Options) { o.OnError = nil }) // nobody reads the causes
	seen := front.as(f, ada, "POST", "/mcp").Header.Get("Mcp-Session-Id")
	bob := *ada
	bob.Subject = "google:5678"
	f.Add("Mcp-Session-Id", seen, "sessionId="+seen, "2026-07-28")
	f.Add("mcp_session_id", seen, "a=b;session%5Fid="+seen, "")
	f.Add("Mcp-Session-Id", "raw", "sessionId[]=raw&SESSIONID=raw", "2025-11-25")
	f.Add("MCP.Session.Id", "raw", "session.id=raw&session id=raw", "9")
	f.Fuzz(func(t *testing.T, name, value, query, version string) {
		if strings.ContainsAny(name+value+query+version, "\r\n ") || len(name+value+query+version) > 2000 {
			return
		}
		res := front.as(t, &bob, "POST", "/mcp?"+query, name, value, "Mcp-Protocol-Version", version)
		called, passed, ok := strings.Cut(res.Header.Get("X-Called-With"), "?")
		if !ok {
			return // it was refused
		}
		if called != "" {
			t.Errorf("%q: %q reached the server", name, called)
		}
		for part := range strings.FieldsFuncSeq(passed, func(c rune) bool { return c == '&' || c == ';' }) {
			if k, v, _ := strings.Cut(part, "="); strings.EqualFold(k, "sessionid") && v != "" {
				t.Errorf("%q reached the server", passed)
			}
		}
	})
}
