package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// KindSecret is the kind under which Secret keeps the store's secret.
const KindSecret Kind = "secret"

const (
	secretKey  = "server"
	secretSize = 32
)

// Secret returns the store's own 32 random bytes. The first caller makes them;
// all others, on any replica, get the same for as long as the store lives. What
// is derived from them (client_ids, cookies) is valid for just as long.
func Secret(ctx context.Context, s Store) ([]byte, error) {
	secret, err := s.Get(ctx, KindSecret, secretKey)
	if errors.Is(err, ErrNotFound) {
		secret = make([]byte, secretSize)
		rand.Read(secret) // never fails: it ends the process instead
		err = s.Create(ctx, KindSecret, secretKey, secret, 0)
		if errors.Is(err, ErrExists) { // another replica was faster
			secret, err = s.Get(ctx, KindSecret, secretKey)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the store's secret: %w", err)
	}
	if len(secret) != secretSize {
		return nil, corrupt(KindSecret, secretKey, fmt.Errorf("it has %d bytes, not %d", len(secret), secretSize))
	}
	return secret, nil
}
