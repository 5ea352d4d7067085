package keys

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"mcp-oauth2-proxy/auth/store"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// KindArchive is where the public halves of keys lie that signed what is read
// for longer than tokens live, by key ID.
const KindArchive store.Kind = "archived-key"

// An Archive signs, with the keys of a Ring, what must be believed for longer
// than a token. A key of it is published apart from those that tokens are
// believed by: it makes no token live longer.
type Archive struct {
	ring *Ring
	kept store.Bucket[json.RawMessage]
	life time.Duration

	mu   sync.Mutex
	last string // the key that is known to be kept
}

// NewArchive returns the archive of a ring. It forgets a key when life has gone
// by since it began to sign for the archive.
func NewArchive(r *Ring, life time.Duration) *Archive {
	return &Archive{ring: r, kept: store.Names[json.RawMessage](r.store, KindArchive), life: life}
}

// Sign is Ring.Sign. The key is kept before what it signed is returned.
func (a *Archive) Sign(ctx context.Context, payload []byte, typ string) ([]byte, error) {
	p, err := a.ring.signer(ctx)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last != p.ID {
		body, err := json.Marshal(p.jwk)
		if err != nil {
			return nil, fmt.Errorf("keep key %s: %w", p.ID, err)
		}
		if err := a.kept.Put(ctx, p.ID, body, a.life); err != nil {
			return nil, fmt.Errorf("keep key %s: %w", p.ID, err)
		}
		a.last = p.ID
	}
	return p.sign(payload, typ)
}

// Set returns every key that is kept, as RFC 7517 §5 writes them. Records that
// cannot be read are named in the error beside those that can be.
func (a *Archive) Set(ctx context.Context) (json.RawMessage, error) {
	doc := struct {
		Keys []json.RawMessage `json:"keys"`
	}{[]json.RawMessage{}}
	var bad error
	for after := ""; ; {
		page, err := a.kept.List(ctx, after, pageSize)
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			return nil, fmt.Errorf("list archived keys: %w", err)
		}
		bad = errors.Join(bad, err)
		for _, e := range page {
			doc.Keys, after = append(doc.Keys, e.Value), e.Key
		}
		if len(page) < pageSize {
			break
		}
	}
	set, err := json.Marshal(doc)
	return set, errors.Join(bad, err)
}

// A Set are public keys that somebody trusts, by ID.
type Set map[string]Public

// ParseSet reads a key set (RFC 7517 §5). A private key, and one that signs with
// another algorithm than ours do, is an error.
func ParseSet(raw []byte) (Set, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	s := Set{}
	for i, one := range doc.Keys {
		k, err := parse(published{JWK: one})
		if err != nil {
			return nil, fmt.Errorf("key set: keys[%d]: %w", i, err)
		}
		// The name is the key's thumbprint (RFC 7638): a set that says
		// otherwise was not written by us.
		if made, err := publicJWK(k.Key, string(k.Algorithm)); err != nil || made.KeyID() != k.ID {
			return nil, fmt.Errorf("key set: keys[%d]: its kid is not its thumbprint", i)
		}
		s[k.ID] = k.Public
	}
	return s, nil
}

// Open returns the payload of a compact JWS of the given media type that one of
// the keys made. Any other spelling of the same signature is refused. ErrUnknown
// says that its key is not in the set.
func (s Set) Open(raw, typ string) ([]byte, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || strings.ContainsAny(raw, "\r\n") {
		return nil, errors.New("not a signature")
	}
	var plain [3][]byte
	for i, part := range parts {
		var err error
		if plain[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, errors.New("not a signature")
		}
	}
	var h struct {
		Alg  jwa.SignatureAlgorithm `json:"alg"`
		Kid  string                 `json:"kid"`
		Typ  string                 `json:"typ"`
		Crit json.RawMessage        `json:"crit"`
	}
	if json.Unmarshal(plain[0], &h) != nil || h.Typ != typ || h.Crit != nil {
		return nil, errors.New("not a signature of this kind")
	}
	key, ok := s[h.Kid]
	if !ok {
		return nil, fmt.Errorf("%w: %.60q", ErrUnknown, h.Kid)
	}
	if h.Alg != key.Algorithm {
		return nil, errors.New("its key signs with another algorithm")
	}
	payload, err := jws.Verify([]byte(raw), jws.WithKey(key.Algorithm, key.Key))
	if err != nil {
		return nil, fmt.Errorf("not what was signed: %w", err)
	}
	return payload, nil
}
