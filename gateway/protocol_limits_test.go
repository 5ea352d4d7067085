package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestZ17_authorization_requests_are_limited_per_address(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_AUTHORIZATIONSPERMINUTE", "3"), with("SERVER_TRUSTEDPROXIES", "127.0.0.1,192.0.2.128/25"))
	c := f.newClient(t, nil)
	from := func(forwarded ...string) answer {
		t.Helper()
		var headers []string
		for _, one := range forwarded {
			headers = append(headers, "X-Forwarded-For", one)
		}
		return f.newBrowser(t, headers...).once(t, c.authorizeURL())
	}
	f.leavesNothing(t, func() {
		for range 3 {
			from("192.0.2.1").wantSeeOther(t)
		}
		a := from("192.0.2.1")
		a.wantPage(t, http.StatusTooManyRequests, "Too many attempts")
		if a.Header.Get("Retry-After") != "20" {
			t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
		}
		// What a client adds in front does not make it another.
		from("203.0.113.9, 192.0.2.1").wantPage(t, http.StatusTooManyRequests, "Too many attempts")
		from("203.0.113.9", "192.0.2.1").wantPage(t, http.StatusTooManyRequests, "Too many attempts")
		from("192.0.2.1, 192.0.2.130").wantPage(t, http.StatusTooManyRequests, "Too many attempts")
		from("192.0.2.2").wantSeeOther(t)
		// One household of IPv6 is one client.
		for i := range 3 {
			from("2001:db8::" + string(rune('1'+i))).wantSeeOther(t)
		}
		from("2001:db8::ffff").wantPage(t, http.StatusTooManyRequests, "Too many attempts")
		from("2001:db8:0:1::1").wantSeeOther(t)
		f.forward(t, 20*time.Second)
		from("192.0.2.1").wantSeeOther(t)
	})
}

// S17: who has one request may send its answer again and again; each would be
// stored.
func TestS17_approvals_are_limited_per_address(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_AUTHORIZATIONSPERMINUTE", "5"))
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	form := page.form(t).values
	form.Set("decision", "allow")
	var cookies []string
	for name, value := range b.cookies(t, notes) {
		cookies = append(cookies, name+"="+value)
	}
	refused := 0
	for range 50 {
		a := f.ask(t, http.MethodPost, notes+"/consent", form.Encode(), "Cookie", strings.Join(cookies, "; "), "Content-Type", "application/x-www-form-urlencoded", "Origin", notes)
		if a.StatusCode == http.StatusTooManyRequests {
			a.wantPage(t, http.StatusTooManyRequests, "Too many attempts")
			refused++
		}
	}
	if n := f.records(t)["approved"]; n > 10 || refused == 0 {
		t.Errorf("one request has left %d records; %d answers were refused", n, refused)
	}
}

func TestT3_client_secrets_cannot_be_guessed_without_end(t *testing.T) {
	f := newFixture(t, with("PROXY_CLIENTS", robots))
	// A secret that was registered is 256 bits of ours: there is nothing to guess.
	c := f.newClient(t, map[string]any{"token_endpoint_auth_method": "client_secret_post"})
	if len(c.secret) < 43 {
		t.Errorf("the secret %q is short", c.secret)
	}
	for range 20 {
		a := f.ask(t, http.MethodPost, notes+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"robot"}, "client_secret": {"guess"}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		a.wantJSON(t, http.StatusUnauthorized, "invalid_client")
	}
}

func TestMemory_of_limits_is_bounded(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_AUTHORIZATIONSPERMINUTE", "3"), with("SERVER_TRUSTEDPROXIES", "127.0.0.1"))
	for i := range maxBuckets + 100 {
		f.limits.Take("authorizations", "10."+string(rune('0'+i%10))+".0."+strings.Repeat("x", i%3)+url.QueryEscape(string(rune(i))))
	}
	f.limits.mu.Lock()
	defer f.limits.mu.Unlock()
	if n := len(f.limits.buckets); n > maxBuckets || f.limits.order.Len() != n {
		t.Errorf("%d addresses are remembered", n)
	}
}
