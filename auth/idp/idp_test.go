package idp_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/auth/idp/idptest"
)

const callback = "https://mcp.example.com/callback"

var attempt = idp.Attempt{
	RedirectURI: callback,
	State:       "state-of-the-test",
	Nonce:       "nonce-of-the-test",
	Verifier:    "a-verifier-of-at-least-forty-three-characters-long",
}

// openID is a configuration for p that lets anybody in.
func openID(p *idptest.Provider) idp.Config {
	return idp.Config{
		Name: "oidc", ID: "company", IssuerURL: p.Issuer, AllowAnyone: true,
		ClientID: idptest.ClientID, ClientSecret: idptest.ClientSecret,
	}
}

func newProvider(t *testing.T, c idp.Config, client *http.Client) *idp.Provider {
	t.Helper()
	client.Timeout = 2 * time.Second // so that "slow" is over soon, and a busy machine is not slow
	p, err := idp.New(c, idp.Options{
		Client: client,
		Log:    slog.New(slog.DiscardHandler),
		Getenv: func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signIn goes to the provider and back.
func signIn(t *testing.T, p *idp.Provider, visit func(testing.TB, string) url.Values) (idp.Identity, error) {
	t.Helper()
	begin, err := p.Flow.Begin(t.Context(), attempt)
	if err != nil {
		return idp.Identity{}, err
	}
	id, err := p.Flow.Finish(t.Context(), attempt, visit(t, begin))
	if err != nil {
		return id, err
	}
	return id, p.Allow(id)
}

// want is the error that a row expects: one of the sentinels, or a refusal.
type want struct {
	is      error
	refused bool
}

func (w want) check(t *testing.T, id idp.Identity, err error) {
	t.Helper()
	var refusal *idp.Refusal
	switch {
	case w.refused && (!errors.As(err, &refusal) || refusal.Account == "" || refusal.Reason == ""):
		t.Errorf("got %v, want a refusal with account and reason", err)
	case !w.refused && !errors.Is(err, w.is):
		t.Errorf("got %v, want %v", err, w.is)
	}
	if err != nil && refusal == nil && (id.ID != "" || id.Subject != "") {
		t.Errorf("an identity came with the error: %+v", id)
	}
}
