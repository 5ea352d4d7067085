//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestKilledAtAnyMomentWithAFile kills the only process again and again while
// people do everything there is to do.
func TestKilledAtAnyMomentWithAFile(t *testing.T) {
	dir, err := os.MkdirTemp("", "gw-") //nolint:usetesting // not shorter lived than the processes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := newCluster(t, 1, "bolt://"+filepath.Join(dir, "state.db"))
	c.crash(t, some(15, 200))
}

// TestKilledAtAnyMomentAmongThree kills one of three replicas at a time.
func TestKilledAtAnyMomentAmongThree(t *testing.T) {
	d := startPostgres(t)
	c := newCluster(t, 3, d.url(d.schema(t)))
	c.crash(t, some(8, 50))
}

// crash kills replicas while people are at work, and then holds what is left to
// the people's own records.
func (c *cluster) crash(t *testing.T, times int) {
	t.Helper()
	const people = 8
	var tr trouble
	working, stop := context.WithCancel(t.Context())
	defer stop()
	records := make([]*record, people)
	var group sync.WaitGroup
	for i := range people {
		records[i] = &record{person: c.person(t, fmt.Sprint("person", i), &tr)}
		group.Go(func() { records[i].work(working, t.Context()) })
	}
	for range times {
		tr.progress(t, int64(rand.IntN(60)))
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // in the middle of something
		r := c.replicas[rand.IntN(len(c.replicas))]
		r.stop(t, os.Kill)
		r.up(t)
	}
	stop()
	group.Wait()
	c.judge(t, records)
	if tr.lost.Load() == 0 {
		t.Error("nobody noticed the crashes: they prove nothing")
	}
	t.Logf("%d crashes, %d lost connections, %d answers were 503, %d flows begun again", times, tr.lost.Load(), tr.unavailable.Load(), tr.restarts.Load())
}

// progress waits until so many more answers were given: slow machines are no
// excuse for doing less between two crashes.
func (tr *trouble) progress(t *testing.T, answers int64) {
	t.Helper()
	before, late := tr.answered.Load(), time.Now().Add(patience)
	for tr.answered.Load() < before+answers {
		if time.Now().After(late) {
			t.Fatalf("%d answers in %v", tr.answered.Load()-before, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

// judge checks, after the last crash, that everything acknowledged is still so.
func (c *cluster) judge(t *testing.T, records []*record) {
	t.Helper()
	var codes, spent, kept, ended, replayed int
	for _, r := range records {
		ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
		for _, err := range r.verify(ctx) {
			t.Errorf("%s: %v", r.name, err)
		}
		cancel()
		codes, spent, kept, ended, replayed = codes+r.codes, spent+r.spent, kept+len(r.kept), ended+len(r.ended), replayed+r.replayed
	}
	if kept == 0 || ended == 0 || replayed == 0 || spent == 0 {
		t.Errorf("%d sessions kept, %d ended, %d codes shown twice, %d refreshes: too little was done", kept, ended, replayed, spent)
	}
	t.Logf("%d codes, %d refreshes; %d sessions kept, %d ended, %d codes shown twice", codes, spent, kept, ended, replayed)
}

// A record is what one person was told, and so may count on.
type record struct {
	*person
	consented bool      // the consent page was answered, and its flow came to its end
	kept      []*holder // sessions that must still work
	ended     []tokens  // sessions whose end was acknowledged
	broken    []error   // promises that were not kept

	codes, spent, replayed int
}

// A holder is a session with its refresh tokens, oldest first.
type holder struct {
	access  string
	refresh []string
}

func (r *record) breaks(format string, args ...any) {
	r.broken = append(r.broken, fmt.Errorf(format, args...))
}

// work lasts until working ends; what is begun then is finished.
func (r *record) work(working, ctx context.Context) {
	for working.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, 2*patience)
		if err := r.once(ctx); err != nil {
			r.breaks("no working session: %w", err)
		}
		cancel()
	}
}

// once is one session, and what may be done with it.
func (r *record) once(ctx context.Context) error {
	if r.clientID == "" {
		if err := r.register(ctx); err != nil {
			return err
		}
	}
	c, got, err := r.begin(ctx)
	if err != nil {
		return err
	}
	h := &holder{access: got.Access, refresh: []string{got.Refresh}}
	if err := r.use(ctx, h); err != nil {
		return err
	}
	for range rand.IntN(4) {
		if err := r.rotate(ctx, h); err != nil {
			return err
		}
	}
	switch rand.IntN(4) {
	case 0:
		return r.end(ctx, h)
	case 1:
		return r.replay(ctx, c, h)
	}
	r.kept = append(r.kept, h)
	return nil
}

// begin goes through the flow until there are tokens. A code whose answer was
// lost may be dead; then everything begins again.
func (r *record) begin(ctx context.Context) (code, tokens, error) {
	for {
		c, asked, err := r.authorize(ctx)
		if errors.Is(err, errRestart) {
			r.trouble.restarts.Add(1)
			continue
		}
		if err != nil {
			return c, tokens{}, err
		}
		if r.consented && asked {
			r.breaks("a consent was forgotten")
		}
		r.consented = true
		r.codes++
		got, a, err := r.redeem(ctx, c)
		if err != nil {
			return c, tokens{}, err
		}
		if a.status == http.StatusOK {
			return c, got, nil
		}
		if a.again == 0 {
			r.breaks("a code was refused the first time it was shown: %d %s", a.status, a.body)
		}
		r.trouble.restarts.Add(1)
	}
}

// use calls a tool with the access token, which must be good.
func (r *record) use(ctx context.Context, h *holder) error {
	status, err := r.call(ctx, h.access)
	if err == nil && status != http.StatusOK {
		r.breaks("a good access token is answered %d", status)
	}
	return err
}

// rotate spends the current refresh token. However often that is tried, it
// works; and a token shown again before its successor was used has the same
// successor.
func (r *record) rotate(ctx context.Context, h *holder) error {
	current := h.refresh[len(h.refresh)-1]
	got, a, err := r.refresh(ctx, current)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		r.breaks("a current refresh token is refused: %d %s", a.status, a.body)
		return nil
	}
	r.spent++
	if rand.IntN(3) == 0 {
		same, a, err := r.refresh(ctx, current)
		if err != nil {
			return err
		}
		if a.status != http.StatusOK || same.Refresh != got.Refresh {
			r.breaks("a refresh tried again is answered %d, with the same successor: %t", a.status, same.Refresh == got.Refresh)
		}
	}
	h.access, h.refresh = got.Access, append(h.refresh, got.Refresh)
	return r.use(ctx, h)
}

// end revokes the session.
func (r *record) end(ctx context.Context, h *holder) error {
	last := h.refresh[len(h.refresh)-1]
	if err := r.revoke(ctx, last); err != nil {
		return err
	}
	r.ended = append(r.ended, tokens{Access: h.access, Refresh: last})
	return nil
}

// replay shows the code again: it must be refused, and what came of it ends.
func (r *record) replay(ctx context.Context, c code, h *holder) error {
	_, a, err := r.redeem(ctx, c)
	if err != nil {
		return err
	}
	if a.status == http.StatusOK {
		r.breaks("a code was accepted twice")
	}
	r.replayed++
	r.ended = append(r.ended, tokens{Access: h.access, Refresh: h.refresh[len(h.refresh)-1]})
	return nil
}

// verify checks what was promised, after everything.
func (r *record) verify(ctx context.Context) []error {
	var broken []error
	fail := func(format string, args ...any) { broken = append(broken, fmt.Errorf(format, args...)) }
	for _, gone := range r.ended {
		if status, err := r.call(ctx, gone.Access); err != nil || status != http.StatusUnauthorized {
			fail("an access token of an ended session is answered %d, %v", status, err)
		}
		if _, a, err := r.refresh(ctx, gone.Refresh); err != nil || a.status != http.StatusBadRequest {
			fail("a refresh token of an ended session is answered %v, %v", a, err)
		}
	}
	for i, h := range r.kept {
		if err := r.rotate(ctx, h); err != nil {
			fail("%w", err)
		}
		if n := len(h.refresh); i%4 == 0 && n >= 3 {
			if _, a, err := r.refresh(ctx, h.refresh[n-3]); err != nil || a.status == http.StatusOK {
				fail("an old refresh token is accepted: %v", err)
			}
			if _, a, err := r.refresh(ctx, h.refresh[n-1]); err != nil || a.status == http.StatusOK {
				fail("a session outlives the use of an old refresh token: %v", err)
			}
		}
	}
	return append(broken, r.broken...)
}
