package routing_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing"
)

func TestTheTargetArrivesAsItWasWritten(t *testing.T) {
	rec, c := recording(t)
	f := newFront(t, c)
	for name, tc := range map[string]struct{ target, want string }{
		"X22 the endpoint":                     {"/mcp", "/mcp"},
		"X22 a trailing slash":                 {"/mcp/", "/mcp/"},
		"X22 slashes in a row":                 {"/a//b///", "/a//b///"},
		"X22 slashes at the start":             {"//a/b", "//a/b"},
		"X22 an encoded slash":                 {"/a%2Fb/%2f", "/a%2Fb/%2f"},
		"X22 dots":                             {"/a/../b/./c", "/a/../b/./c"},
		"X22 encoded dots":                     {"/a/%2e%2E/b", "/a/%2e%2E/b"},
		"X22 escapes that need not be":         {"/%61%7Eb", "/%61%7Eb"},
		"X22 semicolons":                       {"/a;v=1/b;x", "/a;v=1/b;x"},
		"X22 bytes a URL should have escaped":  {"/a|b\"c<d>^`{}", "/a|b\"c<d>^`{}"},
		"X22 UTF-8 as it is":                   {"/\u00fc", "/\u00fc"},
		"X22 a query with semicolons":          {"/m?a=1;b=2&c", "/m?a=1;b=2&c"},
		"X22 a query that does not parse":      {"/m?%zz&=&&a=%", "/m?%zz&=&&a=%"},
		"X22 an empty query":                   {"/m?", "/m?"},
		"X22 a question mark in the query":     {"/m?a?b", "/m?a?b"},
		"X22 the absolute form":                {"http://notes.example.com/a%2Fb?x", "/a%2Fb?x"},
		"R2 a token in the query is taken out": {"/m?access_token=secret", "/m"},
		"R2 first of several":                  {"/m?access_token=s&a=%2f", "/m?a=%2f"},
		"R2 last of several":                   {"/m?a=%2f&access_token=s", "/m?a=%2f"},
		"R2 between others, twice":             {"/m?a&access_token=s&b;access_token=t;c", "/m?a&b;c"},
		"R2 with its name encoded":             {"/m?a=1&%61ccess%5Ftoken=s", "/m?a=1"},
		"R2 without a value":                   {"/m?access_token&&b", "/m?&b"},
		"R2 nothing else is touched":           {"/m?&&access_token_type=x&my_access_token=y&", "/m?&&access_token_type=x&my_access_token=y&"},
	} {
		t.Run(name, func(t *testing.T) {
			f.raw(t, "GET "+tc.target+" HTTP/1.1\r\nHost: notes.example.com\r\nConnection: close\r\n\r\n")
			if got := (<-rec.seen).RequestURI; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTheQueryOfAPublicHostIsItsOwn(t *testing.T) {
	rec, c := recording(t)
	c.Public = true
	f := newFront(t, c)
	f.raw(t, "GET /m?access_token=s HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := (<-rec.seen).RequestURI; got != "/m?access_token=s" {
		t.Errorf("got %q", got)
	}
}

func TestWhatNoServerShallSee(t *testing.T) {
	rec, c := recording(t)
	f := newFront(t, c)
	for name, tc := range map[string]struct {
		line   string
		status int
	}{
		"TRACE, which shows our credential": {"TRACE /mcp HTTP/1.1", 501},
		"CONNECT, which is a tunnel":        {"CONNECT notes.example.com:443 HTTP/1.1", 501},
		"a target with a space":             {"GET /mcp HTTP/1.1 HTTP/1.1", 400},
	} {
		t.Run(name, func(t *testing.T) {
			if res := f.raw(t, tc.line+"\r\nHost: notes.example.com\r\n\r\n"); res.StatusCode != tc.status {
				t.Errorf("%d", res.StatusCode)
			}
			if len(rec.seen) != 0 {
				t.Errorf("passed on: %v", (<-rec.seen).RequestURI)
			}
		})
	}
}

func TestAnswersComeBackUntouched(t *testing.T) {
	body := `{"jsonrpc":"2.0","error":{"code":-32601, "message":"no"}, "id" : null}` + "\n"
	for name, tc := range map[string]struct {
		status int
		kind   string
	}{
		"X14 200":                         {200, "application/json"},
		"X14 202 without a body":          {202, ""},
		"X14 204":                         {204, ""},
		"X14 304":                         {304, ""},
		"X14 302 is not followed":         {302, "application/json"},
		"X14 307 is not followed":         {307, "application/json"},
		"X14 400, which tells the era":    {400, "application/json"},
		"X14 403":                         {403, "application/json"},
		"X14 404, a session that is gone": {404, "application/json"},
		"X14 405, no GET stream":          {405, "application/json"},
		"X14 406":                         {406, "application/json"},
		"X14 415":                         {415, "application/json; charset=utf-8"},
		"X14 429":                         {429, "application/json"},
		"X14 500":                         {500, "application/json"},
		"X14 503":                         {503, "application/problem+json"},
		"X14 a status nobody knows":       {599, "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t, upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
				h := w.Header()
				h["Date"] = nil
				h.Set("Mcp-Session-Id", "s-1")
				h.Set("Retry-After", "7")
				h.Set("Location", "/elsewhere")
				h.Set("Set-Cookie", "theirs=1; Path=/")
				h["X-Odd"] = []string{"a", "b,c"}
				if tc.kind != "" {
					h.Set("Content-Type", tc.kind)
				}
				w.WriteHeader(tc.status)
				if tc.kind != "" {
					_, _ = io.WriteString(w, body)
				}
			}))
			res, err := http.DefaultTransport.RoundTrip(get(t, f.URL+"/mcp"))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, _ := io.ReadAll(res.Body)
			if res.StatusCode != tc.status || tc.kind != "" && string(got) != body || tc.kind == "" && len(got) != 0 {
				t.Errorf("%d %q", res.StatusCode, got)
			}
			for _, ours := range []string{"X-Content-Type-Options", "Date", "Content-Length"} {
				res.Header.Del(ours)
			}
			want := map[string]string{"Mcp-Session-Id": "s-1", "Retry-After": "7", "Location": "/elsewhere", "Set-Cookie": "theirs=1; Path=/", "X-Odd": "a|b,c"}
			if tc.kind != "" {
				want["Content-Type"] = tc.kind
			}
			for name, v := range want {
				if got := strings.Join(res.Header[name], "|"); got != v {
					t.Errorf("%s: %q, want %q", name, got, v)
				}
				delete(res.Header, name)
			}
			if len(res.Header) != 0 {
				t.Errorf("added: %v", res.Header)
			}
		})
	}
}

func TestHeadersOfTheProtocolPassVerbatim(t *testing.T) {
	rec, c := recording(t)
	f := newFront(t, c)
	passes := map[string]string{
		"Mcp-Session-Id": "!~s", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list", "Mcp-Name": "=?base64?eA==?=",
		"Mcp-Param-User_id": "a, b", "Last-Event-Id": "5/1", "Traceparent": "00-1-2-01", "Accept": "application/json, text/event-stream",
		"Accept-Encoding": "br", "Authorization": "Bearer the.users.token", "X-Custom": "1", "User-Agent": "client/1", "Te": "trailers",
		"Idempotency-Key": "i", "Origin": "https://notes.example.com", "X-Api-Key": "k", "Range": "bytes=0-1",
	}
	var b strings.Builder
	b.WriteString("DELETE /mcp HTTP/1.1\r\nHost: notes.example.com\r\n")
	for name, v := range passes {
		fmt.Fprintf(&b, "%s: %s\r\n", strings.ToLower(name), v)
	}
	f.raw(t, b.String()+"\r\n")
	got := <-rec.seen
	for name, v := range passes {
		if g := got.Header.Get(name); g != v {
			t.Errorf("X16 %s: %q, want %q", name, g, v)
		}
	}
	if got.Method != http.MethodDelete {
		t.Errorf("X16 method %s", got.Method)
	}
	if got.Host != hostOf(t, f.route.Endpoint()) {
		t.Errorf("X3 the upstream sees the host %q", got.Host)
	}
}

func TestPreserveHost(t *testing.T) {
	rec, c := recording(t)
	c.PreserveHost = true
	f := newFront(t, c)
	f.raw(t, "GET /mcp HTTP/1.1\r\nHost: NOTES.example.com.\r\nX-Forwarded-Host: evil\r\n\r\n")
	got := <-rec.seen
	if got.Host != "notes.example.com" || got.Header.Get("X-Forwarded-Host") != "notes.example.com" {
		t.Errorf("X3 host %q, X-Forwarded-Host %q", got.Host, got.Header["X-Forwarded-Host"])
	}
	if got.Header.Get("X-Forwarded-Proto") != "https" || got.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("X3 %v", got.Header)
	}
}

func TestAuthorization(t *testing.T) {
	for name, tc := range map[string]struct {
		authorization string
		public        bool
		headers       []routing.Header
		want          string
	}{
		"X4 forwarded by default (decision 7)":     {"", false, nil, "Bearer users"},
		"X4 forwarded":                             {"forward", false, nil, "Bearer users"},
		"X4 taken away":                            {"none", false, nil, ""},
		"X4 replaced by the server's own":          {"Bearer its-own", false, nil, "Bearer its-own"},
		"X4 replaced by a header of the host":      {"none", false, []routing.Header{{Name: "authorization", Value: "Basic x"}}, "Basic x"},
		"X4 on a public host the client's passes":  {"none", true, nil, "Bearer users"},
		"X4 on a public host nothing replaces the": {"Bearer its-own", true, nil, "Bearer users"},
	} {
		t.Run(name, func(t *testing.T) {
			rec, c := recording(t)
			c.Authorization, c.Public, c.Headers = tc.authorization, tc.public, tc.headers
			newFront(t, c).raw(t, "GET /mcp HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer users\r\n\r\n")
			if got := (<-rec.seen).Header["Authorization"]; strings.Join(got, "|") != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func get(t testing.TB, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
