package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/web"
)

const (
	kindAttempt   store.Kind = "attempt"    // by reference
	kindAttemptOf store.Kind = "attempt-of" // those of a user that failed

	maxFailed = 10 // of a user
)

func (a *attempts) kept() store.Bucket[attempt] { return store.Names[attempt](a.store, kindAttempt) }
func (a *attempts) failures() store.Bucket[[]attempt] {
	return store.Names[[]attempt](a.store, kindAttemptOf)
}

// save writes what has changed. When it returns, so is what another save was
// writing.
func (a *attempts) save(ctx context.Context) {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	dirty := a.dirty
	a.dirty = map[string]bool{}
	a.mu.Unlock()
	for ref := range dirty {
		at, ok := a.remembered(ref)
		if !ok {
			continue
		}
		if err := a.saveOne(ctx, at); err != nil && ctx.Err() == nil {
			a.log.DebugContext(ctx, "an attempt was not stored; only this replica can explain it", "reference", ref, "cause", err)
		}
	}
}

func (a *attempts) saveOne(ctx context.Context, at attempt) error {
	err := a.kept().Update(ctx, at.Reference, func(old *attempt) (*attempt, time.Duration, error) {
		next := at
		if old != nil {
			next = merged(*old, at)
		}
		return &next, attemptLife, nil
	})
	if err != nil || at.Subject == "" || len(at.Steps) == 0 {
		return err
	}
	failed := failureOf(at) != nil
	return a.failures().Update(ctx, userKey(at.Subject), func(old *[]attempt) (*[]attempt, time.Duration, error) {
		var list []attempt
		if old != nil {
			list = slices.DeleteFunc(*old, func(o attempt) bool { return o.Reference == at.Reference })
		}
		if failed {
			list = append(list, at)
		}
		if len(list) == 0 {
			return nil, 0, nil
		}
		return new(list[max(0, len(list)-maxFailed):]), attemptLife, nil
	})
}

// userKey is a key for every subject, however long.
func userKey(subject string) string { return hashed("attempts of " + subject) }

// merged is what two replicas know of an attempt.
func merged(x, y attempt) attempt {
	out := y
	for _, known := range []struct{ of, other *string }{
		{&out.Host, &x.Host}, {&out.Network, &x.Network}, {&out.Client, &x.Client}, {&out.Name, &x.Name}, {&out.Subject, &x.Subject},
	} {
		if *known.of == "" {
			*known.of = *known.other
		}
	}
	out.Steps = slices.Clone(y.Steps)
	for _, s := range x.Steps {
		if !slices.ContainsFunc(out.Steps, s.same) {
			out.Steps = append(out.Steps, s)
		}
	}
	slices.SortStableFunc(out.Steps, func(a, b attemptStep) int { return a.Time.Compare(b.Time) })
	out.Steps = out.Steps[max(0, len(out.Steps)-2*attemptSteps):]
	return out
}

// read is an attempt as it is known here and in the store.
func (a *attempts) read(ctx context.Context, ref string) (attempt, error) {
	at, here := a.remembered(ref)
	stored, err := a.kept().Get(ctx, ref)
	switch {
	case err == nil && here:
		return merged(stored, at), nil
	case err == nil:
		return stored, nil
	case here:
		return at, nil
	case errors.Is(err, store.ErrTooLarge), errors.Is(err, store.ErrNoKey):
		return attempt{}, store.ErrNotFound
	}
	return attempt{}, err
}

// Failed implements auth.Attempts. That it is not known is no reason to show no
// account page.
func (a *attempts) Failed(ctx context.Context, host, subject string) []web.Attempt {
	list, err := a.failures().Get(ctx, userKey(subject))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		a.log.DebugContext(ctx, "the failed attempts of a user were not read", "cause", err)
	}
	var out []web.Attempt
	for _, at := range slices.Backward(list) {
		failed := failureOf(at)
		if at.Host != host || at.Subject != subject || failed == nil || a.now().Sub(failed.Time) > attemptLife {
			continue
		}
		r := ruleOf(*failed)
		out = append(out, web.Attempt{
			When: failed.Time, Client: at.Name, Step: string(failed.Name), Reason: sentence(failed.Description), Fix: r.Fix, Reference: at.Reference,
		})
	}
	return out
}
