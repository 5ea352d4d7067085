package grants

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func passkey(id string) Passkey {
	return Passkey{ID: []byte(id), Host: "notes.example.com", Name: id, Key: []byte("key"), Count: 1}
}

// atOnce calls fn eight times at once and returns how often it succeeded.
func atOnce(fn func(i int) error) int {
	var wg sync.WaitGroup
	var good atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			if fn(i) == nil {
				good.Add(1)
			}
		})
	}
	wg.Wait()
	return int(good.Load())
}

func TestPasskeyHasOneOwner(t *testing.T) {
	f := open(t)
	owners := []string{"local:ada", "local:bob"}
	if n := atOnce(func(i int) error { return f.AddPasskey(t.Context(), owners[i%2], passkey("one")) }); n != 1 {
		t.Errorf("%d of eight added it", n)
	}
	owner, got, err := f.Passkey(t.Context(), []byte("one"), "notes.example.com")
	if err != nil || !slices.Contains(owners, owner) || got.Name != "one" {
		t.Errorf("it is %q's: %+v, %v", owner, got, err)
	}
	for _, other := range owners {
		kept, err := f.Passkeys(t.Context(), other, "notes.example.com")
		if err != nil || (len(kept) == 1) != (other == owner) {
			t.Errorf("%s has %+v, %v", other, kept, err)
		}
	}
	if _, _, err := f.Passkey(t.Context(), []byte("one"), "tasks.example.com"); !errors.Is(err, ErrInvalid) {
		t.Errorf("at another host: %v", err)
	}
	if _, _, err := f.Passkey(t.Context(), []byte("two"), "notes.example.com"); !errors.Is(err, ErrInvalid) {
		t.Errorf("one that is not there: %v", err)
	}
}

func TestPasskeyThatIsOneTooManyCanBeAddedLater(t *testing.T) {
	f := open(t)
	for i := range MaxPasskeys {
		if err := f.AddPasskey(t.Context(), "local:ada", passkey(string(rune('a'+i)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.AddPasskey(t.Context(), "local:ada", passkey("more")); !errors.Is(err, ErrPasskeysFull) {
		t.Errorf("one too many: %v", err)
	}
	if err := f.AddPasskey(t.Context(), "local:bob", passkey("more")); err != nil {
		t.Errorf("it is claimed, though nobody has it: %v", err)
	}
}

func TestPasskeyCountsOn(t *testing.T) {
	f := open(t)
	if err := f.AddPasskey(t.Context(), "local:ada", passkey("one")); err != nil {
		t.Fatal(err)
	}
	use := func(id string, count uint32) error {
		return f.UsePasskey(t.Context(), "local:ada", []byte(id), count, 5)
	}
	for _, count := range []uint32{0, 1} {
		if err := use("one", count); !errors.Is(err, ErrPasskeyCloned) {
			t.Errorf("counter %d after 1: %v", count, err)
		}
	}
	if n := atOnce(func(int) error { return use("one", 7) }); n != 1 {
		t.Errorf("one counter was used by %d of eight", n)
	}
	_, got, err := f.Passkey(t.Context(), []byte("one"), "notes.example.com")
	if err != nil || got.Count != 7 || !got.Used.Equal(f.clock.Now()) {
		t.Errorf("it is %+v, %v", got, err)
	}
	if err := use("two", 8); !errors.Is(err, ErrInvalid) {
		t.Errorf("one that is not there: %v", err)
	}
	shared := passkey("shared")
	shared.Count = 0
	if err := f.AddPasskey(t.Context(), "local:ada", shared); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := use("shared", 0); err != nil {
			t.Errorf("one that never counts: %v", err)
		}
	}
}

func TestRemovedPasskeyIsNobodys(t *testing.T) {
	f := open(t)
	for _, id := range []string{"one", "two"} {
		if err := f.AddPasskey(t.Context(), "local:ada", passkey(id)); err != nil {
			t.Fatal(err)
		}
	}
	gone, err := f.RemovePasskeys(t.Context(), "local:ada", func(p Passkey) bool { return p.Name == "one" })
	if err != nil || len(gone) != 1 || gone[0].Name != "one" {
		t.Errorf("gone are %+v, %v", gone, err)
	}
	if err := f.AddPasskey(t.Context(), "local:bob", passkey("one")); err != nil {
		t.Errorf("somebody else cannot add it: %v", err)
	}
	if n, err := f.RemovePasskeysWhere(t.Context(), func(owner string) bool { return owner == "local:ada" }); n != 1 || err != nil {
		t.Errorf("%d were removed, %v", n, err)
	}
	if owner, _, err := f.Passkey(t.Context(), []byte("one"), "notes.example.com"); owner != "local:bob" || err != nil {
		t.Errorf("bob's is %q's, %v", owner, err)
	}
}

func TestHandedOverAnswerIsTakenOnce(t *testing.T) {
	f := open(t)
	hand := func() string {
		code, err := f.HandOff(t.Context(), "request", Handoff{Issuer: issuer, Query: "code=c"})
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	code := hand()
	for name, args := range map[string][3]string{
		"of another request": {"other", code, issuer}, "at another host": {"request", code, "https://tasks.example.com"},
		"with another code": {"request", "x", issuer}, "with none": {"request", "", issuer},
	} {
		if q, err := f.TakeOver(t.Context(), args[0], args[1], args[2]); !errors.Is(err, ErrInvalid) || q != "" {
			t.Errorf("%s: %q, %v", name, q, err)
		}
	}
	if n := atOnce(func(int) error {
		q, err := f.TakeOver(t.Context(), "request", code, issuer)
		if err == nil && q != "code=c" {
			t.Errorf("it is %q", q)
		}
		return err
	}); n != 1 {
		t.Errorf("%d of eight took it", n)
	}
	late := hand()
	f.clock.advance(HandoffLife - time.Second)
	soon := hand()
	f.clock.advance(time.Second)
	if _, err := f.TakeOver(t.Context(), "request", late, issuer); !errors.Is(err, ErrInvalid) {
		t.Errorf("after a minute: %v", err)
	}
	if _, err := f.TakeOver(t.Context(), "request", soon, issuer); err != nil {
		t.Errorf("after a second: %v", err)
	}
}
