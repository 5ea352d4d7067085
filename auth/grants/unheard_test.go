package grants

import (
	"context"
	"errors"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// A mute store does what it is asked, and then says of the next creation of a
// kind that it failed: the answer was lost on the way.
type mute struct {
	store.Store
	kind store.Kind
}

func (m *mute) Create(ctx context.Context, kind store.Kind, key string, value []byte, ttl time.Duration) error {
	err := m.Store.Create(ctx, kind, key, value, ttl)
	if err == nil && kind == m.kind {
		m.kind = ""
		return store.ErrUnavailable
	}
	return err
}

func openMute(t *testing.T, kind store.Kind) *fixture {
	t.Helper()
	f := open(t)
	f.store = &mute{f.store, kind}
	f.Grants = on(f.store, f.clock)
	return f
}

// issue finishes the request approved under secret for a user.
func (f *fixture) issue(secret string, u User) (string, Grant, error) {
	return f.Issue(f.t.Context(), secret, Grant{
		Issuer: issuer, ClientID: "client", RedirectURI: "http://127.0.0.1:1/cb", User: u,
		Offline: true, Given: f.clock.Now(), Ends: f.clock.Now().Add(time.Hour),
	}, challenge(verifier), true)
}

func TestA_code_of_which_nobody_heard_is_given_to_who_tries_again(t *testing.T) {
	f, secret := openMute(t, KindCode), NewSecret()
	if err := f.Approve(t.Context(), secret, Approved{Request: Request{ID: "r", Issuer: issuer, Started: f.clock.Now()}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.issue(secret, ada); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("the first try: %v", err)
	}
	if _, err := f.Approved(t.Context(), secret); err != nil {
		t.Fatalf("the request is gone though nobody was sent a code: %v", err)
	}
	if _, _, err := f.issue(secret, ada); !errors.Is(err, ErrInvalid) {
		t.Errorf("who is there at the same time gets a code too: %v", err)
	}
	f.clock.advance(unheard)
	if _, _, err := f.issue(secret, User{Subject: "local:bob"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("somebody else: %v", err)
	}
	var code string
	if wins := race(16, func() bool {
		c, _, err := f.issue(secret, ada)
		if err == nil {
			code = c
		}
		return err == nil
	}); wins != 1 {
		t.Fatalf("%d got the code", wins)
	}
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); err != nil {
		t.Errorf("the code: %v", err)
	}
	f.clock.advance(unheard)
	if _, _, err := f.issue(secret, ada); !errors.Is(err, ErrInvalid) {
		t.Errorf("after it was redeemed: %v", err)
	}
}

func TestT5_a_code_whose_redemption_nobody_heard_of_is_redeemed_by_who_tries_again(t *testing.T) {
	f := openMute(t, KindFamily)
	code := f.code()
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("the first try: %v", err)
	}
	f.clock.advance(unheard)
	wrong := redemption(code)
	wrong.Verifier = challenge(verifier)
	if _, _, err := f.Redeem(t.Context(), wrong, yes); !errors.Is(err, ErrInvalid) {
		t.Errorf("without the verifier: %v", err)
	}
	_, token, err := f.Redeem(t.Context(), redemption(code), yes)
	if err != nil {
		t.Fatalf("the second try: %v", err)
	}
	token = f.rotate(token)
	f.clock.advance(unheard)
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, ErrReplayed) {
		t.Errorf("a third: %v, want ErrReplayed", err)
	}
	if _, _, err := f.Rotate(t.Context(), use(token), same); !errors.Is(err, ErrInvalid) {
		t.Errorf("what the replayed code has made lives on: %v", err)
	}
}

func TestT5_who_redeems_a_code_at_the_same_time_is_no_second_try(t *testing.T) {
	f := openMute(t, KindFamily)
	code := f.code()
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("the first try: %v", err)
	}
	f.clock.advance(unheard - time.Millisecond)
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, ErrReplayed) {
		t.Errorf("got %v, want ErrReplayed", err)
	}
}
