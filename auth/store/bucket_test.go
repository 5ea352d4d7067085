package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"
)

type visit struct {
	User  string   `json:"user"`
	Pages []string `json:"pages,omitempty"`
}

func TestBucket(t *testing.T) {
	for name, bucket := range map[string]func(store.Store) store.Bucket[visit]{
		"names":   func(s store.Store) store.Bucket[visit] { return store.Names[visit](s, "visit") },
		"secrets": func(s store.Store) store.Bucket[visit] { return store.Secrets[visit](s, "visit") },
	} {
		t.Run("values come back, in a bucket of "+name, func(t *testing.T) {
			b, ctx := bucket(memory.New(0)), t.Context()
			if err := b.Create(ctx, "a", visit{User: "ada"}, 0); err != nil {
				t.Fatal(err)
			}
			if err := b.Create(ctx, "a", visit{}, 0); !errors.Is(err, store.ErrExists) {
				t.Errorf("second Create: %v", err)
			}
			err := b.Update(ctx, "a", func(old *visit) (*visit, time.Duration, error) {
				old.Pages = append(old.Pages, "/")
				return old, time.Hour, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := b.Get(ctx, "a"); err != nil || got.User != "ada" || len(got.Pages) != 1 {
				t.Errorf("Get = %+v, %v", got, err)
			}
			entries, err := b.List(ctx, "", 10)
			if err != nil || len(entries) != 1 || entries[0].Key != b.Key("a") || entries[0].Value.User != "ada" {
				t.Errorf("List = %+v, %v", entries, err)
			}
			if got, err := b.Take(ctx, "a"); err != nil || got.User != "ada" {
				t.Errorf("Take = %+v, %v", got, err)
			}
			if _, err := b.Get(ctx, "a"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get after Take: %v", err)
			}
			if err := b.Put(ctx, "a", visit{}, 0); err != nil {
				t.Fatal(err)
			}
			if err := b.Delete(ctx, "a"); err != nil {
				t.Fatal(err)
			}
			err = b.Update(ctx, "a", func(old *visit) (*visit, time.Duration, error) {
				if old != nil {
					t.Errorf("Update of nothing got %+v", old)
				}
				return nil, 0, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Get(ctx, "a"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get after an update to nothing: %v", err)
			}
		})
	}

	t.Run("a secret is nowhere in the store", func(t *testing.T) {
		s, ctx := memory.New(0), t.Context()
		const code = "c0de-that-nobody-may-read"
		if err := store.Secrets[visit](s, "code").Put(ctx, code, visit{User: "ada"}, 0); err != nil {
			t.Fatal(err)
		}
		records, err := s.List(ctx, "code", "", 0)
		if err != nil || len(records) != 1 {
			t.Fatal(records, err)
		}
		if len(records[0].Key) != 64 || strings.Contains(records[0].Key+string(records[0].Value), code) {
			t.Errorf("stored under %q: %q", records[0].Key, records[0].Value)
		}
		if err := s.Put(ctx, "code", records[0].Key, []byte("no JSON"), 0); err != nil {
			t.Fatal(err)
		}
		_, err = store.Secrets[visit](s, "code").Get(ctx, code)
		if !errors.Is(err, store.ErrCorrupt) || strings.Contains(err.Error(), code) {
			t.Errorf("error %v, want an ErrCorrupt without the secret", err)
		}
	})
	t.Run("no secret is no key", func(t *testing.T) {
		b := store.Secrets[visit](memory.New(0), "code")
		if err := b.Put(t.Context(), "", visit{}, 0); !errors.Is(err, store.ErrNoKey) {
			t.Errorf("error %v, want ErrNoKey", err)
		}
	})
	t.Run("a name is stored as it is", func(t *testing.T) {
		s := memory.New(0)
		if err := store.Names[visit](s, "visit").Put(t.Context(), "ada", visit{User: "ada"}, 0); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), "visit", "ada"); err != nil || string(got) != `{"user":"ada"}` {
			t.Errorf("stored %q, %v", got, err)
		}
	})
	t.Run("a record that is no such value fails alone", func(t *testing.T) {
		s, ctx := memory.New(0), t.Context()
		b := store.Names[visit](s, "visit")
		for _, key := range []string{"a", "b", "d", "e"} {
			if err := b.Put(ctx, key, visit{User: key}, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Put(ctx, "visit", "c", []byte(`["not a visit"]`), 0); err != nil {
			t.Fatal(err)
		}
		err := b.Update(ctx, "c", func(*visit) (*visit, time.Duration, error) {
			t.Error("Update runs on what is no visit")
			return nil, 0, nil
		})
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), `visit "c"`) {
			t.Errorf("Update: %v", err)
		}
		entries, err := b.List(ctx, "a", 3) // a full page in spite of it
		if !errors.Is(err, store.ErrCorrupt) || len(entries) != 3 || entries[2].Key != "e" {
			t.Errorf("List = %v, %v", entries, err)
		}
	})
}
