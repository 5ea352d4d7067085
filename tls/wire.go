package tls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// wire is what one order says to the CA, and hears. autocert tells that a proof
// failed, but not why; the CA's answers do.
type wire struct {
	next http.RoundTripper
	ctx  context.Context //nolint:containedctx // autocert asks with contexts of its own, and we must be able to stop

	mu       sync.Mutex
	closed   bool
	orders   bool
	problems []problem
}

// problem is how a CA says what is wrong (RFC 8555 §6.7).
type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// kind is the type without the words that all have.
func (p problem) kind() string {
	return strings.ToLower(p.Type[strings.LastIndex(p.Type, ":")+1:])
}

// errOver is for what autocert does after an order.
var errOver = errors.New("the order is over")

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return nil, errOver
	}
	res, err := w.next.RoundTrip(r)
	if err != nil || !strings.Contains(res.Header.Get("Content-Type"), "json") {
		return res, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	w.hear(body)
	return res, nil
}

const maxAnswer = 1 << 20

// hear remembers why proofs failed (RFC 8555 §8: a challenge has an error), and
// that there was an order (§7.1.3: it lists authorizations).
func (w *wire) hear(body []byte) {
	var answer struct {
		Authorizations []string
		Challenges     []struct{ Error *problem }
	}
	if json.Unmarshal(body, &answer) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.orders = w.orders || len(answer.Authorizations) > 0
	for _, c := range answer.Challenges {
		if c.Error != nil {
			w.problems = append(w.problems, *c.Error)
		}
	}
}

// ordered says whether the CA has begun an order.
func (w *wire) ordered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.orders
}

// closeSoon ends the wire when autocert has had the time to give up the
// authorizations that it did not use; CAs count those.
func (w *wire) closeSoon() {
	time.AfterFunc(time.Minute, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.closed = true
	})
}
