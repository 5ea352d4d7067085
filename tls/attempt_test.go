package tls

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestAttemptsStayBelowWhatPublicCAsBear(t *testing.T) {
	for name, tc := range map[string]struct {
		failure failure
		waits   []time.Duration
	}{
		"a refusal may be a moment's, then it is not": {failure{reason: ReasonDNS}, []time.Duration{15 * time.Second, 30 * time.Minute, time.Hour, time.Hour}},
		"whoever dies while asking was refused":       {failure{reason: reasonAsking}, []time.Duration{15 * time.Second, 30 * time.Minute, time.Hour}},
		"an outage is short, or is not":               {failure{reason: ReasonUnavailable}, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}},
		"the CA says how long":                        {failure{reason: ReasonRateLimited, wait: 34 * time.Hour}, []time.Duration{34 * time.Hour, 34 * time.Hour}},
		"a CA that says now is not believed":          {failure{reason: ReasonRateLimited}, []time.Duration{time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			var last attempt
			for i, want := range tc.waits {
				last = last.after(tc.failure, noon)
				if got := last.NotBefore.Sub(noon); got != want {
					t.Errorf("failure %d: wait %s, want %s", i+1, got, want)
				}
			}
		})
	}
	t.Run("outages do not make refusals forgotten", func(t *testing.T) {
		last := attempt{}.after(failure{reason: ReasonRefused}, noon).after(failure{reason: ReasonUnavailable}, noon).after(failure{reason: ReasonRefused}, noon)
		if wait := last.NotBefore.Sub(noon); wait != 30*time.Minute {
			t.Errorf("wait %s", wait)
		}
	})
	t.Run("no outage is waited for longer than a quarter of an hour", func(t *testing.T) {
		if wait := outageWait(1000); wait != outageMost {
			t.Errorf("wait %s", wait)
		}
	})
}

func TestRestartsDoNotAskAgain(t *testing.T) {
	url, caFile, knocks := directory(t)
	cache, now := &memory{}, noon
	start := func() *Automatic {
		return automatic(t, cache, url, caFile, func(o *ACME) { o.Now = func() time.Time { return now } })
	}
	for i, tc := range []struct {
		later time.Duration
		asked bool
	}{{0, true}, {0, false}, {14 * time.Second, false}, {2 * time.Second, true}, {29 * time.Minute, false}, {2 * time.Minute, true}} {
		now = now.Add(tc.later)
		before := knocks.Load()
		a := start()
		wait := a.pass(t.Context())
		if got := knocks.Load() > before; got != tc.asked {
			t.Errorf("start %d: asked the CA: %v, want %v", i+1, got, tc.asked)
		}
		if wait <= 0 || wait > lookAgain {
			t.Errorf("start %d: look again in %s", i+1, wait)
		}
		if s := a.Status()[0]; !s.NotAfter.IsZero() || !strings.Contains(s.Problem, "refuses") || !s.Next.After(now) {
			t.Errorf("start %d: status %+v", i+1, s)
		}
	}
}

func TestADeathWhileAskingIsRemembered(t *testing.T) {
	cache := &memory{}
	asked := make(chan struct{}, 1)
	hold := make(chan struct{})
	url, caFile := front(t, func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-hold
	})
	defer close(hold)
	a := automatic(t, cache, url, caFile, nil)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Watch(ctx)
	}()
	<-asked
	l, err := a.lastAttempt(t.Context(), "mcp.example.com")
	if err != nil || l.Refusals != 1 || l.NotBefore.IsZero() {
		t.Errorf("while the CA is asked: %+v, %v", l, err)
	}
	stop()
	<-done
	t.Run("and forgotten if the process stops in good order before there was an order", func(t *testing.T) {
		if l, err := a.lastAttempt(t.Context(), "mcp.example.com"); err != nil || l != (attempt{}) {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

// broken is a Cache that fails where it is told to.
type broken struct {
	*memory
	put, get atomic.Bool
}

var errBroken = errors.New("the disk is full")

func (b *broken) Put(ctx context.Context, key string, v []byte) error {
	if b.put.Load() {
		return errBroken
	}
	return b.memory.Put(ctx, key, v)
}

func (b *broken) Get(ctx context.Context, key string) ([]byte, error) {
	if b.get.Load() {
		return nil, errBroken
	}
	return b.memory.Get(ctx, key)
}

func TestTheCAIsNotAskedWithoutAMemory(t *testing.T) {
	url, caFile, knocks := directory(t)
	for name, spoil := range map[string]func(*broken){
		"that can be written":    func(b *broken) { b.put.Store(true) },
		"that can be read":       func(b *broken) { b.get.Store(true) },
		"of what the CA said":    func(b *broken) { b.data = map[string][]byte{"mcp.example.com+attempt": []byte("rubbish")} },
		"where we are elected":   func(b *broken) { b.elected = map[string]bool{election: true} },
		"that has a certificate": func(b *broken) { b.data = map[string][]byte{"mcp.example.com": certificate(t, "mcp.example.com")} },
	} {
		t.Run(name, func(t *testing.T) {
			b := &broken{memory: &memory{}}
			spoil(b)
			a := automatic(t, b, url, caFile, nil)
			if wait := a.pass(t.Context()); wait <= 0 || knocks.Load() != 0 {
				t.Errorf("asked %d times, look again in %s", knocks.Load(), wait)
			}
		})
	}
}

// certificate is a good one for the name, as autocert keeps it.
func certificate(t *testing.T, name string) []byte {
	t.Helper()
	ca, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.issue([]string{name}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := authority{leaf.Leaf, leaf.PrivateKey.(*ecdsa.PrivateKey)}.encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestWhatAnotherReplicaGotIsTakenOver(t *testing.T) {
	url, caFile, knocks := directory(t)
	cache := &memory{elected: map[string]bool{election: true}} // the other one asks
	a := automatic(t, cache, url, caFile, nil)
	addr := serve(t, a)
	if wait := a.pass(t.Context()); wait != turn {
		t.Errorf("look again in %s", wait)
	}
	if err := cache.Put(t.Context(), "mcp.example.com", certificate(t, "mcp.example.com")); err != nil {
		t.Fatal(err)
	}
	a.pass(t.Context())
	if _, err := dial(t, addr, "mcp.example.com", nil, nil); err != nil || knocks.Load() != 0 {
		t.Errorf("handshake: %v; the CA was asked %d times", err, knocks.Load())
	}
}

func TestAHostThatIsAddedIsSeenToAtOnce(t *testing.T) {
	cache := &memory{data: map[string][]byte{
		"mcp.example.com": certificate(t, "mcp.example.com"), "new.example.com": certificate(t, "new.example.com"),
	}}
	a := automatic(t, cache, "https://ca.invalid", "", nil)
	addr := serve(t, a)
	go a.Watch(t.Context())
	if _, err := dial(t, addr, "mcp.example.com", nil, nil); err != nil {
		t.Fatal(err)
	}
	a.o.Hosts.Set("new.example.com")
	if _, err := dial(t, addr, "new.example.com", nil, nil); err != nil {
		t.Error(err)
	}
	_, err := dial(t, addr, "mcp.example.com", nil, nil)
	wantUnrecognized(t, err)
}

func TestHandshakesWaitForTheFirstCertificate(t *testing.T) {
	cache := &memory{elected: map[string]bool{election: true}}
	a := automatic(t, cache, "https://ca.invalid", "", nil)
	addr := serve(t, a)
	result := make(chan error, 1)
	go func() {
		_, err := (&tls.Dialer{Config: &tls.Config{ServerName: "mcp.example.com", InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", addr)
		result <- err
	}()
	if err := cache.Put(t.Context(), "mcp.example.com", certificate(t, "mcp.example.com")); err != nil {
		t.Fatal(err)
	}
	a.pass(t.Context())
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestRenewalIsAThirdOfALifeBeforeItsEnd(t *testing.T) {
	a := automatic(t, &memory{}, "https://ca.invalid", "", nil)
	raw := certificate(t, "mcp.example.com")
	cert, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		t.Fatal(err)
	}
	life := cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)
	a.o.Now = func() time.Time { return cert.Leaf.NotAfter.Add(-life / 3).Add(-time.Minute) }
	if wait := a.renewal(&cert); wait.Round(time.Second) != time.Minute {
		t.Errorf("renewed in %s", wait)
	}
}

func TestACertificateThatCouldNotBeKeptIsKeptLater(t *testing.T) {
	b := &broken{memory: &memory{}}
	a := automatic(t, b, "https://ca.invalid", "", nil)
	raw := certificate(t, "mcp.example.com")
	cert, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		t.Fatal(err)
	}
	b.put.Store(true)
	a.note("mcp.example.com", func(k *known) { *k = known{cert: &cert, unkept: raw} })
	if wait := a.pass(t.Context()); wait != storeAgain {
		t.Errorf("look again in %s", wait)
	}
	b.put.Store(false)
	a.pass(t.Context())
	if got, err := b.Get(t.Context(), "mcp.example.com"); err != nil || string(got) != string(raw) {
		t.Errorf("the cache has %d bytes, %v", len(got), err)
	}
	if _, err := b.Get(t.Context(), attemptKey("mcp.example.com")); !errors.Is(err, autocert.ErrCacheMiss) {
		t.Errorf("the attempt is still there: %v", err)
	}
}

func TestOneReplicaMakesTheLocalCA(t *testing.T) {
	cache := &memory{}
	made := make(chan string, 8)
	for range cap(made) {
		go func() {
			s, err := NewSelfSigned(t.Context(), cache, NewHosts("a.example"), SelfSignedOptions{})
			if err != nil {
				made <- fmt.Sprint(err)
				return
			}
			made <- string(s.CACertificate())
		}()
	}
	first := <-made
	for range cap(made) - 1 {
		if other := <-made; other != first {
			t.Errorf("two CAs:\n%s\n%s", first, other)
		}
	}
	if !strings.Contains(first, "CERTIFICATE") {
		t.Error(first)
	}
}
