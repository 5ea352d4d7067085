// Package doctortest runs a real small deployment for tests: TLS with an
// authority of its own, an authorization server, and a real MCP server behind
// both. It is good, but for the one fault that it is given; Matrix lists faults
// and which real clients fail by them.
//
// A faulty deployment says nothing of what is wrong with it.
package doctortest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/gateway/doctor"
	"mcp-oauth2-proxy/routing/routingtest"
)

// The public name of every deployment.
const (
	Host   = "mcp.example.com"
	Origin = "https://" + Host
	URL    = Origin + "/mcp" // that people type
)

// A Deployment is a real server: TLS, an authorization server, and a real MCP
// server behind both. It is good, but for the fault that a test gives it.
type Deployment struct {
	Fault
	server *httptest.Server
	mcp    http.Handler
	roots  *x509.CertPool

	mu      sync.Mutex
	clients map[string][]string // redirect URIs by client_id
	pending map[string]url.Values
	codes   map[string]url.Values
	access  map[string]bool
	renewal map[string]bool
}

// A Fault is what is not good about a deployment. The zero value is none.
type Fault struct {
	Addrs       []netip.Addr // of the name; default: one public IPv4 address
	NoAddr      bool
	Certificate func(*x509.Certificate)
	Alone       bool // the leaf is served without the intermediate
	Stranger    bool // the authority is not made known to the doctor

	Over      map[string]http.HandlerFunc          // served in place of a path
	Edit      func(doc string, m map[string]any)   // changes a document before it is served
	Challenge func(good string) string             // changes WWW-Authenticate
	In        func(next http.Handler) http.Handler // stands in front of everything

	Registers    func(uris []string) bool // refuses a whole registration
	NoFetch      bool                     // client metadata documents cannot be fetched
	ComparePorts bool
	Resource     func(string) bool // refuses a resource
	FollowAll    bool              // redirect URIs are not compared
	Iss          func(url.Values)
	NoRefresh    bool
	RefreshNeeds string // a parameter of a refresh
	NoTokens     bool   // the MCP server refuses the tokens
	AnyToken     bool   // it accepts any
}

// documents are those of the clients that have one (where they are in reality).
var documents = map[string][]string{
	"https://claude.ai/oauth/claude-code-client-metadata": {"http://localhost/callback", "http://127.0.0.1/callback"},
	"https://chatgpt.com/oauth/client.json":               {"https://chatgpt.com/connector_platform_oauth_redirect"},
	"https://vscode.dev/oauth/client-metadata.json":       {"http://127.0.0.1:33418/", "https://vscode.dev/redirect"},
}

// Deploy runs one until the test ends.
func Deploy(t testing.TB, f Fault) *Deployment {
	t.Helper()
	d := &Deployment{
		Fault: f, clients: map[string][]string{}, pending: map[string]url.Values{}, codes: map[string]url.Values{},
		access: map[string]bool{}, renewal: map[string]bool{},
	}
	upstream := routingtest.New(t, routingtest.Options{Era: routingtest.Sessions, Tools: []routingtest.Tool{{Name: "read_note", ReadOnly: true}}})
	d.mcp = proxyTo(t, upstream.URL)
	var h http.Handler = http.HandlerFunc(d.serve)
	if f.In != nil {
		h = f.In(h)
	}
	d.server = httptest.NewUnstartedServer(h)
	d.server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are the point
	d.server.TLS, d.roots = certified(t, f)
	d.server.EnableHTTP2 = true
	d.server.StartTLS()
	t.Cleanup(d.Close)
	return d
}

func proxyTo(t testing.TB, address string) http.Handler {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: u.Scheme, Host: u.Host})
			r.Out.Header.Del("Authorization")
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}
}

// authority is an authority and an intermediate one, made once.
var authority = sync.OnceValues(func() (root, between signer) {
	root = makeSigner("Doctor Test Root", signer{})
	return root, makeSigner("Doctor Test Intermediate", root)
})

type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func makeSigner(name string, by signer) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	if by.cert == nil {
		by = signer{template, key}
	}
	return signer{sign(template, by, key), key}
}

func sign(template *x509.Certificate, by signer, key *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

// certified is the TLS configuration, and the authorities that clients know.
func certified(t testing.TB, f Fault) (*stdtls.Config, *x509.CertPool) {
	t.Helper()
	root, between := authority()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, DNSNames: []string{Host},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(900 * time.Hour),
	}
	if f.Certificate != nil {
		f.Certificate(template)
	}
	served := stdtls.Certificate{Certificate: [][]byte{sign(template, between, key).Raw, between.cert.Raw}, PrivateKey: key}
	if f.Alone {
		served.Certificate = served.Certificate[:1]
	}
	roots := x509.NewCertPool()
	if !f.Stranger {
		roots.AddCert(root.cert)
	}
	return &stdtls.Config{Certificates: []stdtls.Certificate{served}}, roots
}

// Addr is where it listens, whatever the name.
func (d *Deployment) Addr() string { return d.server.Listener.Addr().String() }

// Close ends it before the test does, and waits for what it is doing.
func (d *Deployment) Close() {
	d.server.CloseClientConnections()
	d.server.Close()
}

// Know makes a client known that nobody registered.
func (d *Deployment) Know(id string, redirects ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clients[id] = redirects
}

// Left is how many tokens are still good.
func (d *Deployment) Left() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.access) + len(d.renewal)
}

// Authority is the certificate that clients trust, as PEM.
func (d *Deployment) Authority() []byte {
	root, _ := authority()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.cert.Raw})
}

// Options let a doctor find the deployment, and a person sign in.
func (d *Deployment) Options() doctor.Options {
	return doctor.Options{
		CA: d.roots, Idle: 20 * time.Millisecond, SignInWait: 20 * time.Second,
		SignIn: func(_ context.Context, address string) error { return d.Person(address) },
		Dial:   d.dial,
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			switch {
			case d.NoAddr:
				return nil, errors.New("no such host")
			case d.Addrs != nil:
				return d.Addrs, nil
			}
			return []netip.Addr{netip.MustParseAddr("203.0.113.7")}, nil
		},
	}
}

// dial leads every https address to the deployment; nothing listens elsewhere.
func (d *Deployment) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if _, port, _ := net.SplitHostPort(addr); port != "443" {
		return nil, errors.New("connection refused")
	}
	return (&net.Dialer{}).DialContext(ctx, network, d.server.Listener.Addr().String())
}

// Person signs in: one page, one button.
func (d *Deployment) Person(address string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	browser := &http.Client{Jar: jar, Transport: &http.Transport{
		TLSClientConfig:   &stdtls.Config{RootCAs: d.roots, MinVersion: stdtls.VersionTLS12},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasSuffix(addr, ".example.com:443") {
				return d.dial(ctx, network, addr)
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}}
	page, err := browser.Get(address)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(page.Body)
	_ = page.Body.Close()
	_, id, found := strings.Cut(string(text), `value="`)
	id, _, _ = strings.Cut(id, `"`)
	if err != nil || !found {
		return fmt.Errorf("the page is %s: %s", page.Status, text)
	}
	done, err := browser.PostForm(Origin+"/approve", url.Values{"r": {id}})
	if err != nil {
		return err
	}
	return done.Body.Close()
}

func (d *Deployment) serve(w http.ResponseWriter, r *http.Request) {
	if kind := kindOf(r.URL.Path); kind != "" {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type, MCP-Protocol-Version, Accept, Authorization")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	if h := d.Over[r.URL.Path]; h != nil {
		h(w, r)
		return
	}
	switch r.URL.Path {
	case "/mcp":
		d.call(w, r)
	case "/.well-known/oauth-protected-resource/mcp":
		d.document(w, "resource", d.resourceDocument(URL))
	case "/.well-known/oauth-protected-resource":
		d.document(w, "root resource", d.resourceDocument(Origin))
	case "/.well-known/oauth-authorization-server":
		d.document(w, "server", d.serverDocument())
	case "/.well-known/openid-configuration":
		d.document(w, "openid", d.serverDocument())
	case "/jwks":
		d.document(w, "jwks", map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}})
	case "/register":
		d.registration(w, r)
	case "/authorize":
		d.authorization(w, r)
	case "/approve":
		d.approve(w, r)
	case "/token":
		d.token(w, r)
	case "/revoke":
		d.revoke(w, r)
	default:
		answer(w, http.StatusNotFound, map[string]any{"error": "not_found"})
	}
}

// kindOf is what pages of other origins may use.
func kindOf(path string) string {
	switch {
	case strings.HasPrefix(path, "/.well-known/"), path == "/register", path == "/token":
		return "shared"
	}
	return ""
}

func answer(w http.ResponseWriter, status int, v map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (d *Deployment) document(w http.ResponseWriter, name string, m map[string]any) {
	if d.Edit != nil {
		d.Edit(name, m)
	}
	answer(w, http.StatusOK, m)
}

func (d *Deployment) resourceDocument(resource string) map[string]any {
	return map[string]any{"resource": resource, "authorization_servers": []string{Origin}, "scopes_supported": []string{"notes:read"}}
}

func (d *Deployment) serverDocument() map[string]any {
	return map[string]any{
		"issuer": Origin, "authorization_endpoint": Origin + "/authorize", "token_endpoint": Origin + "/token",
		"registration_endpoint": Origin + "/register", "revocation_endpoint": Origin + "/revoke", "jwks_uri": Origin + "/jwks",
		"scopes_supported": []string{"notes:read", "offline_access"}, "response_types_supported": []string{"code"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"token_endpoint_auth_methods_supported":          []string{"none", "client_secret_basic"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true, "client_id_metadata_document_supported": true,
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
	}
}

func (d *Deployment) call(w http.ResponseWriter, r *http.Request) {
	token, sent := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	d.mu.Lock()
	good := sent && (d.AnyToken || d.access[token] && !d.NoTokens)
	d.mu.Unlock()
	if good {
		d.mcp.ServeHTTP(w, r)
		return
	}
	parts := fmt.Sprintf(`resource_metadata="%s/.well-known/oauth-protected-resource/mcp", scope="notes:read"`, Origin)
	if sent {
		parts = `error="invalid_token", ` + parts
	}
	value := "Bearer " + parts
	if d.Challenge != nil {
		value = d.Challenge(value)
	}
	if value != "" {
		w.Header().Set("WWW-Authenticate", value)
	}
	answer(w, http.StatusUnauthorized, map[string]any{"error": "unauthorized"})
}

func (d *Deployment) registration(w http.ResponseWriter, r *http.Request) {
	var said map[string]any
	var uris []string
	if err := json.NewDecoder(r.Body).Decode(&said); err == nil {
		for _, uri := range said["redirect_uris"].([]any) {
			uris = append(uris, uri.(string))
		}
	}
	if d.Registers != nil && !d.Registers(uris) {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_redirect_uri"})
		return
	}
	id := rand.Text()
	d.mu.Lock()
	d.clients[id] = uris
	d.mu.Unlock()
	said["client_id"] = id
	if d.Edit != nil {
		d.Edit("registration", said)
	}
	answer(w, http.StatusCreated, said)
}

// known says whether a redirect URI belongs to a client.
func (d *Deployment) known(id, redirect string) bool {
	d.mu.Lock()
	uris := d.clients[id]
	d.mu.Unlock()
	if uris == nil && !d.NoFetch {
		uris = documents[id]
	}
	if uris != nil && d.FollowAll {
		return true
	}
	return slices.ContainsFunc(uris, func(uri string) bool {
		return uri == redirect || !d.ComparePorts && withoutPort(uri) == withoutPort(redirect)
	})
}

// withoutPort takes the port off a URI on loopback (RFC 8252 §7.3).
func withoutPort(uri string) string {
	u, err := url.Parse(uri)
	if err == nil && u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1") {
		u.Host = u.Hostname()
		return u.String()
	}
	return uri
}

func (d *Deployment) authorization(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	resource := q.Get("resource")
	good := resource == "" || strings.HasPrefix(resource, Origin)
	if d.Resource != nil {
		good = d.Resource(resource)
	}
	w.Header().Set("Content-Type", "text/html")
	if !d.known(q.Get("client_id"), q.Get("redirect_uri")) || !good || q.Get("code_challenge_method") != "S256" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, "<h1>This app cannot be connected</h1>")
		return
	}
	if d.FollowAll && strings.Contains(q.Get("redirect_uri"), ".invalid") {
		http.Redirect(w, r, q.Get("redirect_uri")+"?error=access_denied", http.StatusSeeOther)
		return
	}
	id := rand.Text()
	d.mu.Lock()
	d.pending[id] = q
	d.mu.Unlock()
	fmt.Fprintf(w, `<form method="post" action="/approve"><input type="hidden" name="r" value="%s"><button>Allow</button></form>`, id)
}

func (d *Deployment) approve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	q := d.pending[r.FormValue("r")]
	code := rand.Text()
	d.codes[code] = q
	d.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {Origin}}
	if d.Iss != nil {
		d.Iss(back)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusSeeOther)
}

func (d *Deployment) token(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		answer(w, http.StatusMethodNotAllowed, map[string]any{"error": "invalid_request"})
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch r.FormValue("grant_type") {
	case "authorization_code":
		q := d.codes[r.FormValue("code")]
		delete(d.codes, r.FormValue("code"))
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if q == nil || q.Get("client_id") != r.FormValue("client_id") || q.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
	case "refresh_token":
		good := d.renewal[r.FormValue("refresh_token")]
		if !good || d.RefreshNeeds != "" && r.FormValue(d.RefreshNeeds) == "" {
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
		delete(d.renewal, r.FormValue("refresh_token"))
	}
	access, refresh := "access-"+rand.Text(), "refresh-"+rand.Text()
	d.access[access] = true
	said := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 3600, "scope": "notes:read"}
	if !d.NoRefresh {
		d.renewal[refresh] = true
		said["refresh_token"] = refresh
	}
	answer(w, http.StatusOK, said)
}

// revoke ends everything: there is one grant.
func (d *Deployment) revoke(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.access)
	clear(d.renewal)
	w.WriteHeader(http.StatusOK)
}
