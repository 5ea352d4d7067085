package grants

import (
	"cmp"
	"context"
	"crypto/hmac"
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
	Grant        Grant     `json:"grant"`
	Challenge    string    `json:"challenge"`
	RedirectSent bool      `json:"redirect_sent"`
	Made         time.Time `json:"made"`
}

// unheard is when a write whose maker goes on at once, and has not, is taken for
// one of which its maker never heard. It is longer than clocks of replicas are
// apart, and shorter than a store is waited for, so that whoever was answered
// 503 finds it over.
const unheard = 3 * time.Second

// Issue finishes the request approved under secret with a code for gr, to be
// redeemed with the verifier of challenge (RFC 7636, S256). It fills in the
// grant's ID.
//
// The code follows from the secret, so that to create it is what finishes the
// request: of any number of callers one does, the others get ErrInvalid. Where
// the store has created it and the caller was told that this failed, the same
// user gets the same code when they try again.
func (g *Grants) Issue(ctx context.Context, secret string, gr Grant, challenge string, redirectSent bool) (string, Grant, error) {
	name := codeOf(secret)
	gr.ID = grantID(name)
	c := code{gr, challenge, redirectSent, g.o.Now()}
	err := g.codes.Create(ctx, name, c, CodeLife)
	if errors.Is(err, store.ErrExists) {
		c, err = g.reissue(ctx, name, gr)
	}
	if err != nil {
		return "", Grant{}, invalidIfAbsent("issue a code", err)
	}
	g.Drop(ctx, secret)
	return name, c.Grant, nil
}

// reissue returns the code that is there for the same user, if nobody was sent
// it. Of two who try at once, one gets it.
func (g *Grants) reissue(ctx context.Context, name string, gr Grant) (code, error) {
	if _, err := g.families.Get(ctx, gr.ID); !errors.Is(err, store.ErrNotFound) {
		return code{}, cmp.Or(err, ErrInvalid)
	}
	var c code
	err := g.codes.Update(ctx, name, func(old *code) (*code, time.Duration, error) {
		if old == nil || old.Grant.User.Subject != gr.User.Subject || g.o.Now().Sub(old.Made) < unheard {
			return nil, 0, fmt.Errorf("%w: the request is finished", ErrInvalid)
		}
		c = *old
		c.Made = g.o.Now()
		return &c, CodeLife, nil
	})
	return c, err
}

// codeOf is the code of the request approved under secret: 256 bits that tell
// nothing of it.
func codeOf(secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("code"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Redemption is what a client shows at the token endpoint for a code.
type Redemption struct {
	Code, Issuer, ClientID, RedirectURI, Verifier string
	Address                                       string // from where
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
	f.UsedFrom = Network(r.Address)
	// The index comes first: it may be written again, so that whoever is told
	// that this failed can still redeem the code. Nothing may fail after it is
	// spent.
	if err := g.index(ctx, f.Grant); err != nil {
		return Grant{}, "", err
	}
	err = g.families.Create(ctx, f.Grant.ID, f, g.life(f))
	if errors.Is(err, store.ErrExists) {
		f, token, err = g.refound(ctx, c)
	}
	if errors.Is(err, ErrReplayed) {
		return Grant{}, "", g.replayed(ctx, r)
	}
	if err != nil {
		return Grant{}, "", fmt.Errorf("redeem a code: %w", err)
	}
	g.acknowledge(ctx, f.Grant.ID)
	return f.Grant, token, nil
}

// refound begins a family once more whose maker never heard that it was made,
// and so has sent nobody its token. Everything else is a replay.
func (g *Grants) refound(ctx context.Context, c code) (Family, string, error) {
	f, token := g.found(c)
	err := g.families.Update(ctx, f.Grant.ID, func(old *Family) (*Family, time.Duration, error) {
		if old == nil || old.Unheard.IsZero() || !old.Ended.IsZero() || g.o.Now().Sub(old.Unheard) < unheard {
			return nil, 0, ErrReplayed
		}
		return &f, g.life(f), nil
	})
	return f, token, err
}

// acknowledge notes that the store's word reached us, and so that the tokens of a
// family are on their way. Where that fails they are sent all the same; until
// the code has expired, who has it and the verifier could redeem it again.
func (g *Grants) acknowledge(ctx context.Context, id string) {
	err := g.families.Update(ctx, id, func(old *Family) (*Family, time.Duration, error) {
		if old == nil {
			return nil, 0, nil
		}
		f := *old
		f.Unheard = time.Time{}
		return &f, g.life(f), nil
	})
	if err != nil {
		g.o.Log.WarnContext(ctx, "a code that was redeemed may be redeemed once more", "grant", id, "cause", err)
	}
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
	return &Replay{f.Grant.ID, "the code"}
}

// OfCode is the ID of the grant that a code is for, whether there is one or not.
func OfCode(code string) string { return grantID(code) }

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
		return Grant{}, &Replay{gr.ID, "the assertion"}
	}
	if err != nil {
		return Grant{}, fmt.Errorf("record a grant: %w", err)
	}
	return gr, g.index(ctx, gr)
}
