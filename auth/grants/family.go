package grants

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// Family is a grant with the refresh tokens descended from its code. Of these
// only hashes are kept: of the current one, and of its predecessor, which works
// until the current one is first used.
type Family struct {
	Grant     Grant     `json:"grant"`
	Challenge string    `json:"challenge"`
	Mark      []byte    `json:"mark"`  // key by which its own tokens are known
	Nonce     []byte    `json:"nonce"` // of the current step
	Current   []byte    `json:"current,omitempty"`
	Previous  []byte    `json:"previous,omitempty"`
	Used      time.Time `json:"used"`
	UsedFrom  string    `json:"used_from,omitempty"` // the Network of the client
	Ended     time.Time `json:"ended,omitzero"`
	Unheard   time.Time `json:"unheard,omitzero"` // when it was made, until its maker has heard of that
}

// found begins the family of a code, with its first refresh token.
func (g *Grants) found(c code) (Family, string) {
	f := Family{
		Grant: c.Grant, Challenge: c.Challenge,
		Mark: bits(32), Nonce: bits(32), Used: g.o.Now(), Unheard: g.o.Now(),
	}
	if !c.Grant.Offline {
		return f, ""
	}
	token := f.token(bits(secretSize))
	f.Current = token.hash()
	return f, token.String()
}

// life is how long a family's record is kept: while it is neither idle nor
// over, and as long as an access token of it may be out.
func (g *Grants) life(f Family) time.Duration {
	now := g.o.Now()
	last := g.o.AccessTTL + 2*time.Minute
	if f.Current == nil || !f.Ended.IsZero() {
		return last
	}
	return max(min(g.o.RefreshIdle, f.Grant.Ends.Sub(now)), last)
}

// RefreshUse is what a client shows at the token endpoint for a refresh token.
type RefreshUse struct {
	Token, Issuer, ClientID string
	Address                 string // from where
}

// Family returns the family of a refresh token, if the client may use it.
func (g *Grants) Family(ctx context.Context, u RefreshUse) (Family, error) {
	t, err := parseToken(u.Token)
	if err != nil {
		return Family{}, err
	}
	f, err := g.families.Get(ctx, t.grant())
	if err != nil {
		return Family{}, invalidIfAbsent("refresh", err)
	}
	if err := g.usable(f, t, u); err != nil {
		return Family{}, err
	}
	return f, nil
}

// usable checks a token against its family, whichever step it is of.
func (g *Grants) usable(f Family, t token, u RefreshUse) error {
	switch {
	case !f.marked(t):
		return fmt.Errorf("%w: unknown refresh token", ErrInvalid)
	case f.Grant.ClientID != u.ClientID || f.Grant.Issuer != u.Issuer:
		return fmt.Errorf("%w: the refresh token was issued to another client", ErrInvalid)
	case !f.Ended.IsZero():
		return fmt.Errorf("%w: the grant has ended", ErrInvalid)
	case !g.o.Now().Before(f.Grant.Ends), g.o.Now().Sub(f.Used) >= g.o.RefreshIdle:
		return fmt.Errorf("%w: the grant has expired", ErrInvalid)
	}
	return nil
}

// Rotate spends a refresh token and returns its grant, as next makes it, and
// the successor (OAuth 2.1 §4.3.1). The predecessor works until the successor
// is first used; an older token ends the family.
func (g *Grants) Rotate(ctx context.Context, u RefreshUse, next func(Grant) Grant) (Grant, string, error) {
	t, err := parseToken(u.Token)
	if err != nil {
		return Grant{}, "", err
	}
	nonce, now := bits(32), g.o.Now()
	var out Grant
	var successor token
	err = g.families.Update(ctx, t.grant(), func(old *Family) (*Family, time.Duration, error) {
		if old == nil {
			return nil, 0, store.ErrNotFound
		}
		f := *old
		if err := g.usable(f, t, u); err != nil {
			return nil, 0, err
		}
		switch f.step(t) {
		case isCurrent:
			f.Nonce, f.Previous = nonce, t.hash()
			successor = f.successor(t)
			f.Current = successor.hash()
		case isPrevious:
			successor = f.successor(t)
		default:
			return nil, 0, ErrReplayed
		}
		f.Grant, f.Used, f.UsedFrom = next(f.Grant), now, Network(u.Address)
		out = f.Grant
		return &f, g.life(f), nil
	})
	if errors.Is(err, ErrReplayed) {
		if err := g.End(ctx, t.grant()); err != nil {
			return Grant{}, "", err
		}
		return Grant{}, "", &Replay{t.grant(), "the refresh token"}
	}
	if err != nil {
		return Grant{}, "", invalidIfAbsent("refresh", err)
	}
	return out, successor.String(), nil
}

type step int

const (
	isOlder step = iota
	isPrevious
	isCurrent
)

func (f Family) step(t token) step {
	h := t.hash()
	switch {
	case len(f.Current) > 0 && subtle.ConstantTimeCompare(h, f.Current) == 1:
		return isCurrent
	case len(f.Previous) > 0 && subtle.ConstantTimeCompare(h, f.Previous) == 1:
		return isPrevious
	}
	return isOlder
}

// successor derives the next token from its predecessor and the nonce of the
// step, so that a retry gets the same one, and neither the store alone nor the
// old token alone yields it.
func (f Family) successor(t token) token {
	mac := hmac.New(sha256.New, t.secret)
	mac.Write(f.Nonce)
	return f.token(mac.Sum(nil))
}

// The parts of a refresh token, in bytes. The mark tells an older token of the
// family, which ends it, from what somebody made up who knows the grant's ID
// from an access token.
const (
	grantSize  = 16
	secretSize = 32
	markSize   = 16
)

type token struct{ id, secret, mark []byte }

func (f Family) token(secret []byte) token {
	id, _ := base64.RawURLEncoding.DecodeString(f.Grant.ID) // made by grantID
	return token{id, secret, f.markOf(secret)}
}

func (f Family) markOf(secret []byte) []byte {
	mac := hmac.New(sha256.New, f.Mark)
	mac.Write(secret)
	return mac.Sum(nil)[:markSize]
}

func (f Family) marked(t token) bool {
	return len(f.Mark) > 0 && hmac.Equal(f.markOf(t.secret), t.mark)
}

func parseToken(s string) (token, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != grantSize+secretSize+markSize || len(s) != base64.RawURLEncoding.EncodedLen(len(b)) {
		return token{}, fmt.Errorf("%w: not a refresh token", ErrInvalid)
	}
	return token{b[:grantSize], b[grantSize : grantSize+secretSize], b[grantSize+secretSize:]}, nil
}

func (t token) grant() string { return base64.RawURLEncoding.EncodeToString(t.id) }

func (t token) hash() []byte {
	sum := sha256.Sum256(t.secret)
	return sum[:]
}

func (t token) String() string {
	b := make([]byte, 0, grantSize+secretSize+markSize)
	b = append(append(append(b, t.id...), t.secret...), t.mark...)
	return base64.RawURLEncoding.EncodeToString(b)
}
