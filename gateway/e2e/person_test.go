//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/oauth2"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// serveHTTP serves the handler until the test ends, and returns its origin.
func serveHTTP(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections() // streams do not end by themselves
		s.Close()
	})
	return s.URL
}

// trouble counts what went wrong on the way and was tried again.
type trouble struct {
	answered    atomic.Int64          // what went right
	unavailable atomic.Int64          // 503
	lost        atomic.Int64          // connections
	wordless    atomic.Int64          // 503 without Retry-After
	restarts    atomic.Int64          // flows begun again, because the server said so
	last        atomic.Pointer[error] // of the errors of lost connections
}

// A person has a browser and a client of a cluster. Each of their requests goes
// to another replica than the one before, and is tried again while the answer
// is 503 or none.
type person struct {
	*cluster
	name, clientID string
	hc             *http.Client
	step           atomic.Int64
	trouble        *trouble
}

// redirectURI is a web client's: it can prove who it is, so that a consent is
// remembered.
const redirectURI = "https://client.example.com/callback"

func (c *cluster) person(t *testing.T, name string, tr *trouble) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{cluster: c, name: name, trouble: tr}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == c.host {
				addr = c.pins[int(p.step.Add(1))%len(c.pins)]
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}
	p.hc = &http.Client{Jar: jar, Transport: transport, Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	at, err := url.Parse(c.provider.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(at, []*http.Cookie{{Name: idptest.PersonCookie, Value: name}})
	return p
}

// An answer is one that is neither 503 nor lost.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	location *url.URL
	again    int // how often it was asked for before
}

// ask sends a request until there is an answer.
func (p *person) ask(ctx context.Context, req *http.Request) (*answer, error) {
	for again := 0; ; again++ {
		a, err := p.once(ctx, req)
		if err == nil && a.status != http.StatusServiceUnavailable {
			a.again = again
			p.trouble.answered.Add(1)
			return a, nil
		}
		if err == nil {
			p.trouble.unavailable.Add(1)
			if a.header.Get("Retry-After") == "" {
				p.trouble.wordless.Add(1)
			}
			if to := tryAgain(a); to != "" { // what the page says, not what was asked
				return &answer{status: http.StatusSeeOther, location: req.URL.ResolveReference(&url.URL{Path: "/signin", RawQuery: strings.TrimPrefix(to, "/signin?")})}, nil
			}
		} else {
			p.trouble.lost.Add(1)
			p.trouble.last.Store(&err)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s %s was never answered", req.Method, req.URL.Path), err, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *person) once(ctx context.Context, req *http.Request) (*answer, error) {
	req = req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req.Body = body
	}
	res, err := p.hc.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	a := &answer{status: res.StatusCode, header: res.Header}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	a.location, _ = res.Location()
	return a, nil
}

// tryAgain is the link of an error page that leads back into the sign-in.
func tryAgain(a *answer) string {
	_, rest, found := strings.Cut(string(a.body), `href="/signin?`)
	if !found {
		return ""
	}
	query, _, _ := strings.Cut(rest, `"`)
	return "/signin?" + html.UnescapeString(query)
}

// errRestart is the server's word that a flow must be begun again.
var errRestart = errors.New("to be begun again")

// browse goes through the pages to the redirect URI, and says whether the
// consent page was among them.
func (p *person) browse(ctx context.Context, from string) (query url.Values, asked bool, err error) {
	v := &visitor{types: map[string]string{"provider": "oidc"}, saw: map[string][]string{}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	for range 30 {
		if err != nil {
			return nil, asked, err
		}
		if strings.HasPrefix(req.URL.String(), redirectURI) {
			return req.URL.Query(), asked, nil
		}
		var a *answer
		if a, err = p.ask(ctx, req); err != nil {
			return nil, asked, err
		}
		if a.location != nil {
			req, err = http.NewRequestWithContext(ctx, http.MethodGet, a.location.String(), nil)
			continue
		}
		page, parseErr := html.Parse(strings.NewReader(string(a.body)))
		if parseErr != nil {
			return nil, asked, parseErr
		}
		form := find(page, func(n *html.Node) bool { return n.Data == "form" && strings.EqualFold(attr(n, "method"), "post") })
		if a.status != http.StatusOK || form == nil {
			return nil, asked, fmt.Errorf("%w: %s says %d: %s", errRestart, req.URL.Path, a.status, words(page))
		}
		asked = asked || req.URL.Path == "/consent"
		req, err = v.fill(req, form)
	}
	return nil, asked, fmt.Errorf("%s never leads back", from)
}

// register makes the person's client known.
func (p *person) register(ctx context.Context) error {
	body := fmt.Sprintf(`{"client_name":"Client of %s","redirect_uris":[%q],"token_endpoint_auth_method":"none"}`, p.name, redirectURI)
	a, err := p.post(ctx, "/register", "application/json", body)
	if err != nil {
		return err
	}
	var client struct {
		ID string `json:"client_id"`
	}
	if a.status != http.StatusCreated || json.Unmarshal(a.body, &client) != nil {
		return fmt.Errorf("/register: %d %s", a.status, a.body)
	}
	p.clientID = client.ID
	return nil
}

func (p *person) post(ctx context.Context, path, kind, body string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.origin()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", kind)
	return p.ask(ctx, req)
}

// A code is what a flow yields, with what it takes to redeem it.
type code struct{ value, verifier string }

// authorize takes the person from the client through the pages and back.
func (p *person) authorize(ctx context.Context) (code, bool, error) {
	verifier, state := oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	query, asked, err := p.browse(ctx, p.origin()+"/authorize?"+url.Values{"response_type": {"code"}, "client_id": {p.clientID},
		"redirect_uri": {redirectURI}, "state": {state}, "code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)},
		"code_challenge_method": {"S256"}, "resource": {p.origin() + "/mcp"}}.Encode())
	if err != nil {
		return code{}, asked, err
	}
	if query.Get("code") == "" || query.Get("state") != state || query.Get("iss") != p.origin() {
		return code{}, asked, fmt.Errorf("the client is sent back with %v", query)
	}
	return code{query.Get("code"), verifier}, asked, nil
}

// redeem asks for the tokens of a code.
func (p *person) redeem(ctx context.Context, c code) (tokens, *answer, error) {
	return p.tokens(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {c.value}, "code_verifier": {c.verifier},
		"redirect_uri": {redirectURI}, "resource": {p.origin() + "/mcp"}})
}

func (p *person) refresh(ctx context.Context, token string) (tokens, *answer, error) {
	return p.tokens(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (p *person) tokens(ctx context.Context, form url.Values) (tokens, *answer, error) {
	form.Set("client_id", p.clientID)
	a, err := p.post(ctx, "/token", "application/x-www-form-urlencoded", form.Encode())
	if err != nil {
		return tokens{}, nil, err
	}
	var got tokens
	if a.status == http.StatusOK {
		err = json.Unmarshal(a.body, &got)
	}
	return got, a, err
}

// revoke ends a session from the client's side.
func (p *person) revoke(ctx context.Context, token string) error {
	a, err := p.post(ctx, "/revoke", "application/x-www-form-urlencoded", url.Values{"client_id": {p.clientID}, "token": {token}}.Encode())
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("/revoke: %d %s", a.status, a.body)
	}
	return err
}

const readNote = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{}}}`

// call calls a tool, and returns the status.
func (p *person) call(ctx context.Context, access string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.origin()+"/mcp", strings.NewReader(readNote))
	if err != nil {
		return 0, err
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + access}}
	a, err := p.ask(ctx, req)
	if err != nil {
		return 0, err
	}
	if a.status == http.StatusOK && !strings.Contains(string(a.body), "a note") {
		return 0, fmt.Errorf("the call is answered %s", a.body)
	}
	return a.status, nil
}

// session is the whole flow, from the registration to a call.
func (p *person) session(ctx context.Context) (tokens, error) {
	if p.clientID == "" {
		if err := p.register(ctx); err != nil {
			return tokens{}, err
		}
	}
	c, _, err := p.authorize(ctx)
	if err != nil {
		return tokens{}, err
	}
	got, a, err := p.redeem(ctx, c)
	if err != nil {
		return tokens{}, err
	}
	if a.status != http.StatusOK {
		return tokens{}, fmt.Errorf("%w: /token: %d %s", errRestart, a.status, a.body)
	}
	status, err := p.call(ctx, got.Access)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the first call is answered %d", status)
	}
	return got, err
}

// disconnect ends all connections on the account page.
func (p *person) disconnect(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.origin()+"/account", strings.NewReader("action=end-all"))
	if err != nil {
		return err
	}
	req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {p.origin()}, "Sec-Fetch-Site": {"same-origin"}}
	a, err := p.ask(ctx, req)
	if err == nil && (a.status != http.StatusOK || !strings.Contains(string(a.body), "have ended")) {
		err = fmt.Errorf("/account: %d %s", a.status, a.body)
	}
	return err
}

// What follows asks once, and takes 503 for an answer.

func (p *person) get(t *testing.T, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.origin()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func (p *person) posting(t *testing.T, path, form string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.origin()+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

func (p *person) calling(t *testing.T, access string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.origin()+"/mcp", strings.NewReader(readNote))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + access}}
	return req
}

// expects one answer with the status. A 503 says when to come back.
func (p *person) expects(t *testing.T, req *http.Request, status int) {
	t.Helper()
	a, err := p.once(t.Context(), req)
	if err != nil || a.status != status {
		t.Errorf("%s %s is answered %v, %v; want %d", req.Method, req.URL.Path, a, err, status)
		return
	}
	if status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
		t.Errorf("%s %s is 503 without Retry-After", req.Method, req.URL.Path)
	}
}

// awaits the status on the way from 200 to 503 or back; anything else is wrong.
func (p *person) awaits(t *testing.T, req *http.Request, status int) time.Time {
	t.Helper()
	for late := time.Now().Add(patience); time.Now().Before(late); time.Sleep(50 * time.Millisecond) {
		a, err := p.once(t.Context(), req)
		switch {
		case err != nil:
			t.Fatal(err)
		case a.status == status:
			return time.Now()
		case a.status != http.StatusOK && a.status != http.StatusServiceUnavailable:
			t.Fatalf("%s %s is answered %d", req.Method, req.URL.Path, a.status)
		}
	}
	t.Fatalf("%s %s is never answered %d", req.Method, req.URL.Path, status)
	return time.Time{}
}
