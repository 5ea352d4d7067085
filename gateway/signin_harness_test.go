package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

const (
	tasks = "https://tasks.example.com"

	redirectURI  = "http://127.0.0.1:1/callback"
	codeVerifier = "a-verifier-of-at-least-forty-three-characters-long"
)

// A house is a gateway that answers at its hosts, over TLS.
type house struct {
	*Gateway
	config    string
	server    *httptest.Server
	audit     *journal
	log       *journal
	late      atomic.Int64 // how far its clock is ahead
	providers *http.Client
}

// journal collects lines.
type journal struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	flush func(context.Context) error // of who writes behind the back of others
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) String() string {
	if j.flush != nil {
		_ = j.flush(context.Background()) // or it is closed, and everything is there
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// count is how often an event was recorded.
func (j *journal) count(event string) int {
	return strings.Count(j.String(), fmt.Sprintf(`"audit":%q`, event))
}

// host is how a house is configured: its providers, and what else there is.
func signinConfig(providers, more string) string {
	return "providers: [" + providers + `]
proxy:
  ` + more + `
  hosts: [{host: notes.example.com, name: Notes}, {host: tasks.example.com, name: Tasks}]
tls: {mode: "off"}
token: {algorithm: ES256}
store: {url: "memory:"}
server: {adminAddr: "", httpAddr: "", limits: {failedSigninsPerMinute: 3}}
`
}

// newHouse opens one. client leads to the identity providers.
func newHouse(t *testing.T, config string, client *http.Client) *house {
	t.Helper()
	h := &house{config: config, audit: &journal{}, log: &journal{}, providers: client}
	g, err := New(t.Context(), loads(t, config), Options{
		Log: slog.New(slog.NewTextHandler(h.log, nil)), Audit: h.audit, providers: client,
		Now: func() time.Time { return time.Now().Add(time.Duration(h.late.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Gateway = g
	h.audit.flush = g.audit.Flush
	// The signing keys are made beside the first requests.
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.ring.Run(ctx) // it ends with the test
	}()
	h.server = httptest.NewTLSServer(g)
	t.Cleanup(func() {
		h.server.Close()
		stop()
		<-done
		g.Close()
	})
	return h
}

// reload puts another configuration into force.
func (h *house) reload(t *testing.T, config string) {
	t.Helper()
	if err := h.Reload(t.Context(), loads(t, config)); err != nil {
		t.Fatal(err)
	}
}

// A person has a browser, which knows the way to every host of the house.
type person struct {
	house  *house
	client *http.Client
	visit  func(testing.TB, string) url.Values // plays the browser at the provider
}

func (h *house) person(t *testing.T, visit func(testing.TB, string) url.Values) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(h.server.Certificate())
	transport := &http.Transport{
		TLSClientConfig: &stdtls.Config{RootCAs: roots, MinVersion: stdtls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, h.server.Listener.Addr().String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &person{house: h, visit: visit, client: &http.Client{
		Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// A view is where a browser has arrived.
type view struct {
	at     *url.URL
	status int
	body   string
	to     string // of a redirect
}

func (v view) title() string {
	_, rest, _ := strings.Cut(v.body, "<h1>")
	title, _, _ := strings.Cut(rest, "</h1>")
	return regexp.MustCompile("<[^>]*>").ReplaceAllString(title, "")
}

// says looks for a text on the page.
func (v view) says(text string) bool { return strings.Contains(html.UnescapeString(v.body), text) }

func (p *person) send(t *testing.T, req *http.Request) view {
	t.Helper()
	res, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	v := view{at: req.URL, status: res.StatusCode, body: string(body)}
	if res.StatusCode/100 == 3 {
		to, err := res.Location()
		if err != nil {
			t.Fatal(err)
		}
		v.to = to.String()
	}
	return v
}

func (p *person) get(t *testing.T, address string) view {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.send(t, req)
}

// post sends a form, as a page of that host would.
func (p *person) post(t *testing.T, address string, form url.Values) view {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	return p.send(t, req)
}

// follow goes where redirects lead, through the identity provider, until there
// is a page or the client's redirect URI.
func (p *person) follow(t *testing.T, v view) view {
	t.Helper()
	for range 10 {
		switch {
		case v.to == "" || strings.HasPrefix(v.to, redirectURI):
			return v
		case p.atProvider(t, v.to):
			v = p.get(t, p.back(t, v.to))
		default:
			v = p.get(t, v.to)
		}
	}
	t.Fatalf("the redirects do not end: %s", v.to)
	return v
}

func (p *person) atProvider(t *testing.T, address string) bool {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return !strings.HasSuffix(u.Host, ".example.com")
}

// back is where the provider sends the browser that went to begin.
func (p *person) back(t *testing.T, begin string) string {
	t.Helper()
	u, err := url.Parse(begin)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("redirect_uri") + "?" + p.visit(t, begin).Encode()
}

// asks begins an authorization and allows it; the sign-in comes next, unless
// the person is signed in.
func (p *person) asks(t *testing.T, origin string, extra url.Values) view {
	t.Helper()
	v := p.page(t, origin, extra)
	if v.status != http.StatusOK {
		t.Fatalf("the consent page: %d %s", v.status, v.body)
	}
	return p.post(t, origin+"/consent", url.Values{"r": {v.field("r")}, "decision": {"allow"}})
}

// page is the consent page.
func (p *person) page(t *testing.T, origin string, extra url.Values) view {
	t.Helper()
	sum := sha256.Sum256([]byte(codeVerifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {p.register(t, origin)}, "redirect_uri": {redirectURI}, "state": {"of-the-client"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for name, values := range extra {
		q[name] = values
	}
	return p.follow(t, p.get(t, origin+"/authorize?"+q.Encode()))
}

// field is the value of the first field of that name.
func (v view) field(name string) string {
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(v.body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// register makes the client known; the same metadata is the same client.
func (p *person) register(t *testing.T, origin string) string {
	t.Helper()
	var client struct {
		ID string `json:"client_id"`
	}
	body := fmt.Sprintf(`{"client_name":"Desk","redirect_uris":[%q],"token_endpoint_auth_method":"none"}`, redirectURI)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, origin+"/register", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	v := p.send(t, req)
	if err := json.Unmarshal([]byte(v.body), &client); err != nil || v.status != http.StatusCreated {
		t.Fatalf("register: %d %s", v.status, v.body)
	}
	return client.ID
}

// tokenAnswer is the answer of the token endpoint.
type tokenAnswer struct {
	status  int
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
}

func (p *person) token(t *testing.T, origin string, form url.Values) tokenAnswer {
	t.Helper()
	form.Set("client_id", p.register(t, origin))
	v := p.post(t, origin+"/token", form)
	out := tokenAnswer{status: v.status}
	if err := json.Unmarshal([]byte(v.body), &out); err != nil {
		t.Fatalf("the token endpoint answers %d %s", v.status, v.body)
	}
	return out
}

// redeem spends the code that a sign-in ended with.
func (p *person) redeem(t *testing.T, origin string, v view) tokenAnswer {
	t.Helper()
	u, err := url.Parse(v.to)
	if err != nil || u.Query().Get("code") == "" || u.Query().Get("state") != "of-the-client" || u.Query().Get("iss") != origin {
		t.Fatalf("the sign-in ends at %d %q (%q), want a code", v.status, v.to, v.title())
	}
	got := p.token(t, origin, url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {redirectURI}, "code_verifier": {codeVerifier},
	})
	if got.status != http.StatusOK || got.Access == "" || got.Refresh == "" {
		t.Fatalf("the code buys %+v", got)
	}
	return got
}

func (p *person) refresh(t *testing.T, origin, token string) tokenAnswer {
	t.Helper()
	return p.token(t, origin, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// whoami is what an MCP server would be told of the token's user.
func (p *person) whoami(t *testing.T, origin, token string) (user string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin+"/authenticate", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.Header.Get("X-Forwarded-User"), res.StatusCode
}

// oidcProvider is the configuration of an OpenID provider of idptest.
func oidcProvider(server *idptest.Provider, id, rule string) string {
	return fmt.Sprintf("{name: oidc, id: %s, issuerURL: %q, clientID: %s, clientSecret: %s, %s}", id, server.Issuer, idptest.ClientID, idptest.ClientSecret, rule)
}
