package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// sealed1 is the first byte of a sealed value: AES-256-GCM, random nonce in
	// front. No JSON begins with it, so an unsealed value is told apart.
	sealed1 = 0x01

	// SealOverhead is how much shorter than MaxValue a sealed value must be.
	SealOverhead = 1 + 12 + 16
)

var (
	errNotSealed = errors.New("it is not sealed")
	errWrongSeal = errors.New("it was sealed with another key, or changed since")
)

// Sealed returns s with the values of these kinds encrypted and authenticated
// under a key of 32 bytes. The kind and the key of a record are part of its
// seal: who can write to the medium can neither make a record nor move one. (An
// older value of the same record can be put back; the seal does not know time.)
//
// A record of these kinds that does not open, because it is not sealed or not
// with this key, is an ErrCorrupt for every verb that reads it, and is left
// where it is. Other kinds pass through.
func Sealed(s Store, key []byte, kinds ...Kind) (Store, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("seal the store: the key has %d bytes, not 32", len(key))
	}
	if len(kinds) == 0 {
		return nil, errors.New("seal the store: no kinds to seal")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal the store: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal the store: %w", err)
	}
	return &sealed{Store: s, aead: aead, kinds: slices.Clone(kinds)}, nil
}

// sealed embeds the verbs that do not touch values: Delete, Watch, Close.
type sealed struct {
	Store
	aead  cipher.AEAD
	kinds []Kind
}

func (s *sealed) Get(ctx context.Context, kind Kind, key string) ([]byte, error) {
	value, err := s.Store.Get(ctx, kind, key)
	if err != nil {
		return nil, err
	}
	return s.open(kind, key, value)
}

func (s *sealed) Put(ctx context.Context, kind Kind, key string, value []byte, ttl time.Duration) error {
	return s.Store.Put(ctx, kind, key, s.seal(kind, key, value), ttl)
}

func (s *sealed) Create(ctx context.Context, kind Kind, key string, value []byte, ttl time.Duration) error {
	return s.Store.Create(ctx, kind, key, s.seal(kind, key, value), ttl)
}

// Take goes through Update, so that a record that does not open is not lost.
func (s *sealed) Take(ctx context.Context, kind Kind, key string) ([]byte, error) {
	if !s.seals(kind) {
		return s.Store.Take(ctx, kind, key)
	}
	var taken []byte
	err := s.Store.Update(ctx, kind, key, func(old []byte) ([]byte, time.Duration, error) {
		if old == nil {
			return nil, 0, ErrNotFound
		}
		var err error
		taken, err = s.open(kind, key, old)
		return nil, 0, err
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

func (s *sealed) Update(ctx context.Context, kind Kind, key string, fn func(old []byte) ([]byte, time.Duration, error)) error {
	return s.Store.Update(ctx, kind, key, func(old []byte) ([]byte, time.Duration, error) {
		if old != nil {
			var err error
			if old, err = s.open(kind, key, old); err != nil {
				return nil, 0, err
			}
		}
		value, ttl, err := fn(old)
		if err != nil || value == nil {
			return nil, 0, err
		}
		return s.seal(kind, key, value), ttl, nil
	})
}

func (s *sealed) List(ctx context.Context, kind Kind, after string, limit int) ([]Record, error) {
	if !s.seals(kind) {
		return s.Store.List(ctx, kind, after, limit)
	}
	return page(ctx, s.Store, kind, after, limit, func(r Record) (Record, error) {
		value, err := s.open(kind, r.Key, r.Value)
		return Record{Key: r.Key, Value: value}, err
	})
}

func (s *sealed) seals(kind Kind) bool {
	return slices.Contains(s.kinds, kind)
}

func (s *sealed) seal(kind Kind, key string, value []byte) []byte {
	// What is too large anyway is passed on as it is, for the engine to refuse.
	if !s.seals(kind) || len(value) > MaxValue {
		return value
	}
	out := make([]byte, 1, SealOverhead+len(value))
	out[0] = sealed1
	return s.aead.Seal(out, nil, value, place(kind, key)) //nolint:gosec // the AEAD puts a random nonce of its own in front
}

func (s *sealed) open(kind Kind, key string, value []byte) ([]byte, error) {
	if !s.seals(kind) {
		return value, nil
	}
	if len(value) == 0 || value[0] != sealed1 {
		return nil, corrupt(kind, key, errNotSealed)
	}
	out, err := s.aead.Open([]byte{}, nil, value[1:], place(kind, key))
	if err != nil {
		return nil, corrupt(kind, key, errWrongSeal)
	}
	return out, nil
}

// place is the additional data of a seal. The length keeps kind and key apart.
func place(kind Kind, key string) []byte {
	out := binary.AppendUvarint([]byte{sealed1}, uint64(len(kind)))
	out = append(out, kind...)
	return append(out, key...)
}
