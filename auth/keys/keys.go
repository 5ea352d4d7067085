// Package keys makes, rotates and publishes the keys that sign access tokens.
//
// It promises that a private key never leaves this package, is never stored,
// and stops signing on time; and that the public half of a key is in the store
// before the first token it signs leaves, and stays there until the last one
// has expired. So tokens outlive a restart and are believed by every replica,
// while who only reads the store can mint nothing. It does not know what a
// token says.
package keys

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"mcp-oauth2-proxy/auth/store"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Kind is where public keys are published, by key ID.
const Kind store.Kind = "key"

// The errors of a Ring.
var (
	// ErrUnknown says that no published key has this ID.
	ErrUnknown = errors.New("unknown key")
	// ErrUnavailable says that the question cannot be answered now: the store
	// does not answer, or too many unknown keys were asked for.
	ErrUnavailable = errors.New("keys unavailable")
)

// Public is the published half of a key. Its algorithm belongs to the key;
// what a token's header says is never asked.
type Public struct {
	ID        string
	Algorithm jwa.SignatureAlgorithm
	Key       crypto.PublicKey
}

// published is a public key as the store keeps it.
type published struct {
	JWK  []byte    `json:"jwk"`
	Ends time.Time `json:"ends"` // when the last token it signs has expired
}

// known is a public key with its JWK, which is what the key set shows.
type known struct {
	Public
	jwk  jwk.Key
	ends time.Time
}

func parse(p published) (known, error) {
	k, err := jwk.ParseKey(p.JWK)
	if err != nil {
		return known{}, fmt.Errorf("parse key: %w", err)
	}
	if private, err := jwk.IsPrivateKey(k); err != nil || private {
		return known{}, errors.New("parse key: not a public key")
	}
	var raw crypto.PublicKey
	if err := k.Raw(&raw); err != nil {
		return known{}, fmt.Errorf("parse key: %w", err)
	}
	alg := jwa.SignatureAlgorithm(k.Algorithm().String())
	if alg != jwa.RS256 && alg != jwa.ES256 {
		return known{}, fmt.Errorf("parse key: algorithm %q", alg)
	}
	return known{Public{k.KeyID(), alg, raw}, k, p.Ends}, nil
}
