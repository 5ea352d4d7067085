package tls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/acme"
)

// A Reason is a kind of failure, as metrics count them.
type Reason string

// The reasons why there is no certificate.
const (
	ReasonDNS         Reason = "dns"          // the name has no address, or the wrong one
	ReasonUnreachable Reason = "unreachable"  // the CA does not reach the ports
	ReasonRateLimited Reason = "rate_limited" // the CA says: not so often
	ReasonUnavailable Reason = "ca_unavailable"
	ReasonRefused     Reason = "refused" // the CA says no for another reason

	// reasonAsking is for an attempt whose end is not known.
	reasonAsking Reason = "asking"
)

// failure is why an order failed.
type failure struct {
	reason  Reason
	problem string        // for the operator
	wait    time.Duration // what the CA says of when to ask again
	cause   error
}

// failure says what an error of autocert means.
func (w *wire) failure(err error) failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	var answer *acme.Error
	if n := len(w.problems); n > 0 && !errors.As(err, &answer) {
		return proofFailed(w.problems[n-1], err)
	}
	var broken *url.Error
	switch {
	case errors.As(err, &answer):
		return answered(answer, err)
	case errors.As(err, &broken):
		return failure{reason: ReasonUnavailable, problem: fmt.Sprintf("the CA cannot be reached: %v", broken.Err), cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return failure{reason: ReasonUnavailable, problem: "the CA did not answer in time", cause: err}
	}
	return failure{reason: ReasonRefused, problem: "the order failed: " + plain(err.Error()), cause: err}
}

func answered(e *acme.Error, err error) failure {
	says := plain(e.Detail)
	if says == "" {
		says = fmt.Sprintf("status %d", e.StatusCode)
	}
	if wait, limited := acme.RateLimit(e); limited || e.StatusCode == http.StatusTooManyRequests {
		if wait <= 0 {
			wait = limitAgain
		}
		return failure{reason: ReasonRateLimited, problem: "the CA was asked too often: " + says, wait: wait, cause: err}
	}
	if e.StatusCode >= 500 {
		return failure{reason: ReasonUnavailable, problem: "the CA does not work: " + says, cause: err}
	}
	return failure{reason: ReasonRefused, problem: "the CA refuses: " + says, cause: err}
}

func proofFailed(p problem, err error) failure {
	f := failure{reason: ReasonRefused, problem: "the CA could not verify the name: " + plain(p.Detail), cause: err}
	switch p.kind() {
	case "dns":
		f.reason = ReasonDNS
	case "connection", "tls":
		f.reason = ReasonUnreachable
	case "unauthorized": // another server answered, most often
		f.reason = ReasonDNS
	case "caa":
		f.problem = "a CAA record of the name forbids this CA: " + plain(p.Detail)
	}
	return f
}

// plain makes what a CA said fit for a line.
func plain(says string) string {
	says = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, says)
	if len(says) > 300 {
		says = strings.ToValidUTF8(says[:300], "") + "…"
	}
	return strings.TrimSuffix(says, ".")
}

// explain adds what can be seen from here. It is looked for only now: what we
// see proves nothing of what a CA sees.
func (a *Automatic) explain(ctx context.Context, name string, f failure) failure {
	if f.reason != ReasonDNS && f.reason != ReasonUnreachable {
		return f // the CA did not get as far as to look
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	addrs, err := a.o.Lookup(ctx, name)
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound || err == nil && len(addrs) == 0 {
		f.problem = fmt.Sprintf("DNS has no address for %s: make an A or AAAA record that points to this machine (%s)", name, f.problem)
		f.reason = ReasonDNS
		return f
	}
	if err != nil {
		return f
	}
	f.problem = a.sight(ctx, name, addrs[:min(len(addrs), 4)]) + f.problem
	return f
}
