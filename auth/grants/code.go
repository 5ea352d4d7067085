package grants

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// code is an unspent authorization code.
type code struct {
	Grant        Grant  `json:"grant"`
	Challenge    string `json:"challenge"`
	RedirectSent bool   `json:"redirect_sent"`
}

// Issue returns a code for gr, to be redeemed with the verifier of challenge
// (RFC 7636, S256). It fills in the grant's ID.
func (g *Grants) Issue(ctx context.Context, gr Grant, challenge string, redirectSent bool) (string, Grant, error) {
	c := random()
	gr.ID = grantID(c)
	if err := g.codes.Create(ctx, c, code{gr, challenge, redirectSent}, CodeLife); err != nil {
		return "", Grant{}, fmt.Errorf("issue a code: %w", err)
	}
	return c, gr, nil
}

// Redemption is what a client shows at the token endpoint for a code.
type Redemption struct {
	Code, Issuer, ClientID, RedirectURI, Verifier string
}

// Redeem spends a code. It returns the grant and, where the grant has them, its
// first refresh token. A code that was spent before ends what came of it. An
// error of check refuses the redemption before the code is spent.
func (g *Grants) Redeem(ctx context.Context, r Redemption, check func(Grant) error) (Grant, string, error) {
	c, err := g.codes.Get(ctx, r.Code)
	if errors.Is(err, store.ErrNotFound) {
		return Grant{}, "", g.replayed(ctx, r)
	}
	if err != nil {
		return Grant{}, "", fmt.Errorf("redeem a code: %w", err)
	}
	// Checked before it is spent: a thief with the code but not the verifier
	// must not be able to spend it.
	if err := c.fits(r); err != nil {
		return Grant{}, "", err
	}
	if err := check(c.Grant); err != nil {
		return Grant{}, "", err
	}
	f, token := g.found(c)
	// The index comes first: it may be written again, so that whoever is told
	// that this failed can still redeem the code. Nothing may fail after it is
	// spent.
	if err := g.index(ctx, f.Grant); err != nil {
		return Grant{}, "", err
	}
	err = g.families.Create(ctx, f.Grant.ID, f, g.life(f))
	if errors.Is(err, store.ErrExists) {
		return Grant{}, "", g.replayed(ctx, r)
	}
	if err != nil {
		return Grant{}, "", fmt.Errorf("redeem a code: %w", err)
	}
	return f.Grant, token, nil
}

// fits checks who redeems against who the code was issued to (RFC 6749
// §4.1.3). The redirect URI must be repeated where the request had it; OAuth
// 2.1 clients leave it out, and PKCE binds the code to them all the same.
func (c code) fits(r Redemption) error {
	switch {
	case c.Grant.ClientID != r.ClientID || c.Grant.Issuer != r.Issuer:
		return fmt.Errorf("%w: the code was issued to another client", ErrInvalid)
	case r.RedirectURI != "" && r.RedirectURI != c.Grant.RedirectURI:
		return fmt.Errorf("%w: another redirect_uri", ErrInvalid)
	case !verifies(c.Challenge, r.Verifier):
		return fmt.Errorf("%w: the code_verifier does not fit", ErrInvalid)
	}
	return nil
}

// verifies is RFC 7636 §4.6 for S256.
func verifies(challenge, verifier string) bool {
	if challenge == "" || len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// replayed ends the family that a code has made, if whoever shows it again
// could have redeemed it (RFC 6749 §4.1.2); a code alone proves nothing.
func (g *Grants) replayed(ctx context.Context, r Redemption) error {
	f, err := g.families.Get(ctx, grantID(r.Code))
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: unknown or expired code", ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("redeem a code: %w", err)
	}
	was := code{Grant: f.Grant, Challenge: f.Challenge}
	if err := was.fits(r); err != nil {
		return err
	}
	if err := g.End(ctx, f.Grant.ID); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w: the code", ErrInvalid, ErrReplayed)
}

// grantID names a grant after its code, so that creating the family is what
// spends the code. It does not give the code away.
func grantID(code string) string {
	sum := sha256.Sum256([]byte("grant " + code))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// random returns 256 bits as 43 unreserved characters.
func random() string {
	return base64.RawURLEncoding.EncodeToString(bits(32))
}

func bits(bytes int) []byte {
	b := make([]byte, bytes)
	rand.Read(b) // never fails: it ends the program instead
	return b
}

// NewSecret returns 256 random bits, for a cookie.
func NewSecret() string { return random() }

// Record keeps a grant that came about without a code, under the name of what
// it was given for; until is how long that could be shown again. Whoever shows
// it a second time gets ErrReplayed.
func (g *Grants) Record(ctx context.Context, gr Grant, name string, until time.Time) (Grant, error) {
	sum := sha256.Sum256([]byte("name " + name))
	gr.ID = base64.RawURLEncoding.EncodeToString(sum[:16])
	f := Family{Grant: gr, Mark: bits(32), Nonce: bits(32), Used: g.o.Now()}
	err := g.families.Create(ctx, gr.ID, f, max(g.life(f), until.Sub(g.o.Now())+2*time.Minute))
	if errors.Is(err, store.ErrExists) {
		return Grant{}, fmt.Errorf("%w: %w: %s", ErrInvalid, ErrReplayed, "the assertion")
	}
	if err != nil {
		return Grant{}, fmt.Errorf("record a grant: %w", err)
	}
	return gr, g.index(ctx, gr)
}
