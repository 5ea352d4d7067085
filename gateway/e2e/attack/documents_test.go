//go:build e2e

package attack

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	stdtls "crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// A publisher is a web server with client ID metadata documents.
type publisher struct {
	origin string

	mu   sync.Mutex
	docs map[string]document // by path
}

// A document is an answer to who fetches one.
type document struct {
	status int    // 0: 200
	kind   string // empty: JSON
	to     string // of a redirect
	body   string
	keep   bool // for a while
}

func newPublisher(t testing.TB, addr string, pair stdtls.Certificate) *publisher {
	t.Helper()
	l, err := net.Listen("tcp", addr+":0")
	if err != nil {
		t.Fatal(err)
	}
	p := &publisher{origin: "https://" + l.Addr().String(), docs: map[string]document{}}
	s := &http.Server{Handler: http.HandlerFunc(p.serve), TLSConfig: &stdtls.Config{Certificates: []stdtls.Certificate{pair}}}
	go func() { _ = s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close() })
	return p
}

func (p *publisher) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	d, there := p.docs[r.URL.Path]
	p.mu.Unlock()
	if !there {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", cmp.Or(d.kind, "application/json"))
	w.Header().Set("Cache-Control", "no-store")
	if d.keep {
		w.Header().Set("Cache-Control", "max-age=86400")
	}
	if d.to != "" {
		w.Header().Set("Location", d.to)
	}
	w.WriteHeader(cmp.Or(d.status, http.StatusOK))
	_, _ = io.WriteString(w, d.body)
}

func (p *publisher) publish(path string, d document) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.docs[path] = d
}

// described is what a document says of a client.
func described(id string, more map[string]any, redirects ...string) string {
	said := map[string]any{"client_id": id, "client_name": "Notebook", "redirect_uris": redirects, "token_endpoint_auth_method": "none"}
	maps.Copy(said, more)
	b, _ := json.Marshal(said)
	return string(b)
}

// newKeyed is an honest client that has published its key.
func (w *world) newKeyed() *client {
	c := &client{w: w, name: "keyed", redirect: "https://keyed." + domain + "/cb", honest: true, ids: map[string]string{}, pending: map[string]*flow{}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.tb.Fatal(err)
	}
	c.key = key
	id := w.press.origin + "/keyed.json"
	w.press.publish("/keyed.json", document{keep: true, body: described(id, map[string]any{
		"token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": []any{publicJWK(w.tb, key)}}}, c.redirect)})
	for _, s := range w.sites {
		c.ids[s.origin] = id
	}
	return c
}

// newMine is a client of the attacker's, whose document changes.
func (w *world) newMine() *client {
	c := &client{w: w, name: "mine", redirect: "https://evil." + domain + "/mine", ids: map[string]string{}, pending: map[string]*flow{}}
	for _, s := range w.sites {
		c.ids[s.origin] = w.rogues.origin + "/mine.json"
	}
	w.listed = []string{c.redirect}
	w.publishMine()
	return c
}

func (w *world) publishMine() {
	w.rogues.publish("/mine.json", document{body: described(w.rogues.origin+"/mine.json", map[string]any{"client_name": hostile}, w.listed...)})
}

// publishes: the attacker's document lists other addresses from now on.
func (w *world) publishes() {
	other := "https://evil." + domain + "/elsewhere"
	w.listed = pick(w, [][]string{{w.mine.redirect}, {w.mine.redirect}, {other}, {other, w.mine.redirect}})
	w.publishMine()
}

// poses: the attacker's documents are not whole, or their address is not written
// as addresses are. Whoever is believed by one is somebody else to another reader.
func (w *world) poses() {
	redirect := "https://evil." + domain + "/cb"
	path := "/posed.json"
	id := w.rogues.origin + path
	doc := document{body: described(id, nil, redirect)}
	how := pick(w, []string{"another's name", "a name twice", "no end", "elsewhere", "a secret", "a page", "nowhere", "a guest", "dots", "more dots", "a port"})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(w.rogues.origin, "https://"))
	switch how {
	case "another's name":
		doc.body = described(w.keyed.ids[w.notes.origin], nil, redirect)
	case "a name twice":
		doc.body = strings.Replace(doc.body, "{", `{"client_id":"`+w.keyed.ids[w.notes.origin]+`",`, 1)
	case "no end":
		doc.body = described(id, map[string]any{"client_uri": strings.Repeat("x", 6<<10)}, redirect)
	case "elsewhere":
		w.rogues.publish("/whole.json", doc)
		doc = document{status: http.StatusFound, to: w.rogues.origin + "/whole.json"}
	case "a secret":
		doc.body = described(id, map[string]any{"client_secret": "which everybody can read"}, redirect)
	case "a page":
		doc.kind = "text/html"
	case "nowhere":
		doc.status = http.StatusNotFound
	case "a guest":
		id = "https://" + honestAddr + "@" + rogueAddr + ":" + port + path
	case "dots":
		id, path = w.rogues.origin+"/x/.."+path, "/x/.."+path
	case "more dots":
		id, path = w.rogues.origin+"/x/%2e%2e"+path, "/x/.."+path
	case "a port":
		id = "https://" + rogueAddr + ":0" + port + path
	}
	if slices.Contains([]string{"a guest", "dots", "more dots", "a port"}, how) {
		doc.body = described(id, nil, redirect)
	}
	w.rogues.publish(path, doc)
	s := w.anySite()
	a := w.send(w.request(http.MethodGet, s.origin+"/authorize?"+w.asksAs(id, redirect), ""))
	w.said["a document is not whole"]++
	if a.to != nil && a.to.Host == s.host && a.to.Path == "/consent" {
		w.breaks("no client by a document that is not whole", "%s: %s believes %s", how, s.name, id)
	}
}

// asksAs are the parameters with which a client asks for a code.
func (w *world) asksAs(id, redirect string) string {
	return url.Values{"response_type": {"code"}, "client_id": {id}, "redirect_uri": {redirect}, "code_challenge_method": {"S256"},
		"code_challenge": {oauth2.S256ChallengeFromVerifier("x")}, "state": {"x"}}.Encode()
}

// baits names addresses that only the inside has, as clients do.
func (w *world) baits() {
	host := pick(w, append([]string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0x7f000001", "2130706433", "0"}, insideAddrs...))
	if strings.Contains(host, ":") && host[0] != '[' {
		host = "[" + host + "]"
	}
	address := "https://" + host + ":" + w.bait.port + "/client.json?" + oauth2.GenerateVerifier()
	redirect := "https://evil." + domain + "/cb"
	s := w.anySite()
	switch w.rng.IntN(4) {
	case 0:
		w.post(s.origin+"/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {address}, "code": {"x"}, "code_verifier": {"x"}})
	case 1: // where its keys are
		id := w.rogues.origin + "/baited.json"
		w.rogues.publish("/baited.json", document{body: described(id, map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": address}, redirect)})
		form := url.Values{"grant_type": {"authorization_code"}, "client_id": {id}, "code": {"x"}, "code_verifier": {"x"}}
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", w.keyed.asserts(id, id, []string{s.origin}, time.Minute))
		w.post(s.origin+"/token", form)
	default:
		w.attacker.open(s.origin+"/authorize?"+w.asksAs(address, redirect), "")
	}
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// A proof is an assertion by which the client with a key says that it is it.
type proof struct {
	aud   []string
	other bool // about another client of the same key
	ends  time.Time
	spent bool
}

// asserts signs an assertion (RFC 7523 §3).
func (c *client) asserts(iss, sub string, aud []string, life time.Duration) string {
	now := time.Now()
	claims := map[string]any{"iss": iss, "sub": sub, "aud": aud, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(life).Unix()}
	assertion := signed(c.w.tb, c.key, "JWT", claims)
	c.w.proofs.put(assertion, &proof{aud: aud, other: iss != c.ids[c.w.notes.origin] || sub != iss, ends: now.Add(life)})
	return assertion
}

// proves adds to a form what shows that the client sends it: its secret, or an
// assertion for this host.
func (c *client) proves(s *site, form url.Values) {
	if c.secret != "" {
		form.Set("client_secret", c.secret)
	}
	if c.key != nil {
		id := c.ids[s.origin]
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", c.asserts(id, id, []string{s.origin}, time.Minute))
	}
}

// asKeyed authenticates the client with a key, or tries to: with what it said
// before, elsewhere, or of another, and with nothing.
func (w *world) asKeyed(s *site, form url.Values) {
	c, id := w.keyed, w.keyed.ids[s.origin]
	form.Set("client_assertion_type", assertionType)
	switch w.rng.IntN(10) {
	case 0:
		form.Del("client_assertion_type")
	case 1: // by a key of the attacker's
		own := *c
		own.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		assertion := own.asserts(id, id, []string{s.origin}, time.Minute)
		w.proofs.of[assertion].other = true
		form.Set("client_assertion", assertion)
	case 2, 3: // said before
		form.Set("client_assertion", cmp.Or(pick(w, w.proofs.keys), "x.y.z"))
	case 4: // for another authorization server, which it tells from ours
		form.Set("client_assertion", c.asserts(id, id, []string{pick(w, []string{"https://as.evil." + domain, w.anySite().origin})}, time.Minute))
	case 5: // of another client of the same publisher
		other := w.press.origin + "/other.json"
		form.Set("client_assertion", pick(w, []string{c.asserts(other, other, []string{s.origin}, time.Minute), c.asserts(other, id, []string{s.origin}, time.Minute)}))
	case 6: // found long after
		form.Set("client_assertion", c.asserts(id, id, []string{s.origin}, -5*time.Minute))
	default: // as its user, who makes it send this
		c.proves(s, form)
	}
}

// speaksFor: the attacker has what the client with a key was given for it, and
// would like to use it without the client.
func (w *world) speaksFor() {
	f := pick(w, slices.DeleteFunc(slices.Clone(w.families), func(f *family) bool {
		person, _ := w.personOf(subjectOf(w, f))
		return f.ended || f.current == "" || person == "victim" || f.clientID != w.keyed.ids[f.site.origin]
	}))
	if f == nil {
		return
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.current}, "client_id": {f.clientID}}
	w.asKeyed(f.site, form)
	w.refreshesAs(f, f.site, form)
}

// proven says whether a form shows that its client sends it, and notes what is
// spent by that.
func (w *world) proven(s *site, form url.Values) bool {
	switch form.Get("client_id") {
	case "portal":
		return form.Get("client_secret") == portalSecret
	case w.keyed.ids[s.origin]:
		p := w.proofs.of[form.Get("client_assertion")]
		if p == nil || form.Get("client_assertion_type") != assertionType || p.other || p.spent || !time.Now().Before(p.ends.Add(time.Minute)) ||
			slices.ContainsFunc(p.aud, func(aud string) bool { return aud != s.origin }) {
			return false
		}
		p.spent = true
	}
	return true
}
