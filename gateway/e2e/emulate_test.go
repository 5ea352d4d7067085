//go:build e2e

package e2e

import (
	stdtls "crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// internet leads the names of real providers to servers of this machine, over
// TLS: it is the proxy that the gateway is told to use, as behind a company's
// firewall, so that the program is the one that ships and asks what it always
// asks.
func internet(t *testing.T, a *authority, names map[string]string) (proxy *url.URL) {
	t.Helper()
	var all []string
	for name := range names {
		all = append(all, name)
	}
	cert, key := a.issue(t, all...)
	pair, err := stdtls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", names[r.In.Host]
		r.Out.Host = r.In.Host
		intoBody(t, r.Out)
	}})
	front.TLS = &stdtls.Config{Certificates: []stdtls.Certificate{pair}, MinVersion: stdtls.VersionTLS12}
	front.StartTLS()
	t.Cleanup(front.Close)
	connect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, port, err := net.SplitHostPort(r.Host)
		if r.Method != http.MethodConnect || err != nil || port != "443" || names[name] == "" {
			t.Errorf("somebody wants to go to %s %s", r.Method, r.Host)
			http.Error(w, "there is no such host in this test", http.StatusBadGateway)
			return
		}
		tunnel(t, w, front.Listener.Addr().String())
	}))
	t.Cleanup(connect.Close)
	u, err := url.Parse(connect.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// intoBody moves the client's credentials to where emulate reads them: it
// advertises client_secret_basic for Google, and knows client_secret_post alone.
func intoBody(t *testing.T, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	r.Header.Del("Authorization")
	text := string(body) + "&" + url.Values{"client_id": {id}, "client_secret": {secret}}.Encode()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
}

func tunnel(t *testing.T, w http.ResponseWriter, to string) {
	there, err := net.Dial("tcp", to)
	if err != nil {
		t.Error(err)
		return
	}
	here, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n") // whoever left does not read it
	go func() {
		_, _ = io.Copy(there, here)
		_ = there.Close()
	}()
	go func() {
		_, _ = io.Copy(here, there)
		_ = here.Close()
	}()
}

const tenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"

// TestEmulatedProviders: somebody else's idea of GitHub, Google and Microsoft.
// It lacks /user/memberships/orgs and e-mail addresses that are not verified;
// those are in auth/idp.
func TestEmulatedProviders(t *testing.T) {
	a := newAuthority(t)
	ports := []string{freeAddr(t), freeAddr(t), freeAddr(t)}
	proxy := internet(t, a, map[string]string{
		"github.com": ports[0], "api.github.com": ports[0], "accounts.google.com": ports[1],
		"login.microsoftonline.com": ports[2], "graph.microsoft.com": ports[2],
	})
	l := newLobbyFor(t, a, func(callback string) []settings {
		args := []string{callback}
		for _, addr := range ports {
			args = append(args, port(t, addr))
		}
		cmd := nodeCommand(t, "emulate.mjs", args...)
		cmd.Env = append(cmd.Env, "CLIENT_SECRET="+clientSecret, "TENANT="+tenant)
		start(t, cmd).says(t, `(?m)^ready$`)
		provider := func(name string, more settings) settings {
			more["name"], more["clientID"], more["clientSecret"] = name, "gateway", clientSecret
			return more
		}
		return []settings{
			provider("github", settings{"allowedUsers": []string{"ada"}}),
			provider("google", settings{"allowedEmailDomains": []string{"example.com"}}),
			provider("microsoft", settings{"tenant": tenant, "allowedUsers": []string{"ada@example.com"}}),
		}
	}, "HTTPS_PROXY="+proxy.String(), "SSL_CERT_FILE="+a.file)
	for name, is := range map[string]string{"github": "github:", "google": "google:", "microsoft": "microsoft:"} {
		t.Run(name, func(t *testing.T) {
			v := &visitor{client: l.client(t), types: map[string]string{"provider": name, "email": "ada@example.com", "login": "ada"}}
			v.client.Transport.(*http.Transport).Proxy = func(r *http.Request) (*url.URL, error) {
				if strings.HasSuffix(r.URL.Hostname(), ".test") {
					return nil, nil
				}
				return proxy, nil
			}
			got := v.signIn(t, l.origin)
			if user := l.user(t, v.client, got.Access); !strings.HasPrefix(user, is) || user == is {
				t.Errorf("the token is of %q", user)
			}
			if next := l.refreshes(t, v, got); next.Access == "" {
				t.Error("the refresh buys nothing")
			}
		})
	}
}
