package idp

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// assertionType marks an identity assertion authorization grant, so that no
// other token of the same provider is taken for one.
const assertionType = "oauth-id-jag+jwt"

const (
	maxAssertion     = 16 << 10
	maxAssertionLife = time.Hour
	assertionLeeway  = time.Minute
)

// A TrustedIssuer is an identity provider whose word replaces a browser: an
// organization manages there which client may act for which user at which
// server (Enterprise-Managed Authorization, ID-JAG).
type TrustedIssuer struct {
	IssuerURL string
	Provider  string // ID of the configured provider whose users these are, and whose rules hold
	found     *discovery
	now       func() time.Time
}

// NewTrustedIssuer returns the issuer; it is discovered at its first use.
func NewTrustedIssuer(issuerURL, provider string, o Options) *TrustedIssuer {
	o = o.withDefaults()
	return &TrustedIssuer{issuerURL, provider, &discovery{issuer: issuerURL, client: o.Client, log: o.Log}, o.Now}
}

// An Assertion is what a trusted issuer says: this client may act for this user
// at this resource.
type Assertion struct {
	ID       string // jti: it may be used once
	Identity Identity
	ClientID string
	Audience string // the authorization server it is for
	Resource []string
	Scope    string
	Expiry   time.Time
}

// AssertedIssuer reads who an assertion says it is from, unverified: it only
// picks the issuer to verify with.
func AssertedIssuer(raw string) string {
	var c struct {
		Issuer string `json:"iss"`
	}
	parts := strings.Split(raw, ".")
	if len(raw) > maxAssertion || len(parts) != 3 || jsonSegment(parts[1], &c) != nil {
		return ""
	}
	return c.Issuer
}

// Verify returns what an assertion says, or ErrInvalid, or ErrUnavailable. Who
// it is for is the caller's to compare.
func (t *TrustedIssuer) Verify(ctx context.Context, raw string) (Assertion, error) {
	if err := checkAssertionType(raw); err != nil {
		return Assertion{}, fmt.Errorf("%w: assertion: %w", ErrInvalid, err)
	}
	m, err := t.found.get(ctx)
	if err != nil {
		return Assertion{}, err
	}
	keys := &watchedKeys{KeySet: m.keys}
	verifier := oidc.NewVerifier(m.Issuer, keys, &oidc.Config{SkipClientIDCheck: true, SupportedSigningAlgs: signingAlgs, Now: t.now})
	token, err := verifier.Verify(ctx, raw)
	if keys.unreachable {
		return Assertion{}, fmt.Errorf("%w: fetch the keys of %s", ErrUnavailable, m.Issuer)
	}
	if err != nil {
		return Assertion{}, fmt.Errorf("%w: assertion: %w", ErrInvalid, err)
	}
	a, err := t.read(token)
	if err != nil {
		return Assertion{}, fmt.Errorf("%w: assertion: %w", ErrInvalid, err)
	}
	return a, nil
}

func checkAssertionType(raw string) error {
	var h struct{ Typ string }
	head, _, _ := strings.Cut(raw, ".")
	if len(raw) > maxAssertion || jsonSegment(head, &h) != nil {
		return errors.New("not a signed token")
	}
	if !strings.EqualFold(strings.TrimPrefix(strings.ToLower(h.Typ), "application/"), assertionType) {
		return fmt.Errorf("its type is not %s", assertionType)
	}
	return nil
}

func jsonSegment(s string, into any) error {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

func (t *TrustedIssuer) read(token *oidc.IDToken) (Assertion, error) {
	var c struct {
		ID       string     `json:"jti"`
		ClientID string     `json:"client_id"`
		Resource stringList `json:"resource"`
		Scope    string     `json:"scope"`
		Email    string     `json:"email"`
		Verified any        `json:"email_verified"`
	}
	if err := token.Claims(&c); err != nil {
		return Assertion{}, errors.New("its claims cannot be read")
	}
	now := t.now()
	subject := cleanText(token.Subject)
	switch {
	case subject == "" || c.ID == "" || c.ClientID == "" || len(c.Resource) == 0 || token.IssuedAt.IsZero():
		return Assertion{}, errors.New("a required claim is missing")
	case len(token.Audience) != 1:
		return Assertion{}, errors.New("it is not for one audience")
	case token.IssuedAt.After(now.Add(assertionLeeway)):
		return Assertion{}, errors.New("it is from the future")
	case token.Expiry.After(now.Add(maxAssertionLife)):
		return Assertion{}, errors.New("it lives longer than an hour")
	}
	id := Identity{Provider: t.Provider, ID: subject, Subject: t.Provider + ":" + subject}
	if c.Verified == true || c.Verified == "true" {
		if email, _, ok := canonicalEmail(c.Email); ok {
			id.Email = email
		}
	}
	return Assertion{
		ID: c.ID, Identity: id, ClientID: c.ClientID, Audience: token.Audience[0], Resource: c.Resource, Scope: c.Scope, Expiry: token.Expiry,
	}, nil
}

// stringList is one string or several.
type stringList []string

func (l *stringList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = stringList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// FindIssuer returns the trusted issuer of this name; nil if there is none.
func FindIssuer(all []*TrustedIssuer, issuer string) *TrustedIssuer {
	i := slices.IndexFunc(all, func(t *TrustedIssuer) bool { return issuer != "" && t.IssuerURL == issuer })
	if i < 0 {
		return nil
	}
	return all[i]
}
