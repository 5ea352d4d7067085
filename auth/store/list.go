package store

import (
	"context"
	"errors"
	"fmt"
)

// page lists records through a conversion that may fail. A record that fails
// does not count against the limit, so that a short page still means the end.
func page[T any](ctx context.Context, s Store, kind Kind, after string, limit int, convert func(Record) (T, error)) ([]T, error) {
	var out []T
	var bad []error
	for {
		want := limit - len(out)
		records, err := s.List(ctx, kind, after, want)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return nil, err
		}
		bad = append(bad, err)
		for _, r := range records {
			after = r.Key
			v, err := convert(r)
			if err != nil {
				bad = append(bad, err)
				continue
			}
			out = append(out, v)
		}
		if limit <= 0 || len(records) < want || len(out) == limit {
			return out, errors.Join(bad...)
		}
	}
}

// corrupt says which record cannot be read, and why.
func corrupt(kind Kind, key string, cause error) error {
	return fmt.Errorf("%w: %s %q: %w", ErrCorrupt, kind, key, cause)
}
