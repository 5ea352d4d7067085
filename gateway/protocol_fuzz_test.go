package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// recorded is an answer of the handler, without a connection.
func (f *fixture) recorded(method, target, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:1"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

// FuzzAuthorize: whatever the query, the answer never leads to an address that
// the client did not register, but to our own consent page; and nothing is
// stored.
func FuzzAuthorize(f *testing.F) {
	fx := newFixture(f, with("PROXY_CLIENTS", robots))
	app := fx.newClient(f, map[string]any{"redirect_uris": []string{loopback, "cursor://x/cb", "http://localhost/cb?a=1"}})
	web := fx.webClient(f)
	registered := map[string][]string{
		app.id:   {"http://127.0.0.1:*/callback", "http://127.0.0.1/callback", "cursor://x/cb", "http://localhost:*/cb?a=1", "http://localhost/cb?a=1"},
		web.id:   nil, // https, and not configured: shown, never followed
		"portal": {"https://portal.example/cb"}, "cli": {"http://127.0.0.1/cb", "http://127.0.0.1:*/cb", "https://cli.example/cb"},
	}
	// Ids differ from process to process, and a fuzzer is several: seeds name
	// them by these words.
	ids := strings.NewReplacer("APP", app.id, "WEB", web.id)
	for _, c := range []*client{{origin: notes, id: "APP", redirect: loopback}, {origin: notes, id: "WEB", redirect: claude}, fx.portal(), {origin: notes, id: "cli", redirect: "https://cli.example/cb"}} {
		f.Add(c.params().Encode())
		f.Add(c.params("response_type", "token").Encode())
		f.Add(c.params("redirect_uri", "").Encode())
		f.Add(c.params("redirect_uri", "https://evil.example/"+c.redirect).Encode())
		f.Add(c.params("redirect_uri", c.redirect+"@evil.example").Encode())
		f.Add(c.params().Encode() + "&redirect_uri=https%3A%2F%2Fevil.example&client_id=WEB")
		f.Add(c.params("state", "\r\nLocation: https://evil.example", "prompt", "none").Encode())
		f.Add(c.params("resource", "https://evil.example", "scope", "\x00").Encode())
	}
	f.Add("client_id=APP&redirect_uri=http://127.0.0.1:1\\@evil.example/callback")
	f.Add("%zz=&;&&==")
	f.Fuzz(func(t *testing.T, query string) {
		query = ids.Replace(query)
		if strings.ContainsAny(query, " \r\n\x00#") || !strings.HasPrefix(notes+"/authorize?"+query, notes) {
			return // not one request line
		}
		if _, err := url.ParseRequestURI(notes + "/authorize?" + query); err != nil {
			return
		}
		before := len(fx.records(t))
		a := fx.recorded(http.MethodGet, notes+"/authorize?"+query, "")
		if n := len(fx.records(t)); n != before {
			t.Errorf("%d kinds of records, before there were %d", n, before)
		}
		if a.StatusCode >= 500 {
			t.Errorf("%s for %q", a.Status, query)
		}
		to := a.Header.Get("Location")
		if to == "" || strings.HasPrefix(to, "/consent?r=") {
			return
		}
		q, _ := url.ParseQuery(query)
		who := slices.DeleteFunc(q["client_id"], func(id string) bool { return id == "" })
		if len(who) != 1 || !slices.ContainsFunc(registered[who[0]], func(uri string) bool { return leadsTo(to, uri) }) {
			t.Errorf("%q leads to %q", query, to)
		}
	})
}

// leadsTo says whether an address is a redirect URI with parameters added. A
// port of * is any.
func leadsTo(to, uri string) bool {
	if head, tail, ok := strings.Cut(uri, ":*"); ok {
		rest, same := strings.CutPrefix(to, head+":")
		digits := strings.TrimLeft(rest, "0123456789")
		return same && digits != rest && leadsTo(head+digits, head+tail)
	}
	rest, ok := strings.CutPrefix(to, uri)
	return ok && (strings.HasPrefix(rest, "?error=") || strings.Contains(uri, "?") && strings.HasPrefix(rest, "&error="))
}

// FuzzCallbackState: whatever comes back as the state, only the browser and the
// state that were sent away finish a sign-in.
func FuzzCallbackState(f *testing.F) {
	fx, p := company(f, anyone)
	c, b := fx.newClient(f, nil), fx.newBrowser(f)
	sent := c.toProvider(f, b).Query().Get("state")
	answered := p.Visit(f, c.toProvider(f, b).String())
	good := answered.Get("state")
	var cookies []string
	for name, value := range b.cookies(f, notes) {
		cookies = append(cookies, name+"="+value)
	}
	id, secret, _ := strings.Cut(good, ".")
	words := strings.NewReplacer("SENT", sent, "ID", id, "SECRET", secret, "CODE", answered.Get("code"))
	for _, state := range []string{"", ".", "ID", "ID.", ".SECRET", "SECRET", "SENTx", "ID.xSECRET", "ID.SECRET.", " ID.SECRET", "ID.SECRET\x00", strings.Repeat("x", 4000), "../../ID.SECRET", "SENTID.SECRET", "ID.SENT"} {
		f.Add(state, "CODE", "")
		f.Add(state, "", "access_denied")
	}
	f.Fuzz(func(t *testing.T, state, code, fault string) {
		state, code = words.Replace(state), words.Replace(code)
		if state == sent || state == good {
			return // these are the ones
		}
		before := encoded(t, fx.records(t))
		q := url.Values{"state": {state}, "code": {code}, "error": {fault}}
		a := fx.recorded(http.MethodGet, notes+"/callback?"+q.Encode(), "", "Cookie", strings.Join(cookies, "; "))
		if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" {
			t.Errorf("state %q: %s, Location %q", state, a.Status, a.Header.Get("Location"))
		}
		if after := encoded(t, fx.records(t)); after != before {
			t.Errorf("state %q: records before %s, after %s", state, before, after)
		}
		for _, set := range a.Cookies() {
			if strings.Contains(set.Name, "-s-") {
				t.Errorf("state %q begins a session", state)
			}
		}
	})
}

// FuzzToken: whatever the form, nobody gets a token who has neither a code nor
// a refresh token nor a secret, and the answer is JSON that nobody keeps.
func FuzzToken(f *testing.F) {
	fx := newFixture(f, with("PROXY_CLIENTS", robots))
	c := fx.newClient(f, nil)
	f.Add(c.redemption("code", "client_id", "APP").Encode(), "")
	f.Add("grant_type=client_credentials&client_id=robot&client_secret=", "Basic cm9ib3Q6")
	f.Add("grant_type=refresh_token&refresh_token="+strings.Repeat("A", 86)+"&client_id=APP", "")
	f.Add("grant_type=client_credentials&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=a.b.c", "Bearer x")
	f.Add("%zz;&=", "Basic !")
	f.Fuzz(func(t *testing.T, form, authorization string) {
		form = strings.ReplaceAll(form, "APP", c.id)
		before := encoded(t, fx.records(t))
		a := fx.recorded(http.MethodPost, notes+"/token", form, "Content-Type", "application/x-www-form-urlencoded", "Authorization", authorization)
		if a.StatusCode < 400 || a.StatusCode >= 500 || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q, %q: %s %v", form, authorization, a.Status, a.Header)
		}
		if after := encoded(t, fx.records(t)); after != before {
			t.Errorf("%q: records before %s, after %s", form, before, after)
		}
	})
}
