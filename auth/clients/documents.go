package clients

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"golang.org/x/sync/singleflight"
)

const (
	// maxKeySet allows for certificates beside the keys.
	maxKeySet = 64 << 10
	// keysRest is how long an unknown key id waits until the set is fetched
	// again: clients rotate, and anybody can invent key ids.
	keysRest = time.Minute
)

// documents are the clients that describe themselves at a URL: fetched when
// somebody names them, kept as long as their server allows, forgotten at once
// when they are not valid.
type documents struct {
	fetcher *fetcher
	rules   rules
	now     func() time.Time
	log     *slog.Logger
	clients *cache[*Client]
	keys    *cache[jwk.Set]
	flights singleflight.Group
}

func newDocuments(o Options) *documents {
	return &documents{
		fetcher: newFetcher(o.Client, o.Now), rules: rules{o.AllowedRedirectURLs}, now: o.Now, log: o.Log,
		clients: newCache[*Client](), keys: newCache[jwk.Set](),
	}
}

// lookup returns the client whose document is at id, a URL that
// parseDocumentURL accepts.
func (d *documents) lookup(ctx context.Context, id string) (*Client, error) {
	if c, _, ok := d.clients.get(id, d.now()); ok {
		return c, nil
	}
	return share(ctx, &d.flights, "client "+id, func(ctx context.Context) (*Client, error) {
		got, err := d.fetcher.get(ctx, id, maxDocument)
		if err != nil {
			return nil, documentError(err)
		}
		c, err := parseDocument(id, got.body, d.rules)
		if err != nil {
			return nil, &Error{Code: InvalidClient, Description: "the client's metadata document is not valid", Cause: err}
		}
		d.clients.put(id, c, d.now(), got.keep)
		d.log.DebugContext(ctx, "client metadata document read", "client_id", id, "keep", got.keep)
		return c, nil
	})
}

// keySet returns the keys of a client, fetched again if there is none of the
// key id asked for.
func (d *documents) keySet(ctx context.Context, c *Client, kid string) (jwk.Set, error) {
	if c.keysURI == "" {
		return c.keys, nil
	}
	set, since, ok := d.keys.get(c.keysURI, d.now())
	if ok && (kid == "" || d.now().Sub(since) < keysRest) {
		return set, nil
	}
	if ok {
		if _, known := set.LookupKeyID(kid); known {
			return set, nil
		}
	}
	return share(ctx, &d.flights, "keys "+c.keysURI, func(ctx context.Context) (jwk.Set, error) {
		got, err := d.fetcher.get(ctx, c.keysURI, maxKeySet)
		if err != nil {
			return nil, documentError(fmt.Errorf("jwks_uri: %w", err))
		}
		set, err := parseKeys(got.body)
		if err != nil {
			return nil, &Error{Code: InvalidClient, Description: "the client's keys are not valid", Cause: err}
		}
		d.keys.put(c.keysURI, set, d.now(), got.keep)
		return set, nil
	})
}

// documentError says what can be tried about a failed fetch, and no more: the
// cause would tell strangers what our network looks like from inside.
func documentError(err error) *Error {
	if errors.Is(err, errPassing) {
		return unavailable("the client's metadata document cannot be fetched now", err)
	}
	return &Error{Code: InvalidClient, Description: "the client's metadata document cannot be fetched", Cause: err}
}

// share lets those who want the same at the same time wait for one of them. The
// work is nobody's own: it goes on, within its time, when who began it leaves.
func share[T any](ctx context.Context, g *singleflight.Group, key string, work func(context.Context) (T, error)) (T, error) {
	done := g.DoChan(key, func() (value any, err error) {
		// A panic outside of an HTTP handler would end the process.
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%s: panic: %v", key, p)
			}
		}()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTime)
		defer cancel()
		return work(ctx)
	})
	var none T
	select {
	case <-ctx.Done():
		return none, unavailable("the client's metadata document was not there in time", ctx.Err())
	case got := <-done:
		if got.Err != nil {
			return none, got.Err
		}
		return got.Val.(T), nil
	}
}
