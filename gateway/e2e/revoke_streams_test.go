//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A listener is an open stream of somebody, through one of the replicas.
type listener struct {
	name  string
	ended chan time.Time
}

// TestRevokingOneEndsTheirStreamsEverywhere: 500 streams of ten people on three
// replicas; each way of ending one person's grant ends exactly that person's
// streams, all of them within a second.
func TestRevokingOneEndsTheirStreamsEverywhere(t *testing.T) {
	d := startPostgres(t)
	c := newCluster(t, 3, d.url(d.schema(t)))
	const people, each = 10, 50
	var tr trouble
	var mu sync.Mutex
	held := map[string]tokens{}
	persons := map[string]*person{}
	c.crowd(t, people, &tr, func(ctx context.Context, p *person) error {
		got, err := p.session(ctx)
		mu.Lock()
		defer mu.Unlock()
		held[p.name], persons[p.name] = got, p
		return err
	})
	open := c.open(t, held, each)
	for i, revoke := range []func(name string) error{
		func(name string) error {
			c.replicas[0].command(t, "revoke", "--user", name+"@example.com")
			return nil
		},
		func(name string) error { return persons[name].revoke(t.Context(), held[name].Refresh) },
		func(name string) error { return persons[name].disconnect(t.Context()) },
	} {
		name := fmt.Sprint("person", i)
		if err := revoke(name); err != nil {
			t.Fatal(err)
		}
		// Counted from the acknowledgment: that is when a person believes it.
		slowest := awaitEnds(t, open[name], time.Now())
		t.Logf("%d streams of %s ended, the slowest after %v", len(open[name]), name, slowest)
		if slowest > time.Second {
			t.Errorf("the slowest stream of %s ended after %v", name, slowest)
		}
		delete(open, name)
	}
	for name, streams := range open {
		for _, s := range streams {
			select {
			case <-s.ended:
				t.Errorf("a stream of %s ended, whom nobody revoked", name)
			default:
			}
		}
	}
}

// open begins streams for everybody, spread over the replicas.
func (c *cluster) open(t *testing.T, held map[string]tokens, each int) map[string][]*listener {
	t.Helper()
	out := map[string][]*listener{}
	for name, got := range held {
		for i := range each {
			out[name] = append(out[name], c.listen(t, c.pins[i%len(c.pins)], name, got.Access))
		}
	}
	return out
}

func (c *cluster) listen(t *testing.T, at, name, access string) *listener {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = c.host
	req.Header.Set("Authorization", "Bearer "+access)
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	if res.StatusCode != http.StatusOK || !lines.Scan() {
		t.Fatalf("a stream of %s is answered %s", name, res.Status)
	}
	l := &listener{name, make(chan time.Time, 1)}
	go func() {
		for lines.Scan() {
		}
		l.ended <- time.Now()
	}()
	return l
}

// awaitEnds waits until all have ended and says how long the slowest took.
func awaitEnds(t *testing.T, streams []*listener, since time.Time) time.Duration {
	t.Helper()
	var slowest time.Duration
	late := time.After(10 * time.Second)
	for _, s := range streams {
		select {
		case at := <-s.ended:
			slowest = max(slowest, at.Sub(since))
		case <-late:
			t.Fatalf("a stream of %s does not end", s.name)
		}
	}
	return slowest
}
