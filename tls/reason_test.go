package tls

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

func TestFailuresAreToldPlainly(t *testing.T) {
	verify := errors.New(`acme/autocert: unable to satisfy "https://ca/authz" for domain "mcp.example.com": no viable challenge type found`)
	for name, tc := range map[string]struct {
		problems []problem
		err      error
		reason   Reason
		wait     time.Duration
		says     string
	}{
		"too often, until": {nil, &acme.Error{StatusCode: 429, ProblemType: "urn:ietf:params:acme:error:rateLimited", Detail: "too many certificates", Header: http.Header{"Retry-After": {"7200"}}},
			ReasonRateLimited, 2 * time.Hour, "too many certificates"},
		"too often, without a time":   {nil, &acme.Error{StatusCode: 429, ProblemType: "urn:ietf:params:acme:error:rateLimited"}, ReasonRateLimited, limitAgain, "status 429"},
		"too often, a proxy says":     {nil, &acme.Error{StatusCode: 429, Detail: "slow down"}, ReasonRateLimited, limitAgain, "slow down"},
		"no":                          {nil, &acme.Error{StatusCode: 403, ProblemType: "urn:ietf:params:acme:error:rejectedIdentifier", Detail: "policy forbids"}, ReasonRefused, 0, "the CA refuses: policy forbids"},
		"broken":                      {nil, &acme.Error{StatusCode: 503, Detail: "maintenance"}, ReasonUnavailable, 0, "maintenance"},
		"down":                        {nil, &url.Error{Op: "Get", URL: "https://ca/", Err: errors.New("connection refused")}, ReasonUnavailable, 0, "cannot be reached: connection refused"},
		"silent":                      {nil, context.DeadlineExceeded, ReasonUnavailable, 0, "in time"},
		"the name has no address":     {[]problem{{"urn:ietf:params:acme:error:dns", "NXDOMAIN"}}, verify, ReasonDNS, 0, "NXDOMAIN"},
		"the ports are closed":        {[]problem{{"urn:ietf:params:acme:error:connection", "Timeout"}}, verify, ReasonUnreachable, 0, "Timeout"},
		"another server answered":     {[]problem{{"urn:ietf:params:acme:error:unauthorized", "404"}}, verify, ReasonDNS, 0, "404"},
		"CAA forbids":                 {[]problem{{"urn:ietf:params:acme:error:caa", "CAA record"}}, verify, ReasonRefused, 0, "CAA"},
		"the last proof counts":       {[]problem{{"tls", "first"}, {"connection", "second"}}, verify, ReasonUnreachable, 0, "second"},
		"what the CA said is no line": {[]problem{{"", "a\r\n\x1b[31mb" + strings.Repeat("x", 1000)}}, verify, ReasonRefused, 0, "a   [31mbx"},
		"something else":              {nil, errors.New("surprise"), ReasonRefused, 0, "surprise"},
	} {
		t.Run(name, func(t *testing.T) {
			f := (&wire{problems: tc.problems}).failure(tc.err)
			if f.reason != tc.reason || f.wait != tc.wait || !strings.Contains(f.problem, tc.says) || f.cause == nil || len(f.problem) > 400 {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestTheReasonIsLookedForHere(t *testing.T) {
	cache := &memory{}
	stranger := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(stranger.Close)
	var a *Automatic
	ours := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.HTTPHandler(http.NotFoundHandler()).ServeHTTP(w, r) }))
	t.Cleanup(ours.Close)
	for name, tc := range map[string]struct {
		addrs    []string
		lookup   error
		dial     map[string]string
		problem  string
		reason   Reason
		contains string
	}{
		"DNS has no address":       {nil, &net.DNSError{IsNotFound: true}, nil, "connection", ReasonDNS, "DNS has no address for mcp.example.com"},
		"DNS points elsewhere":     {[]string{"192.0.2.1"}, nil, map[string]string{"192.0.2.1:80": stranger.URL, "192.0.2.1:443": stranger.URL}, "unauthorized", ReasonDNS, "DNS does not point here: at 192.0.2.1"},
		"both ports are closed":    {[]string{"192.0.2.1"}, nil, nil, "connection", ReasonUnreachable, "ports 443 and 80 of 192.0.2.1"},
		"port 443 is closed":       {[]string{"192.0.2.1"}, nil, map[string]string{"192.0.2.1:80": ours.URL}, "connection", ReasonUnreachable, "port 443 of 192.0.2.1"},
		"port 80 is closed":        {[]string{"192.0.2.1"}, nil, map[string]string{"192.0.2.1:443": ours.URL}, "connection", ReasonUnreachable, "port 80 of 192.0.2.1"},
		"one of two is elsewhere":  {[]string{"192.0.2.1", "2001:db8::1"}, nil, map[string]string{"192.0.2.1:80": ours.URL, "192.0.2.1:443": ours.URL, "[2001:db8::1]:80": stranger.URL}, "unauthorized", ReasonDNS, "at 2001:db8::1"},
		"from here it looks good":  {[]string{"192.0.2.1"}, nil, map[string]string{"192.0.2.1:80": ours.URL, "192.0.2.1:443": ours.URL}, "connection", ReasonUnreachable, "the CA could not verify the name: as it says"},
		"DNS cannot be asked here": {nil, errors.New("no resolver"), nil, "connection", ReasonUnreachable, "the CA could not verify the name: as it says"},
	} {
		t.Run(name, func(t *testing.T) {
			a = automatic(t, cache, "https://ca.invalid", "", func(o *ACME) {
				o.Lookup = func(context.Context, string) ([]string, error) { return tc.addrs, tc.lookup }
				o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					u, err := url.Parse(tc.dial[addr])
					if err != nil || u.Host == "" {
						return nil, errors.New("connection refused")
					}
					return (&net.Dialer{}).DialContext(ctx, network, u.Host)
				}
			})
			a.port80.Store(true)
			f := a.explain(t.Context(), "mcp.example.com", proofFailed(problem{tc.problem, "as it says"}, errBroken))
			if f.reason != tc.reason || !strings.Contains(f.problem, tc.contains) || !strings.Contains(f.problem, "as it says") {
				t.Errorf("%s: %s", f.reason, f.problem)
			}
		})
	}
	if len(cache.data) != 0 {
		t.Errorf("left in the cache: %v", cache.data)
	}
}
