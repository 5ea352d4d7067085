package tls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

const (
	// lookAgain is how often it is looked at every host, whatever was planned:
	// clocks are set, and machines sleep.
	lookAgain = time.Minute
	// turn is how soon it is looked again while another replica asks, and
	// storeAgain while the store fails.
	turn       = time.Second
	storeAgain = 10 * time.Second
	// soonest keeps a pass from following a pass at once.
	soonest = 100 * time.Millisecond
	// renewAtMost bounds how early a certificate is renewed: a third of its
	// life before it ends, as autocert does.
	renewAtMost = 30 * 24 * time.Hour
)

// election is what replicas compete for. It is one for all hosts: most of what
// CAs limit is counted by account.
const election = "acme"

// Watch implements Source: it gets certificates for all hosts, and newer ones
// in time.
func (a *Automatic) Watch(ctx context.Context) {
	for {
		replaced := a.o.Hosts.replaced()
		timer := time.NewTimer(a.pass(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-replaced:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pass looks at each host once, and returns when to do so again.
func (a *Automatic) pass(ctx context.Context) time.Duration {
	next := lookAgain
	for _, name := range a.o.Hosts.Names() {
		if ctx.Err() != nil {
			break
		}
		wait, err := a.tend(ctx, name)
		if err != nil && ctx.Err() == nil {
			// The CA is not asked: what it answers could not be kept, and how
			// often it was asked is not known.
			a.o.Log.ErrorContext(ctx, "look after the certificate", "host", name, "cause", err)
			wait = storeAgain
		}
		next = min(next, wait)
	}
	return max(next, soonest)
}

// tend sees to the certificate of one host, and returns when to do so again.
func (a *Automatic) tend(ctx context.Context, name string) (time.Duration, error) {
	if k, _ := a.look(name); k.unkept != nil {
		if err := a.keep(ctx, name, k.unkept); err != nil {
			return 0, err
		}
	}
	if wait, _, err := a.due(ctx, name); err != nil || wait > 0 {
		return wait, err
	}
	resign, elected, err := a.o.Cache.Elect(ctx, election)
	if err != nil {
		return 0, fmt.Errorf("elect who asks the CA: %w", err)
	}
	if !elected {
		return turn, nil
	}
	defer resign()
	// Whose turn it was before us may have asked for this very host.
	wait, last, err := a.due(ctx, name)
	if err != nil || wait > 0 {
		return wait, err
	}
	return a.ask(ctx, name, last)
}

// due tells how long the CA need not, or must not, be asked about a host, and
// what came of it the last time. It takes over what other replicas achieved.
func (a *Automatic) due(ctx context.Context, name string) (time.Duration, attempt, error) {
	k, _ := a.look(name)
	if wait := a.renewal(k.cert); wait > 0 {
		return wait, attempt{}, nil
	}
	cert, err := a.read(ctx, name)
	if err != nil {
		return 0, attempt{}, err
	}
	last, err := a.lastAttempt(ctx, name)
	if err != nil {
		return 0, attempt{}, err
	}
	newer := cert != nil && (k.cert == nil || cert.Leaf.NotAfter.After(k.cert.Leaf.NotAfter))
	if newer || last != k.last {
		a.note(name, func(k *known) {
			k.last = last
			if newer {
				k.cert = cert
			}
		})
	}
	wait := max(a.renewal(cert), last.NotBefore.Sub(a.o.Now()))
	if last.Reason == reasonAsking && wait > 0 {
		wait = min(wait, turn) // another replica asks: it will have an answer soon
	}
	return wait, last, nil
}

// renewal is how long it is until a certificate should be renewed.
func (a *Automatic) renewal(cert *tls.Certificate) time.Duration {
	if cert == nil {
		return 0
	}
	life := cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)
	return cert.Leaf.NotAfter.Add(-min(life/3, renewAtMost)).Sub(a.o.Now())
}

// read returns the certificate of a host that the cache has, nil if it has none
// that can be used. One that has expired can: clients then know what is wrong.
func (a *Automatic) read(ctx context.Context, name string) (*tls.Certificate, error) {
	raw, err := a.o.Cache.Get(ctx, name)
	if errors.Is(err, autocert.ErrCacheMiss) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	cert, unusable := tls.X509KeyPair(raw, raw)
	if unusable == nil {
		unusable = cert.Leaf.VerifyHostname(name)
	}
	if unusable != nil {
		a.o.Log.WarnContext(ctx, "the stored certificate cannot be used", "host", name, "cause", unusable)
		return nil, nil
	}
	return &cert, nil
}
