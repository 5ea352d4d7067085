package routing_test

import (
	"net/http"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing"
)

// assertions are what a client might say of itself, in the ways it might say
// it. None may reach a server.
var assertions = []string{
	"X-Forwarded-User", "x_forwarded_user", "X-Forwarded_Groups", "X.Forwarded.Email", "x-forwarded-client-id", "X-FORWARDED-ACCESS-SCOPES",
	"X-Forwarded-Preferred-Username", "X-Forwarded", "X-Forwarded-Access-Token", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-Server",
	"Forwarded", "X-Real-Ip", "X_Real_IP", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "Client-Ip",
	"X-User", "X-Userinfo", "X-User-Id", "X_User_Email", "X-Username", "X-Email", "X-Groups",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Access-Token", "X_Auth_Request_User",
	"Remote-User", "Remote_User", "Remote-Groups", "Remote-Email", "Remote-Name", "REMOTE_USER", "Remote-Addr",
	"X-Remote-User", "X-Webauth-User", "X-Authenticated-User", "X-Authentik-Username", "X-Pomerium-Jwt-Assertion",
	"X-Goog-Authenticated-User-Email", "X-Goog-Iap-Jwt-Assertion", "X-Amzn-Oidc-Data", "X-Ms-Client-Principal", "Cf-Access-Jwt-Assertion",
	"Tailscale-User-Login", "X-Consumer-Username", "X-Ssl-Client-S-Dn", "Ssl-Client-Verify", "X-Client-Cert", "Client-Cert", "Client-Cert-Chain",
	"Impersonate-User", "X-Original-Url", "X-Rewrite-Url", "X-Http-Method-Override", "X-Method-Override", "X-Http-Method", "Proxy",
	"X-Preferred-Username", "X-Principal", "X-Principal-Id", "X-Oidc-Sub", "X-Saml-User", "X-Sso-User", "X-Scopes", "X-Spiffe-Id",
	"X-Auth-Groups", "X-Auth-Subject",
	"X-Upstream-Key", "x_upstream_key", "Content_Length", "Content_Type", "Transfer_Encoding", "Mcp_Name", "Mcp_Session_Id",
}

func TestAssertionsFromOutsideAreRemoved(t *testing.T) {
	for name, tc := range map[string]struct {
		public, identity bool
	}{
		"with identity headers":    {false, true},
		"without identity headers": {false, false},
		"on a public host":         {true, true},
	} {
		t.Run("X5 "+name, func(t *testing.T) {
			rec, c := recording(t)
			c.Public, c.IdentityHeaders = tc.public, tc.identity
			c.Headers = []routing.Header{{Name: "X-Upstream-Key", Value: "ours"}}
			var b strings.Builder
			b.WriteString("GET /mcp HTTP/1.1\r\nHost: a\r\n")
			for _, a := range assertions {
				b.WriteString(a + ": spoofed\r\n" + strings.ToUpper(a) + ": spoofed\r\n" + strings.ToLower(a) + ": spoofed\r\n")
			}
			newFront(t, c).raw(t, b.String()+"\r\n")
			got := <-rec.seen
			for name, values := range got.Header {
				if strings.Contains(strings.Join(values, "|"), "spoofed") {
					t.Errorf("%s: %q", name, values)
				}
			}
			if got.Header.Get("X-Upstream-Key") != "ours" {
				t.Errorf("our own header is %q", got.Header["X-Upstream-Key"])
			}
			if told := got.Header.Get("X-Forwarded-User") != ""; told != (tc.identity && !tc.public) {
				t.Errorf("identity told: %v", told)
			}
		})
	}
}

func TestTheCallerIsTold(t *testing.T) {
	rec, c := recording(t)
	f := newFront(t, c)
	f.caller = routing.NewCaller(routing.Identity{
		Subject: "google:1234", Email: "ada@example.com", Username: "Ada Lovelace", ClientID: "https://client.example/id.json",
		Groups: []string{"admins", "Sales, EMEA", "büro", "a\r\nX-Evil: 1"}, Scopes: []string{"notes:read", "notes:all"},
	})
	f.raw(t, "GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
	got := (<-rec.seen).Header
	for name, want := range map[string]string{
		"X-Forwarded-User":               "google:1234",
		"X-Forwarded-Email":              "ada@example.com",
		"X-Forwarded-Preferred-Username": "Ada Lovelace",
		"X-Forwarded-Client-Id":          "https://client.example/id.json",
		"X-Forwarded-Groups":             "admins,Sales%2C EMEA,b%C3%BCro,a%0D%0AX-Evil: 1",
		"X-Forwarded-Access-Scopes":      "notes:read notes:all",
	} {
		if v := strings.Join(got[name], "|"); v != want {
			t.Errorf("X5 %s: %q, want %q", name, v, want)
		}
	}
}

func TestNoHeaderIsStrippedByBeingCalledHopByHop(t *testing.T) {
	rec, c := recording(t)
	newFront(t, c).raw(t, "GET /mcp HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-User, Authorization, X-Forwarded-Proto\r\n"+
		"Authorization: Bearer t\r\nUpgrade: h2c\r\nProxy-Authorization: Basic x\r\nKeep-Alive: 1\r\n\r\n")
	got := (<-rec.seen).Header
	if got.Get("X-Forwarded-User") != ada.Subject || got.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("X8 ours are gone: %v", got)
	}
	for _, name := range []string{"Upgrade", "Connection", "Proxy-Authorization", "Keep-Alive"} {
		if got[name] != nil {
			t.Errorf("X8 %s passed: %q", name, got[name])
		}
	}
}

func TestTrailersOfARequestStayOutside(t *testing.T) {
	rec, c := recording(t)
	newFront(t, c).raw(t, "POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Forwarded-User\r\n\r\n"+
		"2\r\n{}\r\n0\r\nX-Forwarded-User: spoofed\r\n\r\n")
	if got := <-rec.seen; len(got.Trailer) != 0 {
		t.Errorf("X5 %v", got.Trailer)
	}
}

func TestCookiesWithOurNamesStayApart(t *testing.T) {
	for name, tc := range map[string]struct {
		cookie []string
		want   string
	}{
		"S14 theirs pass as written":           {[]string{"a=1;b=\"2\";  c"}, "a=1;b=\"2\";  c"},
		"S14 ours do not":                      {[]string{"a=1; __Host-gw-session=x; b=2"}, "a=1; b=2"},
		"S14 ours alone":                       {[]string{"__Host-gw-session=x"}, ""},
		"S14 ours in another case":             {[]string{"__HOST-GW-session=x;a=1"}, "a=1"},
		"S14 ours without a value":             {[]string{"__Host-gw; a=1"}, "a=1"},
		"S14 ours behind an empty name":        {[]string{"=__Host-gw=x; a=1"}, "a=1"},
		"S14 ours in a second line":            {[]string{"a=1", "__Host-gw=x"}, "a=1"},
		"S14 a value that only looks like one": {[]string{"a=__Host-gw=x"}, "a=__Host-gw=x"},
	} {
		t.Run(name, func(t *testing.T) {
			rec, c := recording(t)
			req := "GET /mcp HTTP/1.1\r\nHost: a\r\n"
			for _, line := range tc.cookie {
				req += "Cookie: " + line + "\r\n"
			}
			newFront(t, c).raw(t, req+"\r\n")
			if got := strings.Join((<-rec.seen).Header["Cookie"], "|"); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestCookiesOfAServerWithOurNamesAreDropped(t *testing.T) {
	f := newFront(t, upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{
			"theirs=1; Path=/", "__Host-gw-session=evil; Secure; Path=/", " __host-GW=evil", "=__Host-gw=evil", "__Host-gw", "also=theirs",
		}
	}))
	res := f.raw(t, "GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := strings.Join(res.Header["Set-Cookie"], "|"); got != "theirs=1; Path=/|also=theirs" {
		t.Errorf("S14 %q", got)
	}
}

func FuzzNoIdentityComesFromOutside(f *testing.F) {
	for _, a := range assertions {
		f.Add(a, "x")
	}
	f.Add("X-Forwarded-User\r\nX", "y")
	rec, c := recording(f)
	c.Headers = []routing.Header{{Name: "X-Upstream-Key", Value: "ours"}}
	front := newFront(f, c)
	named := map[string]bool{}
	for _, a := range assertions {
		if plain := plainName(a); !strings.HasPrefix(plain, "content-") && !strings.HasPrefix(plain, "mcp-") { // those are relied upon
			named[plain] = true
		}
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.ContainsAny(name+value, "\r\n") || len(name) > 200 || len(value) > 200 {
			return
		}
		res := front.raw(t, "GET /mcp HTTP/1.1\r\nHost: a\r\nConnection: close, "+name+"\r\n"+name+": spoofed"+value+"\r\n\r\n")
		if res.StatusCode != 200 {
			return // net/http or Forward refused it
		}
		got := (<-rec.seen).Header
		for header, values := range got {
			plain := plainName(header)
			if !named[plain] && !strings.HasPrefix(plain, "x-forwarded-") && !strings.HasPrefix(plain, "x-user") && !strings.HasPrefix(plain, "remote-") &&
				!strings.HasPrefix(plain, "x-auth-request-") && plain != "forwarded" && plain != "x-real-ip" && plain != "x-upstream-key" {
				continue
			}
			if strings.Contains(strings.Join(values, "|"), "spoofed") {
				t.Errorf("%q: %q", header, values)
			}
		}
		if got.Get("X-Forwarded-User") != ada.Subject || got.Get("X-Upstream-Key") != "ours" {
			t.Errorf("ours are not there: %v", got)
		}
	})
}

// plainName is a header's name as CGI has it: what is no letter and no digit is
// one character.
func plainName(header string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(header))
}
