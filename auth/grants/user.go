package grants

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// user is the index of what belongs to one user. It is one record, kept by
// Update, so that it is never half right.
type user struct {
	Grants    []ref     `json:"grants,omitempty"`
	SignedOut time.Time `json:"signed_out,omitzero"` // sessions begun before are over
}

type ref struct {
	ID     string    `json:"id"`
	Issuer string    `json:"iss"`
	Ends   time.Time `json:"ends"`
}

// maxGrants bounds the index of one user; the oldest grants fall out of the
// account page first, and still end by themselves.
const maxGrants = 500

func (g *Grants) index(ctx context.Context, gr Grant) error {
	now := g.o.Now()
	err := g.users.Update(ctx, userKey(gr.User.Subject), func(old *user) (*user, time.Duration, error) {
		u := user{}
		if old != nil {
			u = *old
		}
		u.Grants = slices.DeleteFunc(slices.Clone(u.Grants), func(r ref) bool { return r.ID == gr.ID || !now.Before(r.Ends) })
		u.Grants = append(u.Grants, ref{gr.ID, gr.Issuer, gr.Ends})
		if over := len(u.Grants) - maxGrants; over > 0 {
			u.Grants = u.Grants[over:]
		}
		return &u, g.o.RefreshTTL + g.o.SessionTTL, nil
	})
	if err != nil {
		return fmt.Errorf("index grant %s: %w", gr.ID, err)
	}
	return nil
}

// userKey keeps a readable key for every subject of a sane length.
func userKey(subject string) string {
	if len(subject) <= 255 && !strings.ContainsRune(subject, 0) {
		return subject
	}
	return digest(subject)
}

func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s,", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// OfUser returns the live families of a user at one issuer, oldest first.
func (g *Grants) OfUser(ctx context.Context, subject, issuer string) ([]Family, error) {
	u, err := g.users.Get(ctx, userKey(subject))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find grants: %w", err)
	}
	var out []Family
	for _, r := range u.Grants {
		if r.Issuer != issuer {
			continue
		}
		f, err := g.families.Get(ctx, r.ID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find grants: %w", err)
		}
		if f.Ended.IsZero() && f.Grant.User.Subject == subject {
			out = append(out, f)
		}
	}
	return out, nil
}

// Each calls fn for every live family. It is for management, not for requests.
func (g *Grants) Each(ctx context.Context, fn func(Family)) error {
	return each(ctx, g, g.families, func(_ string, f Family) {
		if f.Ended.IsZero() {
			fn(f)
		}
	})
}

// EndWhere ends every live grant for which match is true, unspent codes
// included, and says how many.
func (g *Grants) EndWhere(ctx context.Context, match func(Grant) bool) (int, error) {
	// Codes go first: one that is redeemed in between leaves a family, which
	// is ended next.
	if err := g.clear(ctx, KindCode, func(value []byte) bool {
		var c code
		return json.Unmarshal(value, &c) != nil || match(c.Grant)
	}); err != nil {
		return 0, fmt.Errorf("end grants: %w", err)
	}
	var ids []string
	if err := g.Each(ctx, func(f Family) {
		if match(f.Grant) {
			ids = append(ids, f.Grant.ID)
		}
	}); err != nil {
		return 0, fmt.Errorf("end grants: %w", err)
	}
	for i, id := range ids {
		if err := g.End(ctx, id); err != nil {
			return i, err
		}
	}
	return len(ids), nil
}
