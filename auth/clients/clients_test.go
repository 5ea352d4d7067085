package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store/memory"
)

const issuer = "https://notes.example.com"

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// newRegistry returns a registry with everything on, at noon, but for what edit changes.
func newRegistry(t testing.TB, edit func(*Options)) *Registry {
	t.Helper()
	o := Options{
		Secret: bytes.Repeat([]byte{7}, 32), Store: memory.New(1 << 20),
		Dynamic: true, Documents: true, Now: func() time.Time { return noon },
	}
	if edit != nil {
		edit(&o)
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// anchored compiles expressions the way the configuration does.
func anchored(expressions ...string) []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, e := range expressions {
		all = append(all, regexp.MustCompile(`\A(?:`+e+`)\z`))
	}
	return all
}

// refusedWith fails the test unless err is an Error of that code, fit to be
// shown to a client.
func refusedWith(t *testing.T, err error, code string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if e.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
	bad := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
	if e.Description == "" || strings.ContainsFunc(e.Description, bad) {
		t.Errorf("the description %q is not fit for RFC 6749 §5.2", e.Description)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
