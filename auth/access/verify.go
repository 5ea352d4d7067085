package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

// Verifier believes access tokens, or does not. What its user knows of one that
// is believed is a T.
type Verifier[T any] struct {
	keys    *keys.Ring
	revoked func(grant string) (bool, error)
	now     func() time.Time
	of      func(*Token) T
	seen    *cache[T]
	headed  atomic.Pointer[head] // what was read last: the tokens of a key have the same one
}

// A head is what a token says of its signature.
type head struct {
	segment string // as it was read
	alg     jwa.SignatureAlgorithm
	kid     string
}

// NewVerifier returns a Verifier of what ring's keys signed. revoked says
// whether a grant has ended, or that this cannot be known now; it is asked on
// every Verify and must not block. of makes of a token what Verify returns: some
// structs, and texts of the token at most once more, percent-encoded.
func NewVerifier[T any](ring *keys.Ring, revoked func(string) (bool, error), now func() time.Time, of func(*Token) T) *Verifier[T] {
	return &Verifier[T]{keys: ring, revoked: revoked, now: now, of: of, seen: &cache[T]{}}
}

// Verify returns what is made of a token if it was signed by us for a client of
// this very issuer and is good now (RFC 9068 §4). audience is the origin that it
// must have been issued for.
//
// The signature of a token is checked once, and remembered for as long as its
// key is good, and so is what was made of it: whoever shows the token is given
// the same, so nothing in it may be changed. All else is judged each time.
func (v *Verifier[T]) Verify(ctx context.Context, raw, issuer, audience string) (made T, err error) {
	if len(raw) > MaxSize {
		return made, fmt.Errorf("%w: it is too long", ErrInvalid)
	}
	key := keyOf(raw)
	if e := v.seen.get(&key); e != nil {
		if v.keys.Holds(e.kid) {
			return v.again(e, issuer, audience)
		}
		v.seen.drop(&key)
	}
	t, kid, err := v.first(ctx, raw, issuer, audience)
	if err != nil {
		return made, err
	}
	e := &cached[T]{key: key, kid: kid, token: t.clone(), made: v.of(t)}
	v.seen.put(e, v.now())
	return e.made, nil
}

// again judges a token whose signature is known to be good.
func (v *Verifier[T]) again(e *cached[T], issuer, audience string) (made T, err error) {
	if err := v.judge(&e.token, issuer, audience); err != nil {
		if errors.Is(err, ErrExpired) {
			v.seen.drop(&e.key)
		}
		return made, err
	}
	return e.made, nil
}

// first judges a token that was not seen before. What cannot be good here is
// refused before any work is done for its signature, for a forged token costs
// more to check than a good one. kid is the key that signed it.
func (v *Verifier[T]) first(ctx context.Context, raw, issuer, audience string) (t *Token, kid string, err error) {
	first, body, sig, err := segments(raw)
	if err != nil {
		return nil, "", err
	}
	h, err := v.header(first)
	if err != nil {
		return nil, "", err
	}
	payload, err := decoded(body)
	if err != nil {
		return nil, "", err
	}
	if t, err = decode(payload); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := v.fits(t, issuer, audience); err != nil {
		return nil, "", err
	}
	if err := v.signed(ctx, raw[:len(first)+1+len(body)], sig, h.alg, h.kid); err != nil {
		return nil, "", err
	}
	if err := v.judge(t, issuer, audience); err != nil {
		return nil, "", err
	}
	v.headed.Store(h)
	return t, h.kid, nil
}

// segments takes a compact JWS apart (RFC 7515 §3.1).
func segments(raw string) (head, body, sig string, err error) {
	// The decoder skips line ends; one token has one spelling here.
	if strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
		return "", "", "", fmt.Errorf("%w: it has line ends", ErrInvalid)
	}
	head, rest, ok := strings.Cut(raw, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || sig == "" || strings.Contains(sig, ".") {
		return "", "", "", fmt.Errorf("%w: not a signed token", ErrInvalid)
	}
	return head, body, sig, nil
}

// header reads what a token says of its signature: just enough to find the key.
func (v *Verifier[T]) header(segment string) (*head, error) {
	if last := v.headed.Load(); last != nil && last.segment == segment {
		return last, nil
	}
	var h struct {
		Alg  jwa.SignatureAlgorithm `json:"alg"`
		Kid  string                 `json:"kid"`
		Typ  string                 `json:"typ"`
		Crit json.RawMessage        `json:"crit"`
	}
	b, err := decoded(segment)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, fmt.Errorf("%w: not JSON", ErrInvalid)
	}
	typ := strings.TrimPrefix(strings.ToLower(h.Typ), "application/")
	if typ != Type || h.Kid == "" || h.Crit != nil || (h.Alg != jwa.RS256 && h.Alg != jwa.ES256) {
		return nil, fmt.Errorf("%w: not an access token", ErrInvalid)
	}
	return &head{strings.Clone(segment), h.Alg, h.Kid}, nil
}

func decoded(segment string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64url", ErrInvalid)
	}
	return b, nil
}

// signed checks the signature with our key of that ID. The algorithm is the
// key's, and the token must name the same.
func (v *Verifier[T]) signed(ctx context.Context, input, sig string, alg jwa.SignatureAlgorithm, kid string) error {
	key, err := v.keys.Public(ctx, kid)
	if errors.Is(err, keys.ErrUnavailable) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if key.Algorithm != alg {
		return fmt.Errorf("%w: its key signs with another algorithm", ErrInvalid)
	}
	signature, err := decoded(sig)
	if err != nil {
		return err
	}
	check, err := jws.NewVerifier(key.Algorithm)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := check.Verify([]byte(input), signature, key.Key); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// judge says whether a token of ours is good where and when it is shown.
func (v *Verifier[T]) judge(t *Token, issuer, audience string) error {
	if err := v.fits(t, issuer, audience); err != nil || t.Grant == "" {
		return err
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

// fits compares what a token says with where and when it is shown.
func (v *Verifier[T]) fits(t *Token, issuer, audience string) error {
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
	}
	return nil
}
