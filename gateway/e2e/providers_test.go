//go:build e2e

package e2e

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A lobby is the gateway with one host, for which people are only signed in, and
// the identity providers that it is given.
type lobby struct {
	*gateway
	*authority
	origin string
}

// newLobby starts one. The providers may depend on where it is.
func newLobby(t *testing.T, providers func(callback string) []settings, env ...string) *lobby {
	t.Helper()
	return newLobbyFor(t, newAuthority(t), providers, env...)
}

func newLobbyFor(t *testing.T, a *authority, providers func(callback string) []settings, env ...string) *lobby {
	t.Helper()
	addr := freeAddr(t)
	host := "notes.example.test:" + port(t, addr)
	l := &lobby{authority: a, origin: "https://" + host}
	cert, key := l.issue(t, "notes.example.test")
	l.gateway = serve(t, addr, settings{
		"tls":       settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"providers": providers(l.origin + "/callback"),
		"proxy":     settings{"hosts": []settings{{"host": host, "name": "Notes"}}},
	}, env...)
	return l
}

// user is whom the gateway says that a token is of.
func (l *lobby) user(t *testing.T, hc *http.Client, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.origin+"/authenticate", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.Header.Get("X-Forwarded-User")
}

// refreshes redeems the refresh token.
func (l *lobby) refreshes(t *testing.T, v *visitor, got tokens) tokens {
	t.Helper()
	var next tokens
	send(t, v.client, l.origin+"/token", "application/x-www-form-urlencoded", url.Values{"grant_type": {"refresh_token"},
		"client_id": {register(t, v.client, l.origin, "Scripted client", callback)}, "refresh_token": {got.Refresh}}.Encode(), http.StatusOK, &next)
	return next
}

// zitadel is the example provider of zitadel's OpenID library.
var zitadel = tool("github.com/zitadel/oidc/v3/example/server", "zitadel-op")

func TestSignInAtZitadelsProvider(t *testing.T) {
	addr := freeAddr(t)
	l := newLobby(t, func(callback string) []settings {
		cmd := exec.Command(must(t, zitadel))
		cmd.Env = append(os.Environ(), "PORT="+port(t, addr), "REDIRECT_URI="+callback)
		start(t, cmd).accepts(t, addr)
		// Its issuer ends in a slash, and its ID token has no address: userinfo does.
		return []settings{{"name": "oidc", "id": "zitadel", "issuerURL": "http://localhost:" + port(t, addr) + "/",
			"clientID": "web", "clientSecret": "secret", "allowedEmailDomains": []string{"zitadel.ch"}}}
	})
	v := &visitor{client: l.client(t), types: map[string]string{"username": "test-user@localhost", "password": "verysecure"}}
	got := v.signIn(t, l.origin)
	if user := l.user(t, v.client, got.Access); user != "zitadel:id1" {
		t.Errorf("the token is of %q", user)
	}
	if next := l.refreshes(t, v, got); next.Access == "" || next.Refresh == got.Refresh {
		t.Error("the refresh buys nothing new")
	}
}

// TestSignInAtPanvasProvider is the other real provider, from the first page to
// a refresh; what clients do with it is in the tests of the clients.
func TestSignInAtPanvasProvider(t *testing.T) {
	w := newWorld(t)
	v := w.ada(t)
	got := v.signIn(t, w.notes)
	l := &lobby{gateway: w.gateway, authority: w.authority, origin: w.notes}
	if user := l.user(t, v.client, got.Access); user != "oidc:ada" {
		t.Errorf("the token is of %q", user)
	}
	if next := l.refreshes(t, v, got); next.Access == "" || next.Refresh == got.Refresh {
		t.Error("the refresh buys nothing new")
	}
}

// lies are what each provider of mock.mjs corrupts, and the title of the page.
var lies = map[string]string{
	"iss": didNotWork, "aud": didNotWork, "nonce": didNotWork, "no nonce": didNotWork, "expired": didNotWork, "no sub": didNotWork,
	"not signed": didNotWork, "signature": didNotWork, "changed after it was signed": didNotWork, "no ID token": didNotWork,
	"unverified e-mail": "This account may not enter", "denied": "The sign-in was cancelled",
	"a page": "The sign-in is not available now", "an error": "The sign-in is not available now",
}

const didNotWork = "The sign-in did not work"

func TestCorruptedClaimsAreRefused(t *testing.T) {
	mock := start(t, nodeCommand(t, "mock.mjs"))
	var issuers map[string]string
	parse(t, mock.says(t, `(?m)^\{.*\}$`)[0], &issuers)
	l := newLobby(t, func(string) []settings {
		var all []settings
		for lie, issuer := range issuers {
			all = append(all, settings{"name": "oidc", "id": slug(lie), "issuerURL": issuer, "clientID": "gateway",
				"clientSecret": clientSecret, "allowedEmailDomains": []string{"example.com"}})
		}
		return all
	})
	t.Run("one that tells the truth signs in", func(t *testing.T) {
		v := &visitor{client: l.client(t), types: map[string]string{"provider": "nothing"}}
		if user := l.user(t, v.client, v.signIn(t, l.origin).Access); user != "nothing:ada" {
			t.Errorf("the token is of %q", user)
		}
	})
	if len(issuers) != len(lies)+1 {
		t.Errorf("there are %d providers, and %d that lie are known", len(issuers), len(lies))
	}
	for lie, title := range lies {
		t.Run("one that lies about "+lie+" does not", func(t *testing.T) {
			v := &visitor{client: l.client(t), types: map[string]string{"provider": slug(lie)}}
			r := authorize(t, l.origin, register(t, v.client, l.origin, "Scripted client", callback), callback)
			if page := v.refused(t, r.url); !strings.Contains(page, title) || !strings.Contains(page, "Reference") {
				t.Errorf("the page says %s, want %q", page, title)
			}
			l.says(t, `"audit":"signin_refused".*"provider":"`+slug(lie)+`"`)
		})
	}
	if n := strings.Count(l.out.String(), `"audit":"code_issued"`); n != 1 {
		t.Errorf("%d codes were issued, want the one of the truth", n)
	}
}

func slug(s string) string { return strings.ToLower(strings.NewReplacer(" ", "-", ".", "").Replace(s)) }

// refused goes on until a page has no form that goes on, and returns what it
// says.
func (v *visitor) refused(t *testing.T, from string) string {
	t.Helper()
	v.saw = map[string][]string{}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, nil)
	for range 20 {
		if err != nil {
			return err.Error()
		}
		if strings.HasPrefix(req.URL.String(), callback) {
			t.Fatalf("the client is answered with %v", req.URL.Query())
		}
		req, err = v.step(req)
	}
	t.Fatal("it goes on and on")
	return ""
}
