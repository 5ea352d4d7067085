package grants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// The kinds of records that passkeys are kept in.
const (
	KindPasskeys     store.Kind = "passkeys"      // by owner
	KindPasskeyOwner store.Kind = "passkey_owner" // by a hash of the credential ID
)

// MaxPasskeys is how many passkeys one person may have, at all hosts together.
const MaxPasskeys = 20

// The errors of passkeys.
var (
	// ErrPasskeyKnown says that the credential is somebody's already (WebAuthn
	// §7.1 step 26).
	ErrPasskeyKnown = errors.New("the passkey is registered already")
	// ErrPasskeysFull says that the person has MaxPasskeys.
	ErrPasskeysFull = errors.New("there are too many passkeys")
	// ErrPasskeyCloned says that the signature counter did not move on: two
	// devices hold the key, or a signature is offered again (WebAuthn §6.1.1).
	ErrPasskeyCloned = errors.New("the passkey's counter did not move on")
)

// Passkey is a credential of a local user. Its owner is "<provider>:<ID>",
// which stays, whatever tokens call the person.
type Passkey struct {
	ID         []byte    `json:"id"`
	Host       string    `json:"host"` // the only one where browsers offer it
	Name       string    `json:"name"`
	Key        []byte    `json:"key"` // COSE
	Flags      byte      `json:"flags"`
	Count      uint32    `json:"count"`
	Transports []string  `json:"transports,omitempty"`
	Made       time.Time `json:"made"`
	Used       time.Time `json:"used,omitzero"`
}

// passkeys is what is kept for one owner: one record, so that it is never half
// right.
type passkeys struct {
	Passkeys []Passkey `json:"passkeys"`
}

// Owner is who passkeys of a user belong to.
func (u User) Owner() string { return u.Provider + ":" + u.ProviderID }

// AddPasskey keeps a new passkey. The credential is claimed first: of two who
// offer the same one, the second gets ErrPasskeyKnown.
func (g *Grants) AddPasskey(ctx context.Context, owner string, p Passkey) error {
	err := g.passkeyOwners.Create(ctx, digest(string(p.ID)), owner, 0)
	if errors.Is(err, store.ErrExists) {
		return fmt.Errorf("add a passkey: %w", ErrPasskeyKnown)
	}
	if err != nil {
		return fmt.Errorf("add a passkey: %w", err)
	}
	err = g.changePasskeys(ctx, owner, func(all []Passkey) ([]Passkey, error) {
		if len(all) >= MaxPasskeys {
			return nil, ErrPasskeysFull
		}
		return append(all, p), nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("add a passkey: %w", err), g.passkeyOwners.Delete(ctx, digest(string(p.ID))))
	}
	return nil
}

// Passkeys returns the passkeys of an owner at one host, oldest first.
func (g *Grants) Passkeys(ctx context.Context, owner, host string) ([]Passkey, error) {
	kept, err := g.passkeys.Get(ctx, userKey(owner))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find passkeys: %w", err)
	}
	return slices.DeleteFunc(kept.Passkeys, func(p Passkey) bool { return p.Host != host }), nil
}

// Passkey returns the passkey of a credential at one host, and whose it is, or
// ErrInvalid.
func (g *Grants) Passkey(ctx context.Context, id []byte, host string) (owner string, p Passkey, err error) {
	owner, err = g.passkeyOwners.Get(ctx, digest(string(id)))
	if err != nil {
		return "", Passkey{}, invalidIfAbsent("find a passkey", err)
	}
	all, err := g.Passkeys(ctx, owner, host)
	if err != nil {
		return "", Passkey{}, err
	}
	i := slices.IndexFunc(all, func(p Passkey) bool { return bytes.Equal(p.ID, id) })
	if i < 0 {
		return "", Passkey{}, fmt.Errorf("find a passkey: %w", ErrInvalid)
	}
	return owner, all[i], nil
}

// UsePasskey notes that a passkey has signed with count, or says that it
// cannot have (ErrPasskeyCloned). Passkeys that are shared among devices do not
// count: theirs is always 0.
func (g *Grants) UsePasskey(ctx context.Context, owner string, id []byte, count uint32, flags byte) error {
	err := g.changePasskeys(ctx, owner, func(all []Passkey) ([]Passkey, error) {
		i := slices.IndexFunc(all, func(p Passkey) bool { return bytes.Equal(p.ID, id) })
		switch {
		case i < 0:
			return nil, ErrInvalid
		case count <= all[i].Count && (count != 0 || all[i].Count != 0):
			return nil, ErrPasskeyCloned
		}
		all[i].Count, all[i].Flags, all[i].Used = count, flags, g.o.Now()
		return all, nil
	})
	if err != nil {
		return fmt.Errorf("use a passkey: %w", err)
	}
	return nil
}

// RemovePasskeys forgets those of an owner's passkeys for which match is true,
// and says which those were.
func (g *Grants) RemovePasskeys(ctx context.Context, owner string, match func(Passkey) bool) ([]Passkey, error) {
	var gone []Passkey
	err := g.changePasskeys(ctx, owner, func(all []Passkey) ([]Passkey, error) {
		gone = nil
		return slices.DeleteFunc(all, func(p Passkey) bool {
			if match(p) {
				gone = append(gone, p)
				return true
			}
			return false
		}), nil
	})
	for _, p := range gone {
		err = errors.Join(err, g.passkeyOwners.Delete(ctx, digest(string(p.ID))))
	}
	if err != nil {
		return nil, fmt.Errorf("remove passkeys: %w", err)
	}
	return gone, nil
}

// RemovePasskeysWhere forgets all passkeys of the owners that match, and says
// how many. It is for management.
func (g *Grants) RemovePasskeysWhere(ctx context.Context, match func(owner string) bool) (int, error) {
	owners := map[string]bool{}
	if err := each(ctx, g, g.passkeyOwners, func(_, owner string) { owners[owner] = match(owner) }); err != nil {
		return 0, fmt.Errorf("remove passkeys: %w", err)
	}
	n := 0
	for owner, named := range owners {
		if !named {
			continue
		}
		gone, err := g.RemovePasskeys(ctx, owner, func(Passkey) bool { return true })
		if n += len(gone); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (g *Grants) changePasskeys(ctx context.Context, owner string, edit func([]Passkey) ([]Passkey, error)) error {
	return g.passkeys.Update(ctx, userKey(owner), func(old *passkeys) (*passkeys, time.Duration, error) {
		var all []Passkey
		if old != nil {
			all = old.Passkeys
		}
		all, err := edit(all)
		if err != nil || len(all) == 0 {
			return nil, 0, err
		}
		return &passkeys{all}, 0, nil
	})
}
