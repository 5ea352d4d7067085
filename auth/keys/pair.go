package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// pair is a signing key. Nothing outside this package can name one.
type pair struct {
	known
	signer crypto.Signer
	until  time.Time // it signs nothing from here on
}

// newPair makes a key of the given algorithm. 2048 bits are the cheapest RSA
// to verify in Go and what RFC 9068 §2.1 expects others to read.
func newPair(algorithm string) (*pair, error) {
	var signer crypto.Signer
	var err error
	switch algorithm {
	case "RS256":
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("algorithm %q is not one of RS256, ES256", algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	k, err := publicJWK(signer.Public(), algorithm)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	alg := jwa.SignatureAlgorithm(algorithm)
	return &pair{known: known{Public: Public{k.KeyID(), alg, signer.Public()}, jwk: k}, signer: signer}, nil
}

// publicJWK names the key by its thumbprint (RFC 7638), and the algorithm by
// the key: a verifier must not take it from a token.
func publicJWK(pub crypto.PublicKey, algorithm string) (jwk.Key, error) {
	k, err := jwk.FromRaw(pub)
	if err != nil {
		return nil, err
	}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]any{
		jwk.KeyIDKey:     base64.RawURLEncoding.EncodeToString(sum),
		jwk.AlgorithmKey: jwa.SignatureAlgorithm(algorithm),
		jwk.KeyUsageKey:  "sig",
	} {
		if err := k.Set(name, value); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// publish puts the public half where every replica finds it. It must have
// returned before the key signs.
func (r *Ring) publish(ctx context.Context, p *pair) error {
	body, err := json.Marshal(p.jwk)
	if err != nil {
		return fmt.Errorf("publish key %s: %w", p.ID, err)
	}
	if err := r.bucket.Put(ctx, p.ID, published{body, p.ends}, p.ends.Sub(r.now())); err != nil {
		return fmt.Errorf("publish key %s: %w", p.ID, err)
	}
	r.learn(p.known)
	return nil
}
