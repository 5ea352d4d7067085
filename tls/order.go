package tls

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ask asks the CA for a certificate and keeps what comes of it. It returns when
// to look at the host again.
func (a *Automatic) ask(ctx context.Context, name string, last attempt) (time.Duration, error) {
	asking := last.asking(a.o.Now())
	if err := a.keepAttempt(ctx, name, asking); err != nil {
		return 0, err
	}
	a.o.Log.InfoContext(ctx, "asking for a certificate", "host", name)
	w := &wire{next: a.client, ctx: ctx}
	cert, raw, err := a.order(ctx, name, w)
	if ctx.Err() != nil {
		return 0, a.interrupted(ctx, name, last, w)
	}
	if err != nil {
		return a.failed(ctx, name, last, w.failure(err))
	}
	a.note(name, func(k *known) { *k = known{cert: cert, unkept: raw} })
	a.o.Log.InfoContext(ctx, "certificate obtained", "host", name, "not_after", cert.Leaf.NotAfter)
	return a.renewal(cert), a.keep(ctx, name, raw)
}

// keep puts a new certificate into the cache. The attempt goes after it, so that
// no restart in between asks for another one at once.
func (a *Automatic) keep(ctx context.Context, name string, raw []byte) error {
	if err := a.o.Cache.Put(ctx, name, raw); err != nil {
		return fmt.Errorf("keep the certificate: %w", err)
	}
	a.note(name, func(k *known) { k.unkept = nil })
	if err := a.o.Cache.Delete(ctx, attemptKey(name)); err != nil {
		return fmt.Errorf("forget what the CA said last: %w", err)
	}
	return nil
}

func (a *Automatic) failed(ctx context.Context, name string, last attempt, f failure) (time.Duration, error) {
	f = a.explain(ctx, name, f)
	next := last.after(f, a.o.Now())
	err := a.keepAttempt(ctx, name, next)
	a.o.OnFailure(name, f.reason)
	a.o.Log.WarnContext(ctx, "no certificate obtained", "host", name, "reason", f.problem, "next", next.NotBefore, "cause", f.cause)
	return next.NotBefore.Sub(a.o.Now()), err
}

// interrupted leaves the attempt as it was if the process stops before there was
// an order: no CA counts that.
func (a *Automatic) interrupted(ctx context.Context, name string, last attempt, w *wire) error {
	if w.ordered() {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return a.keepAttempt(ctx, name, last)
}

// order gets a certificate, as what the cache keeps of it. autocert gives up
// after five minutes.
//
// Each order has a Manager of its own, so that it is us who decide when the CA
// is asked: a Manager that has been given a host would ask again by itself, at
// handshakes and at times of its own, whatever other replicas do.
func (a *Automatic) order(ctx context.Context, name string, w *wire) (*tls.Certificate, []byte, error) {
	c := &orderCache{Cache: a.o.Cache, name: name}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: c, HostPolicy: a.allow, Email: a.o.Email, ExternalAccountBinding: a.account,
		Client: &acme.Client{
			DirectoryURL: a.o.DirectoryURL, UserAgent: "mcp-oauth2-proxy", RetryBackoff: retry,
			HTTPClient: &http.Client{Transport: w, Timeout: time.Minute},
		},
		// The shortest that autocert bears: its own renewal would begin when
		// the certificate ends. It then finds our newer one in the cache, or a
		// wire that is closed.
		RenewBefore: 10,
	}
	if a.port80.Load() {
		m.HTTPHandler(nil) // it tries HTTP-01 only if this was called
	}
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err = m.GetCertificate(modern(name))
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	w.closeSoon()
	if err != nil {
		return nil, nil, err
	}
	raw := c.take()
	cert, err := tls.X509KeyPair(raw, raw)
	return &cert, raw, err
}

// modern is the handshake of a client that takes an ECDSA certificate. There is
// no second one with RSA for clients of before 2014.
func modern(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256},
	}
}

// retry is acme's RetryBackoff. Nonces expire, and a CA may stumble once; what
// it says of limits and outages is ours to respect, across restarts.
func retry(n int, _ *http.Request, res *http.Response) time.Duration {
	switch {
	case res.StatusCode == http.StatusBadRequest && n <= 10: // a stale nonce
		return 100 * time.Millisecond
	case res.StatusCode >= http.StatusInternalServerError && n <= 2:
		return time.Second
	}
	return 0
}

// orderCache is the cache of one order: it has no certificate of the host, and
// the one that comes is ours to keep.
type orderCache struct {
	Cache
	name string

	mu    sync.Mutex
	taken bool
	raw   []byte
}

// Get implements autocert.Cache.
func (c *orderCache) Get(ctx context.Context, key string) ([]byte, error) {
	c.mu.Lock()
	over := c.taken
	c.mu.Unlock()
	if key == c.name && !over {
		return nil, autocert.ErrCacheMiss
	}
	return c.Cache.Get(ctx, key)
}

// Put implements autocert.Cache.
func (c *orderCache) Put(ctx context.Context, key string, raw []byte) error {
	if key != c.name {
		return c.Cache.Put(ctx, key, raw)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = raw
	return nil
}

func (c *orderCache) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = true
	return c.raw
}
