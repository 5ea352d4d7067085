package tls

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// SelfSignedOptions are what NewSelfSigned can be told beside the hosts.
type SelfSignedOptions struct {
	Now func() time.Time // nil: time.Now
}

// SelfSigned is the source of certificates of a local CA of our own. The CA
// lives in the cache, so that a client that trusts it need not be told twice;
// the certificates live in memory, for they cost nothing to make.
type SelfSigned struct {
	hosts *Hosts
	now   func() time.Time
	ca    authority

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// cacheKey is the name of the CA in the cache.
const cacheKey = "selfsigned-ca"

// NewSelfSigned takes the CA from the cache, or makes one and keeps it there.
func NewSelfSigned(ctx context.Context, cache Cache, h *Hosts, o SelfSignedOptions) (*SelfSigned, error) {
	s := &SelfSigned{hosts: h, now: o.Now, leaves: map[string]*tls.Certificate{}}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.ca, err = load(ctx, cache, s.now()); err != nil {
		return nil, fmt.Errorf("tls.mode selfsigned: %w", err)
	}
	return s, nil
}

// CACertificate is the CA's certificate as PEM, for clients to trust.
func (s *SelfSigned) CACertificate() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.cert.Raw})
}

// Config implements Source.
func (s *SelfSigned) Config() *tls.Config { return configuration(s.certificate) }

// HTTPHandler implements Source: there is nobody to prove anything to.
func (s *SelfSigned) HTTPHandler(next http.Handler) http.Handler { return next }

// Watch implements Source: certificates are made when they are wanted.
func (s *SelfSigned) Watch(ctx context.Context) { <-ctx.Done() }

// Status implements Source.
func (s *SelfSigned) Status() []Status {
	var all []Status
	for _, name := range s.hosts.Names() {
		one := Status{Host: name}
		leaf, err := s.certificate(&tls.ClientHelloInfo{ServerName: name})
		if err != nil || leaf == nil {
			one.Problem = fmt.Sprintf("no certificate could be made: %v", err)
		} else {
			one.NotAfter = leaf.Leaf.NotAfter
		}
		all = append(all, one)
	}
	return all
}

// certificate makes one for the name the client asks for. A client that
// dialed an address asks for none; it gets the one for all our addresses.
func (s *SelfSigned) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := hostname(hello.ServerName)
	names := []string{name}
	if name == "" {
		names = addresses(s.hosts.Names())
	}
	if len(names) == 0 || name != "" && !s.hosts.has(name) {
		return none()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := fmt.Sprint(names)
	if leaf, ok := s.leaves[key]; ok && s.now().Before(leaf.Leaf.NotAfter.Add(-leafLife/3)) {
		return leaf, nil
	}
	leaf, err := s.ca.issue(names, s.now())
	if err != nil {
		return nil, fmt.Errorf("certificate for %v: %w", names, err)
	}
	s.leaves[key] = leaf
	return leaf, nil
}

// load takes the CA from the cache. Of replicas that start together one makes
// it: clients could trust no other.
func load(ctx context.Context, cache Cache, now time.Time) (authority, error) {
	for {
		ca, err := stored(ctx, cache, now)
		if !errors.Is(err, autocert.ErrCacheMiss) {
			return ca, err
		}
		resign, elected, err := cache.Elect(ctx, cacheKey)
		if err != nil {
			return ca, fmt.Errorf("elect who makes the local CA: %w", err)
		}
		if elected {
			defer resign()
			return makeUnlessStored(ctx, cache, now)
		}
		select {
		case <-time.After(electAgain):
		case <-ctx.Done():
			return ca, ctx.Err()
		}
	}
}

// electAgain is how often it is looked whether another replica has made the CA.
const electAgain = 50 * time.Millisecond

// stored is the CA that the cache has, or ErrCacheMiss where one must be made.
// One that cannot be read is not replaced: that would silently end the trust of
// every client.
func stored(ctx context.Context, cache Cache, now time.Time) (authority, error) {
	raw, err := cache.Get(ctx, cacheKey)
	if err != nil {
		return authority{}, fmt.Errorf("read the local CA: %w", err)
	}
	ca, err := parseAuthority(raw)
	if err == nil && !now.Add(leafLife).Before(ca.cert.NotAfter) {
		return ca, autocert.ErrCacheMiss // it ends before what it would sign
	}
	return ca, err
}

func makeUnlessStored(ctx context.Context, cache Cache, now time.Time) (authority, error) {
	ca, err := stored(ctx, cache, now)
	if !errors.Is(err, autocert.ErrCacheMiss) {
		return ca, err
	}
	if ca, err = newAuthority(now); err != nil {
		return ca, fmt.Errorf("make a local CA: %w", err)
	}
	raw, err := ca.encode()
	if err != nil {
		return ca, fmt.Errorf("make a local CA: %w", err)
	}
	if err := cache.Put(ctx, cacheKey, raw); err != nil {
		return ca, fmt.Errorf("keep the local CA: %w", err)
	}
	return ca, nil
}
