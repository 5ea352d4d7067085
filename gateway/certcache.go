package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/store"

	"golang.org/x/crypto/acme/autocert"
)

// kindCertificate is where certificates, their keys and the ACME account lie.
const kindCertificate store.Kind = "certificate"

// challengeLife is how long what answers a challenge is kept, if nobody removes
// it: an order takes five minutes at most.
const challengeLife = time.Hour

// certCache keeps what ACME needs in the store, so that replicas share it. It
// implements tls.Cache.
type certCache struct{ store store.Store }

// Get implements autocert.Cache.
func (c certCache) Get(ctx context.Context, name string) ([]byte, error) {
	b, err := c.store.Get(ctx, kindCertificate, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, autocert.ErrCacheMiss
	}
	return b, err
}

// Put implements autocert.Cache.
func (c certCache) Put(ctx context.Context, name string, data []byte) error {
	var ttl time.Duration
	if strings.HasSuffix(name, "+token") || strings.HasSuffix(name, "+http-01") {
		ttl = challengeLife
	}
	return c.store.Put(ctx, kindCertificate, name, data, ttl)
}

// Delete implements autocert.Cache.
func (c certCache) Delete(ctx context.Context, name string) error {
	return c.store.Delete(ctx, kindCertificate, name)
}
