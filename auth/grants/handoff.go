package grants

import (
	"context"
	"fmt"
	"time"
)

// HandoffLife is how long a browser may take from the callback host to the host
// where its request began: one redirect.
const HandoffLife = 60 * time.Second

// Handoff is what an identity provider answered at the host where all its
// answers arrive, on its way to the host where the request began.
type Handoff struct {
	Issuer string `json:"iss"` // where it may be taken
	Query  string `json:"query"`

	Ends time.Time `json:"ends"`
}

// HandOff keeps an answer for the request of that ID and returns the code that
// names it.
func (g *Grants) HandOff(ctx context.Context, request string, h Handoff) (code string, err error) {
	code = random()
	h.Ends = g.o.Now().Add(HandoffLife)
	if err := g.handoffs.Create(ctx, request+"."+code, h, HandoffLife); err != nil {
		return "", fmt.Errorf("hand an answer over: %w", err)
	}
	return code, nil
}

// TakeOver returns what was handed over for the request of that ID at this
// issuer, once. Whoever asks for another request, or at another host, gets
// ErrInvalid and spends nothing.
func (g *Grants) TakeOver(ctx context.Context, request, code, issuer string) (string, error) {
	h, err := g.handoffs.Get(ctx, request+"."+code)
	if err == nil && (h.Issuer != issuer || !g.o.Now().Before(h.Ends)) {
		return "", fmt.Errorf("take an answer over: %w: another host's, or too late", ErrInvalid)
	}
	if err == nil {
		h, err = g.handoffs.Take(ctx, request+"."+code)
	}
	return h.Query, invalidIfAbsent("take an answer over", err)
}
