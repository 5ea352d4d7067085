package clients

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

const (
	maxKeys = 20
	// RSA keys outside of these are no protection, or take seconds to check.
	minRSA, maxRSA = 2048, 8192
)

// Algorithms are those that client assertions may be signed with, as metadata
// documents list them.
func Algorithms() []string {
	return []string{"ES256", "RS256", "PS256", "EdDSA"}
}

// parseKeys reads a JWK set. Keys of unknown kinds are skipped, as RFC 7517 §5
// says; a private or symmetric one makes the set worthless: it was published.
func parseKeys(text []byte) (jwk.Set, error) {
	m, err := parseObject(text)
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	var list []json.RawMessage
	if err := json.Unmarshal(m["keys"], &list); err != nil || len(list) > maxKeys {
		return nil, fmt.Errorf("jwks: keys is not a list of at most %d", maxKeys)
	}
	set := jwk.NewSet()
	for _, raw := range list {
		key, err := jwk.ParseKey(raw)
		if err != nil {
			continue
		}
		if private, err := jwk.IsPrivateKey(key); err != nil || private || key.KeyType() == jwa.OctetSeq {
			return nil, errors.New("jwks: it holds a key that is not public")
		}
		if err := set.AddKey(key); err != nil {
			return nil, errors.New("jwks: it holds a key twice")
		}
	}
	if set.Len() == 0 {
		return nil, errors.New("jwks: it holds no key that can be used")
	}
	return set, nil
}

// keysFor returns the keys of a set that may verify a signature: the algorithm
// is the key's to choose, and the header only says which of them it was.
func keysFor(set jwk.Set, alg jwa.SignatureAlgorithm, kid string) []jwk.Key {
	var keys []jwk.Key
	for i := range set.Len() {
		key, _ := set.Key(i)
		named := key.Algorithm().String() == "" || key.Algorithm().String() == alg.String()
		meant := kid == "" || key.KeyID() == "" || key.KeyID() == kid
		signs := key.KeyUsage() == "" || key.KeyUsage() == string(jwk.ForSignature)
		if named && meant && signs && fits(key, alg) {
			keys = append(keys, key)
		}
	}
	return keys
}

func fits(key jwk.Key, alg jwa.SignatureAlgorithm) bool {
	switch key := key.(type) {
	case jwk.RSAPublicKey:
		bits := len(key.N()) * 8
		return (alg == jwa.RS256 || alg == jwa.PS256) && bits >= minRSA && bits <= maxRSA
	case jwk.ECDSAPublicKey:
		return alg == jwa.ES256 && key.Crv() == jwa.P256
	case jwk.OKPPublicKey:
		return alg == jwa.EdDSA && key.Crv() == jwa.Ed25519
	}
	return false
}
