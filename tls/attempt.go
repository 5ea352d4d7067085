package tls

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// An attempt is what came of asking the CA for a host. It is kept in the cache:
// neither a restart nor another replica asks before its time. A certificate ends
// it.
type attempt struct {
	// Refusals are what CAs count: orders they refused, proofs that failed, and
	// orders of which nobody saw the end. Outages cost nothing.
	Refusals int `json:"refusals,omitempty"`
	Outages  int `json:"outages,omitempty"`

	Reason    Reason    `json:"reason,omitempty"`
	Problem   string    `json:"problem,omitempty"`
	NotBefore time.Time `json:"not_before"`
}

const (
	outageFirst = 5 * time.Second
	outageMost  = 15 * time.Minute
	// limitAgain is for a CA that says "too often", but not how long.
	limitAgain = time.Hour
	limitLeast = time.Second
)

// refusalWait is the pause after the n-th refusal. Let's Encrypt bears five
// failed proofs of a host in an hour, the strictest of its limits, and one order
// may fail two: by TLS-ALPN-01 and by HTTP-01.
func refusalWait(n int) time.Duration {
	switch n {
	case 0, 1:
		return 15 * time.Second // whoever came up a moment too late
	case 2:
		return 30 * time.Minute
	}
	return time.Hour
}

func outageWait(n int) time.Duration {
	wait := outageFirst
	for ; n > 1 && wait < outageMost; n-- {
		wait *= 2
	}
	return min(wait, outageMost)
}

// after is the attempt that follows l when it failed with f at now.
func (l attempt) after(f failure, now time.Time) attempt {
	next := attempt{Refusals: l.Refusals, Outages: l.Outages, Reason: f.reason, Problem: f.problem}
	var wait time.Duration
	switch f.reason {
	case ReasonRateLimited:
		wait = max(f.wait, limitLeast)
	case ReasonUnavailable:
		next.Outages++
		wait = outageWait(next.Outages)
	default:
		next.Outages = 0
		next.Refusals++
		wait = refusalWait(next.Refusals)
	}
	next.NotBefore = now.Add(wait).UTC().Truncate(time.Millisecond)
	return next
}

// asking is the attempt that follows l while its end is not known. It is kept
// before the CA is asked, as a refusal: a process that dies each time it asks
// does not ask more often.
func (l attempt) asking(now time.Time) attempt {
	return l.after(failure{reason: reasonAsking}, now)
}

func attemptKey(name string) string { return name + "+attempt" }

func (a *Automatic) lastAttempt(ctx context.Context, name string) (attempt, error) {
	raw, err := a.o.Cache.Get(ctx, attemptKey(name))
	if errors.Is(err, autocert.ErrCacheMiss) {
		return attempt{}, nil
	}
	if err != nil {
		return attempt{}, fmt.Errorf("read what the CA said last: %w", err)
	}
	var l attempt
	if err := json.Unmarshal(raw, &l); err != nil {
		return attempt{}, fmt.Errorf("read what the CA said last: %w", err)
	}
	return l, nil
}

func (a *Automatic) keepAttempt(ctx context.Context, name string, l attempt) error {
	raw, err := json.Marshal(l)
	if err == nil {
		err = a.o.Cache.Put(ctx, attemptKey(name), raw)
	}
	if err != nil {
		return fmt.Errorf("keep what the CA said: %w", err)
	}
	a.note(name, func(k *known) { k.last = l })
	return nil
}
