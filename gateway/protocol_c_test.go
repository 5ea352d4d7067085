package gateway

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What auth/clients tests of client ID metadata documents, as people and
// clients meet it.

// publisher is a server with the document of a client.
type publisher struct {
	*httptest.Server
	hits atomic.Int64
	show atomic.Pointer[http.HandlerFunc]
}

func newPublisher(t testing.TB) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.hits.Add(1)
		(*p.show.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	p.publish(`{"client_id":%q,"client_name":"Published client","redirect_uris":["https://client.example/cb","http://127.0.0.1/cb"]}`)
	return p
}

func (p *publisher) id() string { return p.URL + "/client.json" }

// publish shows a document; %q is its URL.
func (p *publisher) publish(document string) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=60")
		if strings.Contains(document, "%q") {
			_, _ = fmt.Fprintf(w, document, p.id())
			return
		}
		_, _ = w.Write([]byte(document))
	})
	p.show.Store(&h)
}

func TestC1_C3_C5_C7_C13_a_client_is_known_by_its_document(t *testing.T) {
	p := newPublisher(t)
	f := newFixture(t, fetching(p.Client()))
	c, b := &client{f: f, origin: notes, id: p.id(), redirect: "https://client.example/cb"}, f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	for _, says := range []string{"“Published client”", "Returns to client.example", "127.0.0.1", "This address publishes the app’s description"} {
		page.wantPage(t, http.StatusOK, says)
	}
	tok := c.redeem(t, c.finish(t, b, page, "notes:read").Get("code")).tokens(t)
	if claims(t, tok.access)["client_id"] != p.id() {
		t.Errorf("claims %v", claims(t, tok.access))
	}
	c.refresh(t, tok.refresh).tokens(t)
	if n := p.hits.Load(); n != 1 {
		t.Errorf("C7: fetched %d times", n)
	}
	c.redirect = "https://evil.example/cb"
	b.open(t, c.authorizeURL()).wantPage(t, http.StatusBadRequest, "did not register")
	// C18: the same id at another host of the gateway.
	there := &client{f: f, origin: mail, id: p.id(), redirect: "http://127.0.0.1:7777/cb"}
	if q := there.finish(t, b, b.open(t, there.authorizeURL()), "notes:read"); q.Get("code") == "" {
		t.Errorf("at mail: %v", q)
	}
}

func TestC8_a_document_that_is_not_valid_is_a_page_and_a_401_and_leads_nowhere(t *testing.T) {
	for name, document := range map[string]string{
		"not JSON":                `<html>`,
		"another client_id":       `{"client_id":"https://other.example/c","client_name":"x","redirect_uris":["https://client.example/cb"]}`,
		"no client_id":            `{"client_name":"x","redirect_uris":["https://client.example/cb"]}`,
		"no name":                 `{"client_id":%q,"redirect_uris":["https://client.example/cb"]}`,
		"no redirect_uris":        `{"client_id":%q,"client_name":"x"}`,
		"a secret":                `{"client_id":%q,"client_name":"x","redirect_uris":["https://client.example/cb"],"client_secret":"s"}`,
		"a symmetric method":      `{"client_id":%q,"client_name":"x","redirect_uris":["https://client.example/cb"],"token_endpoint_auth_method":"client_secret_basic"}`,
		"more than five kilobyte": `{"client_id":%q,"client_name":"x","redirect_uris":["https://client.example/cb"],"x":"` + strings.Repeat("x", 6<<10) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			p.publish(document)
			f := newFixture(t, fetching(p.Client()))
			c := &client{f: f, origin: notes, id: p.id(), redirect: "https://client.example/cb"}
			f.leavesNothing(t, func() {
				b := f.newBrowser(t)
				a := b.open(t, c.authorizeURL())
				a.wantPage(t, http.StatusBadRequest, "This app is not known here")
				if len(a.links(t)) != 0 || len(b.cookies(t, notes)) != 0 {
					t.Errorf("it leads to %v", a.links(t))
				}
				c.redeem(t, "code").wantJSON(t, http.StatusUnauthorized, "invalid_client")
			})
			// C7: what was not valid is not kept.
			p.publish(`{"client_id":%q,"client_name":"x","redirect_uris":["https://client.example/cb"]}`)
			f.newBrowser(t).open(t, c.authorizeURL()).wantPage(t, http.StatusOK, "Allow access")
		})
	}
}

func TestC9_C10_what_is_inside_is_never_fetched(t *testing.T) {
	p := newPublisher(t)
	f := newFixture(t) // with the client of production
	for _, id := range []string{p.id(), strings.Replace(p.id(), "127.0.0.1", "[::1]", 1), strings.Replace(p.id(), "127.0.0.1", "[::ffff:127.0.0.1]", 1), "https://169.254.169.254/latest/meta-data", "https://10.0.0.1/c", "https://0.0.0.0/c"} {
		c := &client{f: f, origin: notes, id: id, redirect: "https://client.example/cb"}
		f.leavesNothing(t, func() {
			a := f.newBrowser(t).open(t, c.authorizeURL())
			if a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%s: %s", id, a.Status)
			}
			a.wantPage(t, a.StatusCode, "")
		})
	}
	if p.hits.Load() != 0 {
		t.Error("an address inside was asked")
	}
}

func TestC13_S11_a_document_with_loopback_only_is_warned_of(t *testing.T) {
	p := newPublisher(t)
	p.publish(`{"client_id":%q,"client_name":"Local","redirect_uris":["http://localhost/callback","http://127.0.0.1/callback"]}`)
	f := newFixture(t, fetching(p.Client()))
	c := &client{f: f, origin: notes, id: p.id(), redirect: "http://localhost:50000/callback"}
	f.newBrowser(t).open(t, c.authorizeURL()).wantPage(t, http.StatusOK, "Did you start this?")
}

func TestC5_S5_a_redirect_URI_that_left_the_document_is_not_used_any_more(t *testing.T) {
	p := newPublisher(t)
	f := newFixture(t, fetching(p.Client()))
	c, b := &client{f: f, origin: notes, id: p.id(), redirect: "https://client.example/cb"}, f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	p.publish(`{"client_id":%q,"client_name":"Published client","redirect_uris":["https://elsewhere.example/cb"]}`)
	if q := c.finish(t, b, page, "notes:read"); q.Get("code") == "" {
		t.Fatalf("while the document is kept: %v", q)
	}
	page = b.open(t, c.authorizeURL("prompt", "consent"))
	f.forward(t, time.Minute) // what the document says it may be kept for
	f.leavesNothing(t, func() { b.allow(t, page, "notes:read").wantPage(t, http.StatusBadRequest, "This page has expired") })
	b.open(t, c.authorizeURL()).wantPage(t, http.StatusBadRequest, "did not register")
}

func TestC11_C17_fetches_for_strangers_are_limited(t *testing.T) {
	p := newPublisher(t)
	f := newFixture(t, fetching(p.Client()))
	refused := 0
	f.leavesNothing(t, func() {
		for i := range 60 {
			c := &client{f: f, origin: notes, id: fmt.Sprintf("%s/%d.json", p.URL, i), redirect: "https://client.example/cb"}
			a := f.newBrowser(t).open(t, c.authorizeURL())
			a.wantPage(t, a.StatusCode, "Reference")
			if a.StatusCode == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "" {
				refused++
			}
		}
	})
	if n := p.hits.Load(); n > 30 || refused < 30 {
		t.Errorf("%d documents were fetched, %d refused", n, refused)
	}
}
