package idptest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// hosts leads names of the internet to servers of this machine.
type hosts map[string]string

// RoundTrip implements http.RoundTripper. A name that is not listed does not
// exist: no test leaves the machine.
func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	address, ok := h[r.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no such host in this test: %s", r.URL.Host)
	}
	r = r.Clone(r.Context())
	r.Host = r.URL.Host
	r.URL.Scheme, r.URL.Host = "http", address
	return http.DefaultTransport.RoundTrip(r)
}

// Visit plays the browser at the provider: it goes to the URL that a sign-in
// begins with and returns the query that the provider sends back.
func (s *site) Visit(t testing.TB, begin string) url.Values {
	t.Helper()
	client := s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, begin, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	back, err := url.Parse(res.Header.Get("Location"))
	if err != nil || res.StatusCode != http.StatusFound {
		t.Fatalf("the provider answers %s, want a redirect to the callback", res.Status)
	}
	return back.Query()
}

// spoil keeps the signature and changes what it signs.
func spoil(signed string, payload []byte) string {
	var claims map[string]any
	_ = json.Unmarshal(payload, &claims)
	claims["sub"] = "somebody-else"
	changed, _ := json.Marshal(claims)
	parts := strings.Split(signed, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString(changed)
	return strings.Join(parts, ".")
}
