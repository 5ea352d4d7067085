package idp

import (
	"context"
	"fmt"
	"hash/maphash"
)

// A hash takes tens of megabytes and a processor; more at once would let
// anybody stop the machine by guessing.
const hashesAtOnce = 4

// Local are the users that the configuration lists.
type Local struct {
	byName map[string]int
	users  []localUser
	seed   maphash.Seed
	turns  chan struct{}
}

type localUser struct {
	identity Identity
	hash     hash
}

func newLocal(c Config) (*Local, error) {
	l := &Local{
		byName: make(map[string]int, len(c.Users)),
		seed:   maphash.MakeSeed(),
		turns:  make(chan struct{}, hashesAtOnce),
	}
	for i, user := range c.Users {
		h, err := parseHash(user.PasswordHash)
		if err != nil {
			return nil, fmt.Errorf("users[%d].passwordHash: %w", i, err)
		}
		email, _, _ := canonicalEmail(user.Email)
		id, err := c.naming().name(Identity{ID: user.Username, Username: user.Username, Email: email, Groups: user.Groups})
		if err != nil {
			return nil, fmt.Errorf("users[%d]: %w", i, err)
		}
		l.byName[user.Username] = i
		l.users = append(l.users, localUser{id, h})
	}
	return l, nil
}

// Lookup returns the user of exactly that name.
func (l *Local) Lookup(username string) (Identity, bool) {
	i, ok := l.byName[username]
	if !ok {
		return Identity{}, false
	}
	return l.users[i].identity, true
}

// SignIn returns the user if the password is theirs, and ErrInvalid for every
// other pair: neither the text nor the time tells whether the name exists. It
// waits for its turn as long as ctx lets it (ErrUnavailable).
func (l *Local) SignIn(ctx context.Context, username, password string) (Identity, error) {
	i, known := l.byName[username]
	if !known {
		i = l.decoy(username)
	}
	user := l.users[i]
	matches, err := l.check(ctx, user.hash, password)
	if err != nil {
		return Identity{}, err
	}
	if !matches || !known {
		return Identity{}, ErrInvalid
	}
	return user.identity, nil
}

// decoy picks whose hash is computed for a name that nobody has. Hashes may
// differ in cost; as the pick is always the same for a name, and spread over
// all users, an unknown name takes as long as some known one.
func (l *Local) decoy(username string) int {
	return int(maphash.String(l.seed, username) % uint64(len(l.users)))
}

func (l *Local) check(ctx context.Context, h hash, password string) (bool, error) {
	select {
	case l.turns <- struct{}{}:
		defer func() { <-l.turns }()
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("%w: wait for a turn to check the password: %w", ErrUnavailable, err)
	}
	tooLong := len(password) > maxPassword // hashed all the same, cut: see SignIn
	return h.matches([]byte(password[:min(len(password), maxPassword)])) && !tooLong, nil
}
