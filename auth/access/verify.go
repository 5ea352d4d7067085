package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/keys"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// The errors of Verify. Their texts are fit for an error_description.
var (
	ErrInvalid     = errors.New("the access token is not valid here")
	ErrExpired     = errors.New("the access token expired")
	ErrRevoked     = errors.New("the access token was revoked")
	ErrUnavailable = errors.New("the access token cannot be checked now")
)

// Verifier believes access tokens, or does not.
type Verifier struct {
	keys    *keys.Ring
	revoked func(grant string) (bool, error)
	now     func() time.Time
}

// NewVerifier returns a Verifier of what ring's keys signed. revoked says
// whether a grant has ended, or that this cannot be known now; it is asked on
// every Verify and must not block.
func NewVerifier(ring *keys.Ring, revoked func(string) (bool, error), now func() time.Time) *Verifier {
	return &Verifier{ring, revoked, now}
}

// Verify returns what a token says if it was signed by us for a client of this
// very issuer and is good now (RFC 9068 §4). audience is the origin that it
// must have been issued for.
func (v *Verifier) Verify(ctx context.Context, raw, issuer, audience string) (*Token, error) {
	alg, kid, err := v.glance(raw, issuer)
	if err != nil {
		return nil, err
	}
	key, err := v.keys.Public(ctx, kid)
	if errors.Is(err, keys.ErrUnavailable) {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if key.Algorithm != alg {
		return nil, fmt.Errorf("%w: its key signs with another algorithm", ErrInvalid)
	}
	payload, err := jws.Verify([]byte(raw), jws.WithKey(key.Algorithm, key.Key))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	t, err := decode(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := v.judge(t, issuer, audience); err != nil {
		return nil, err
	}
	return t, nil
}

// glance refuses what cannot be ours before any signature work is done for
// it: a forged token costs more to check than a good one.
func (v *Verifier) glance(raw, issuer string) (jwa.SignatureAlgorithm, string, error) {
	// The decoder skips line ends; one token has one spelling here.
	if len(raw) > MaxSize || strings.ContainsAny(raw, "\r\n") {
		return "", "", fmt.Errorf("%w: it is too long or has line ends", ErrInvalid)
	}
	head, rest, ok := strings.Cut(raw, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || sig == "" || strings.Contains(sig, ".") {
		return "", "", fmt.Errorf("%w: not a signed token", ErrInvalid)
	}
	var h struct {
		Alg  jwa.SignatureAlgorithm `json:"alg"`
		Kid  string                 `json:"kid"`
		Typ  string                 `json:"typ"`
		Crit json.RawMessage        `json:"crit"`
	}
	if err := segment(head, &h); err != nil {
		return "", "", err
	}
	typ := strings.TrimPrefix(strings.ToLower(h.Typ), "application/")
	if typ != Type || h.Kid == "" || h.Crit != nil || (h.Alg != jwa.RS256 && h.Alg != jwa.ES256) {
		return "", "", fmt.Errorf("%w: not an access token", ErrInvalid)
	}
	var c struct {
		Issuer string `json:"iss"`
		Expiry int64  `json:"exp"`
	}
	if err := segment(body, &c); err != nil {
		return "", "", err
	}
	if c.Issuer != issuer {
		return "", "", fmt.Errorf("%w: another issuer", ErrInvalid)
	}
	if !v.now().Before(time.Unix(c.Expiry, 0).Add(Leeway)) {
		return "", "", ErrExpired
	}
	return h.Alg, h.Kid, nil
}

func segment(s string, into any) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return fmt.Errorf("%w: not base64url", ErrInvalid)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: not JSON", ErrInvalid)
	}
	return nil
}

// judge checks what a token of ours says against where and when it is shown.
func (v *Verifier) judge(t *Token, issuer, audience string) error {
	now := v.now()
	switch {
	case t.Issuer != issuer:
		return fmt.Errorf("%w: another issuer", ErrInvalid)
	case !slices.Contains(t.Audience, audience):
		return fmt.Errorf("%w: another audience", ErrInvalid)
	case !now.Before(t.Expiry.Add(Leeway)):
		return ErrExpired
	case now.Add(Leeway).Before(t.NotBefore), now.Add(Leeway).Before(t.IssuedAt):
		return fmt.Errorf("%w: not yet", ErrInvalid)
	case t.Grant == "":
		return nil
	}
	revoked, err := v.revoked(t.Grant)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case revoked:
		return ErrRevoked
	}
	return nil
}
