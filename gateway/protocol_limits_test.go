package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth"
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

func TestT3_a_registered_secret_has_256_bits_of_which_none_is_told(t *testing.T) {
	f := newFixture(t)
	seen := map[string]bool{}
	for range 5 {
		c := f.newClient(t, map[string]any{"token_endpoint_auth_method": "client_secret_post"})
		if len(c.secret) < 43 || seen[c.secret] || strings.Contains(c.id, c.secret[:10]) {
			t.Errorf("the secret %q of %s", c.secret, c.id)
		}
		seen[c.secret] = true
	}
}

func TestZ17_the_memory_of_limits_is_bounded(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_AUTHORIZATIONSPERMINUTE", "3"))
	for i := range maxBuckets + 100 {
		f.limits.Take(auth.Authorizations, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
	}
	f.limits.mu.Lock()
	defer f.limits.mu.Unlock()
	if n := len(f.limits.buckets); n > maxBuckets || f.limits.order.Len() != n {
		t.Errorf("%d addresses are remembered", n)
	}
}
