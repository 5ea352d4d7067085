package clients

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v2/jws"

	"mcp-oauth2-proxy/auth/store"
)

const (
	// AssertionType is the client_assertion_type of RFC 7523 §2.2.
	AssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	maxAssertion  = 16 << 10
	maxJTI        = 256
	assertionLife = 10 * time.Minute // the longest: each one's jti is stored until it ends
	leeway        = time.Minute
)

// claims are those of RFC 7523 §3 that decide.
type claims struct {
	iss, sub, jti string
	aud           []string
	exp, nbf, iat time.Time // zero: absent
}

// verify believes an assertion once: signed with a key of the client's, by it,
// about it, for this issuer, for now.
func (r *Registry) verify(ctx context.Context, issuer string, c *Client, assertion string) error {
	payload, err := r.verifySignature(ctx, c, assertion)
	if err != nil {
		return err
	}
	cl, err := parseClaims(payload)
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	if cl.iss != c.ID || cl.sub != c.ID {
		return errors.New("assertion: iss and sub are not both the client_id")
	}
	if err := cl.checkAudience(issuer); err != nil {
		return err
	}
	now := r.now()
	if err := cl.checkTimes(now); err != nil {
		return err
	}
	return r.spend(ctx, cl, now)
}

func (r *Registry) verifySignature(ctx context.Context, c *Client, assertion string) ([]byte, error) {
	message, err := parseAssertion(assertion)
	if err != nil {
		return nil, err
	}
	header := message.Signatures()[0].ProtectedHeaders()
	alg := header.Algorithm()
	if !slices.Contains(Algorithms(), alg.String()) {
		return nil, errors.New("assertion: its algorithm is not one of " + strings.Join(Algorithms(), ", "))
	}
	if len(header.Critical()) > 0 {
		return nil, errors.New("assertion: crit names extensions, and none is understood")
	}
	set, err := r.documents.keySet(ctx, c, header.KeyID())
	if err != nil {
		return nil, err
	}
	for _, key := range keysFor(set, alg, header.KeyID()) {
		if payload, err := jws.Verify([]byte(assertion), jws.WithCompact(), jws.WithKey(alg, key)); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("assertion: no key of the client's verifies it")
}

// parseAssertion reads the compact form only; the JSON form can hold several
// signatures and unprotected headers.
func parseAssertion(assertion string) (*jws.Message, error) {
	if len(assertion) > maxAssertion || strings.Count(assertion, ".") != 2 {
		return nil, errors.New("assertion: not a compact JWS, or too long")
	}
	message, err := jws.Parse([]byte(assertion), jws.WithCompact())
	if err != nil || len(message.Signatures()) != 1 {
		return nil, errors.New("assertion: not a compact JWS")
	}
	return message, nil
}

// assertedID is who an assertion says it is from, before it is believed: the
// client_id may be left out beside it (RFC 7521 §4.2).
func assertedID(assertion string) string {
	parts := strings.Split(assertion, ".")
	if len(assertion) > maxAssertion || len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	cl, err := parseClaims(payload)
	if err != nil {
		return ""
	}
	return cl.sub
}

func parseClaims(payload []byte) (claims, error) {
	m, err := parseObject(payload)
	if err != nil {
		return claims{}, err
	}
	r := &reader{members: m}
	cl := claims{iss: r.text("iss"), sub: r.text("sub"), jti: r.text("jti")}
	cl.exp, cl.nbf, cl.iat = r.time("exp"), r.time("nbf"), r.time("iat")
	if raw := m["aud"]; len(raw) > 0 && raw[0] == '[' {
		cl.aud = r.texts("aud")
	} else {
		cl.aud = []string{r.text("aud")}
	}
	return cl, r.err
}

// time returns a NumericDate member; the zero time if it is absent.
func (r *reader) time(name string) time.Time {
	if !r.has(name) {
		return time.Time{}
	}
	var at float64
	if err := json.Unmarshal(r.members[name], &at); err != nil || at < 1 || at > 1<<40 {
		r.fail(name + " is not a time")
		return time.Time{}
	}
	return time.UnixMilli(int64(at * 1000))
}

// checkAudience wants the assertion to be for this issuer alone: one that also
// names another server could be that server's to replay.
func (cl claims) checkAudience(issuer string) error {
	ours := []string{issuer, issuer + "/", issuer + "/token"}
	for _, aud := range cl.aud {
		if !slices.Contains(ours, aud) {
			return errors.New("assertion: aud is not this issuer or its token endpoint")
		}
	}
	if len(cl.aud) == 0 {
		return errors.New("assertion: aud is missing")
	}
	return nil
}

func (cl claims) checkTimes(now time.Time) error {
	switch {
	case cl.exp.IsZero():
		return errors.New("assertion: exp is missing")
	case !now.Before(cl.exp.Add(leeway)):
		return errors.New("assertion: it has expired")
	case cl.exp.After(now.Add(assertionLife + leeway)):
		return errors.New("assertion: exp is more than ten minutes ahead")
	case cl.nbf.After(now.Add(leeway)), cl.iat.After(now.Add(leeway)):
		return errors.New("assertion: it is from the future")
	}
	return nil
}

// spend makes the jti worth nothing from now on, at every replica.
func (r *Registry) spend(ctx context.Context, cl claims, now time.Time) error {
	if cl.jti == "" || len(cl.jti) > maxJTI {
		return errors.New("assertion: jti is missing or too long")
	}
	hash := sha256.Sum256([]byte(cl.iss + "\x00" + cl.jti))
	key, ttl := hex.EncodeToString(hash[:]), cl.exp.Add(leeway).Sub(now)
	switch err := r.store.Create(ctx, kindAssertion, key, []byte("{}"), ttl); {
	case errors.Is(err, store.ErrExists):
		return errors.New("assertion: it was presented before")
	case err != nil:
		return unavailable("the assertion cannot be checked now", fmt.Errorf("spend the jti: %w", err))
	}
	return nil
}
