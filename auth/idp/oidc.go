package idp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// openID is the flow of every OpenID provider; Google and Microsoft build on it.
type openID struct {
	discovery    discovery
	clientID     string
	clientSecret string
	scopes       []string
	groupsClaim  string
	naming       naming
	picks        bool // it is known to let people pick an account
	client       *http.Client
	now          func() time.Time
}

func newOIDC(c Config, o Options) *openID {
	return &openID{
		discovery:    discovery{issuer: c.IssuerURL, client: o.Client, log: o.Log},
		clientID:     c.ClientID,
		clientSecret: c.ClientSecret,
		scopes:       withScopes([]string{oidc.ScopeOpenID, "profile", "email"}, c.Scopes),
		groupsClaim:  c.GroupsClaim,
		naming:       c.naming(),
		client:       o.Client,
		now:          o.Now,
	}
}

func withScopes(scopes, extra []string) []string {
	for _, scope := range extra {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

// Begin implements Flow.
func (f *openID) Begin(ctx context.Context, a Attempt) (string, error) {
	m, err := f.discovery.get(ctx)
	if err != nil {
		return "", err
	}
	if !f.picks && !slices.Contains(m.Prompts, selectAccount) {
		a.Prompt = loginInstead(a.Prompt)
	}
	return authURL(f.config(m), a, oidc.Nonce(a.Nonce))
}

const selectAccount = "select_account"

// loginInstead asks for a sign-in where an account was to be picked: providers
// may refuse a prompt that they do not know, but all have to know this one
// (OpenID Connect Core §15.1).
func loginInstead(prompt string) string {
	asked := strings.Fields(prompt)
	kept := slices.DeleteFunc(slices.Clone(asked), func(p string) bool { return p == selectAccount })
	if len(kept) < len(asked) && !slices.Contains(kept, "login") {
		kept = append(kept, "login")
	}
	return strings.Join(kept, " ")
}

func (f *openID) prepare(ctx context.Context) error {
	_, err := f.discovery.get(ctx)
	return err
}

func (f *openID) config(m *discovered) oauth2.Config {
	return oauth2.Config{ClientID: f.clientID, ClientSecret: f.clientSecret, Endpoint: m.endpoint(), Scopes: f.scopes}
}

// Finish implements Flow.
func (f *openID) Finish(ctx context.Context, a Attempt, query url.Values) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, flowTimeout)
	defer cancel()
	m, token, c, err := f.prove(ctx, a, query)
	if err != nil {
		return Identity{}, err
	}
	if err := f.complete(ctx, m, token, c); err != nil {
		return Identity{}, err
	}
	email := c.email()
	return f.naming.name(Identity{
		ID:       c.text("sub"),
		Username: c.username(email),
		Email:    email,
		Name:     cleanText(c.text("name")),
		Groups:   c.groups(f.groupsClaim),
	})
}

// prove redeems the code and returns what the ID token proves.
func (f *openID) prove(ctx context.Context, a Attempt, query url.Values) (*discovered, *oauth2.Token, claims, error) {
	m, err := f.discovery.get(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	code, err := readCode(query, m.Issuer, m.SendsIss)
	if err != nil {
		return nil, nil, nil, err
	}
	token, err := exchange(ctx, f.config(m), a, f.client, code)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := m.verifyIDToken(ctx, token, f.clientID, a.Nonce, f.now)
	return m, token, c, err
}

// complete asks the userinfo endpoint for what the ID token lacks. An endpoint
// that fails ends the sign-in: to go on without the groups would be to refuse
// the person for a reason that is not theirs.
func (f *openID) complete(ctx context.Context, m *discovered, token *oauth2.Token, c claims) error {
	lacks := func(name string) bool { return !c.has(name) }
	wanted := []string{"email", "email_verified", "preferred_username", f.groupsClaim}
	if m.UserInfoURL == "" || !slices.ContainsFunc(wanted, lacks) {
		return nil
	}
	var info claims
	if err := getJSON(ctx, f.client, m.UserInfoURL, token.AccessToken, &info); err != nil {
		return fmt.Errorf("%w: userinfo: %w", ErrUnavailable, err)
	}
	if sub := info.text("sub"); sub == "" || sub != c.text("sub") {
		return fmt.Errorf("%w: userinfo is about somebody else", ErrInvalid)
	}
	c.fill(info)
	return nil
}
