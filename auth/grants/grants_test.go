package grants

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"
)

const (
	issuer   = "https://notes.example.com"
	verifier = "0123456789abcdef0123456789abcdef0123456789abcdef"
)

var ada = User{Subject: "local:ada", Provider: "local", ProviderID: "ada", Username: "ada"}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type fixture struct {
	*Grants
	t     *testing.T
	clock *clock
	store store.Store
}

func open(t *testing.T) *fixture {
	t.Helper()
	c := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	s := memory.New(0, memory.WithClock(c.Now))
	t.Cleanup(func() { s.Close() })
	return &fixture{on(s, c), t, c, s}
}

// on is one replica on a store.
func on(s store.Store, c *clock) *Grants {
	return New(s, Options{AccessTTL: time.Hour, RefreshIdle: 30 * 24 * time.Hour, RefreshTTL: 90 * 24 * time.Hour, SessionTTL: 12 * time.Hour, Now: c.Now})
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (f *fixture) code() string {
	f.t.Helper()
	gr := Grant{
		Issuer: issuer, ClientID: "client", RedirectURI: "http://127.0.0.1:1/cb", User: ada, Audience: []string{issuer},
		Scopes: []string{"read"}, Offline: true, Given: f.clock.Now(), Ends: f.clock.Now().Add(90 * 24 * time.Hour),
	}
	c, _, err := f.Issue(f.t.Context(), NewSecret(), gr, challenge(verifier), true)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func redemption(code string) Redemption {
	return Redemption{Code: code, Issuer: issuer, ClientID: "client", RedirectURI: "http://127.0.0.1:1/cb", Verifier: verifier, Address: "2001:db8:7::9"}
}

func yes(Grant) error         { return nil }
func same(g Grant) Grant      { return g }
func use(t string) RefreshUse { return RefreshUse{t, issuer, "client", "203.0.113.7"} }

func (f *fixture) redeem() (Grant, string) {
	f.t.Helper()
	gr, token, err := f.Redeem(f.t.Context(), redemption(f.code()), yes)
	if err != nil {
		f.t.Fatal(err)
	}
	return gr, token
}

func (f *fixture) rotate(token string) string {
	f.t.Helper()
	_, next, err := f.Rotate(f.t.Context(), use(token), same)
	if err != nil {
		f.t.Fatal(err)
	}
	return next
}

func TestT5_a_code_is_redeemed_only_by_whom_it_was_issued_to(t *testing.T) {
	for name, change := range map[string]func(*Redemption){
		"another client":          func(r *Redemption) { r.ClientID = "other" },
		"another issuer":          func(r *Redemption) { r.Issuer = "https://mail.example.com" },
		"another redirect URI":    func(r *Redemption) { r.RedirectURI = "http://127.0.0.1:2/cb" },
		"another verifier":        func(r *Redemption) { r.Verifier = strings.Repeat("x", 48) },
		"no verifier":             func(r *Redemption) { r.Verifier = "" },
		"a verifier too short":    func(r *Redemption) { r.Verifier = verifier[:42] },
		"the challenge itself":    func(r *Redemption) { r.Verifier = challenge(verifier) },
		"a code nobody was given": func(r *Redemption) { r.Code = random() },
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			code := f.code()
			r := redemption(code)
			change(&r)
			if _, _, err := f.Redeem(t.Context(), r, yes); !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			// Who failed has not spent it.
			if _, _, err := f.Redeem(t.Context(), redemption(code), yes); err != nil {
				t.Errorf("the right client is refused afterwards: %v", err)
			}
		})
	}
}

func TestT5_a_code_offered_twice_ends_what_it_made(t *testing.T) {
	f := open(t)
	code := f.code()
	gr, token, err := f.Redeem(t.Context(), redemption(code), yes)
	if err != nil {
		t.Fatal(err)
	}
	wrong := redemption(code)
	wrong.Verifier = strings.Repeat("x", 48)
	if _, _, err := f.Redeem(t.Context(), wrong, yes); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrReplayed) {
		t.Fatalf("a code without its verifier: %v", err)
	}
	if revoked(t, f.Grants, gr.ID) {
		t.Fatal("a code without its verifier ended the grant")
	}
	for _, later := range []time.Duration{0, 2 * CodeLife} {
		f.clock.advance(later)
		if _, _, err := f.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, ErrReplayed) {
			t.Fatalf("replay after %s: %v, want ErrReplayed", later, err)
		}
	}
	if !revoked(t, f.Grants, gr.ID) {
		t.Error("access tokens of a replayed code are still good")
	}
	if _, _, err := f.Rotate(t.Context(), use(token), same); !errors.Is(err, ErrInvalid) {
		t.Errorf("refresh after a replayed code: %v", err)
	}
}

func TestZ13_a_code_expires(t *testing.T) {
	f := open(t)
	code := f.code()
	f.clock.advance(CodeLife)
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestT5_of_many_at_once_one_redeems_a_code(t *testing.T) {
	f := open(t)
	code := f.code()
	wins := race(64, func() bool {
		_, _, err := f.Redeem(t.Context(), redemption(code), yes)
		return err == nil
	})
	if wins != 1 {
		t.Errorf("%d redeemed one code", wins)
	}
}

// race runs fn n times at once and counts how often it was true.
func race(n int, fn func() bool) int {
	var wg sync.WaitGroup
	start := make(chan struct{})
	results := make(chan bool, n)
	for range n {
		wg.Go(func() {
			<-start
			results <- fn()
		})
	}
	close(start)
	wg.Wait()
	close(results)
	wins := 0
	for ok := range results {
		if ok {
			wins++
		}
	}
	return wins
}

func TestT10_a_retry_gets_the_same_successor(t *testing.T) {
	f := open(t)
	_, first := f.redeem()
	second := f.rotate(first)
	if again := f.rotate(first); again != second {
		t.Error("a retry got another successor")
	}
	if third := f.rotate(second); third == second || third == first {
		t.Error("the successor was not rotated")
	}
}

func TestT10_an_older_refresh_token_ends_the_family(t *testing.T) {
	f := open(t)
	gr, first := f.redeem()
	second := f.rotate(first)
	third := f.rotate(second)
	if _, _, err := f.Rotate(t.Context(), use(first), same); !errors.Is(err, ErrReplayed) {
		t.Fatalf("got %v, want ErrReplayed", err)
	}
	if !revoked(t, f.Grants, gr.ID) {
		t.Error("access tokens of the family are still good")
	}
	for name, token := range map[string]string{"current": third, "predecessor": second} {
		if _, _, err := f.Rotate(t.Context(), use(token), same); !errors.Is(err, ErrInvalid) {
			t.Errorf("the %s one after that: %v, want ErrInvalid", name, err)
		}
	}
}

func TestT11_two_that_refresh_at_once_both_go_on(t *testing.T) {
	f := open(t)
	_, token := f.redeem()
	for range 100 {
		var mu sync.Mutex
		var got []string
		if n := race(2, func() bool {
			_, next, err := f.Rotate(t.Context(), use(token), same)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, next)
			return err == nil
		}); n != 2 {
			t.Fatalf("%d of 2 were answered", n)
		}
		if got[0] != got[1] {
			t.Fatal("the two hold different successors")
		}
		token = got[0]
	}
}

func TestT12_a_refresh_token_is_its_clients(t *testing.T) {
	f := open(t)
	gr, token := f.redeem()
	for name, u := range map[string]RefreshUse{
		"another client": {token, issuer, "other", ""},
		"another issuer": {token, "https://mail.example.com", "client", ""},
		"no token":       {"", issuer, "client", ""},
		"half a token":   {token[:40], issuer, "client", ""},
		"a longer one":   {token + "A", issuer, "client", ""},
		"a made-up one for a known grant": {
			base64.RawURLEncoding.EncodeToString(append(mustDecode(t, gr.ID), bits(secretSize+markSize)...)), issuer, "client", "",
		},
	} {
		if _, _, err := f.Rotate(t.Context(), u, same); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrReplayed) {
			t.Errorf("%s: %v, want ErrInvalid alone", name, err)
		}
	}
	if revoked(t, f.Grants, gr.ID) {
		t.Fatal("a stranger ended the family")
	}
	f.rotate(token)
}

func mustDecode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestT12_a_refresh_token_ends_when_idle_and_at_the_grants_end(t *testing.T) {
	f := open(t)
	_, token := f.redeem()
	for range 3 { // used every 29 days it is not idle
		f.clock.advance(29 * 24 * time.Hour)
		if _, next, err := f.Rotate(t.Context(), use(token), same); err != nil {
			t.Fatal(err)
		} else {
			token = next
		}
	}
	f.clock.advance(4 * 24 * time.Hour) // but after 90 days it is over
	if _, _, err := f.Rotate(t.Context(), use(token), same); !errors.Is(err, ErrInvalid) {
		t.Errorf("after the absolute end: %v", err)
	}
	_, idle := f.redeem()
	f.clock.advance(30 * 24 * time.Hour)
	if _, _, err := f.Rotate(t.Context(), use(idle), same); !errors.Is(err, ErrInvalid) {
		t.Errorf("after 30 idle days: %v", err)
	}
}

func TestA7_the_store_holds_neither_codes_nor_refresh_tokens_nor_what_makes_them(t *testing.T) {
	f := open(t)
	code := f.code()
	_, first, err := f.Redeem(t.Context(), redemption(code), yes)
	if err != nil {
		t.Fatal(err)
	}
	second := f.rotate(first)
	secret, err := f.SignIn(t.Context(), issuer, ada)
	if err != nil {
		t.Fatal(err)
	}
	var dump strings.Builder
	for _, k := range []store.Kind{KindCode, KindFamily, KindRevoked, KindUser, KindConsent, KindSession, KindApproved} {
		records, err := f.store.List(t.Context(), k, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			dump.WriteString(r.Key + string(r.Value) + "\n")
		}
	}
	for name, s := range map[string]string{
		"code": code, "first refresh token": first[22:], "second refresh token": second[22:], "session": secret,
		"secret of the second": base64.StdEncoding.EncodeToString(mustDecode(t, second)[grantSize : grantSize+secretSize]),
	} {
		if strings.Contains(dump.String(), s) {
			t.Errorf("the %s lies in the store", name)
		}
	}
}

func TestT17_what_one_replica_ends_the_others_refuse(t *testing.T) {
	f := open(t)
	heard := make(chan string, 1)
	other := on(f.store, f.clock)
	other.o.OnEnded = func(id string) { heard <- id }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- other.Run(ctx) }()
	gr, _ := f.redeem()
	for deadline := time.After(10 * time.Second); ; {
		if err := f.End(t.Context(), gr.ID); err != nil { // Run may not watch yet: ending again is allowed
			t.Fatal(err)
		}
		select {
		case id := <-heard:
			if id != gr.ID || !revoked(t, other, gr.ID) {
				t.Errorf("heard %q", id)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal("the other replica never heard")
		}
	}
}

func TestT17_revocations_survive_a_restart(t *testing.T) {
	f := open(t)
	gr, _ := f.redeem()
	if err := f.End(t.Context(), gr.ID); err != nil {
		t.Fatal(err)
	}
	after := on(f.store, f.clock)
	if err := after.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !revoked(t, after, gr.ID) {
		t.Error("forgotten")
	}
}

func TestS6_an_approved_request_is_finished_once_and_its_state_works_once(t *testing.T) {
	f := open(t)
	secret := NewSecret()
	if err := f.Approve(t.Context(), secret, Approved{Request: Request{ID: "r", Issuer: issuer, Started: f.clock.Now()}, Scopes: []string{"read"}}); err != nil {
		t.Fatal(err)
	}
	attempt := NewAttempt("google", "r.")
	if err := f.Choose(t.Context(), secret, attempt); err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string]string{"empty": "", "another": "r." + random()} {
		if _, err := f.Return(t.Context(), secret, state); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s state: %v", name, err)
		}
	}
	a, err := f.Return(t.Context(), secret, attempt.State)
	if err != nil || a.Attempt != attempt {
		t.Fatalf("got %+v, %v", a.Attempt, err)
	}
	if _, err := f.Return(t.Context(), secret, attempt.State); !errors.Is(err, ErrInvalid) {
		t.Errorf("the state worked twice: %v", err)
	}
	if wins := race(32, func() bool {
		_, _, err := f.Issue(t.Context(), secret, Grant{User: ada}, challenge(verifier), true)
		return err == nil
	}); wins != 1 {
		t.Errorf("finished %d times", wins)
	}
	if _, err := f.Approved(t.Context(), secret); !errors.Is(err, ErrInvalid) {
		t.Errorf("a finished request is still there: %v", err)
	}
}

func TestS9_sessions_belong_to_one_host_expire_and_end_everywhere(t *testing.T) {
	f := open(t)
	secret, err := f.SignIn(t.Context(), issuer, ada)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Session(t.Context(), secret, issuer); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Session(t.Context(), secret, "https://mail.example.com"); !errors.Is(err, ErrInvalid) {
		t.Errorf("at another host: %v", err)
	}
	if err := f.SignOutEverywhere(t.Context(), ada.Subject); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Session(t.Context(), secret, issuer); !errors.Is(err, ErrInvalid) {
		t.Errorf("after signing out everywhere: %v", err)
	}
	f.clock.advance(time.Second)
	again, err := f.SignIn(t.Context(), issuer, ada)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Session(t.Context(), again, issuer); err != nil {
		t.Errorf("a new session: %v", err)
	}
	f.clock.advance(12 * time.Hour)
	if _, err := f.Session(t.Context(), again, issuer); !errors.Is(err, ErrInvalid) {
		t.Errorf("after session.ttl: %v", err)
	}
}

func TestS2_a_consent_is_remembered_per_user_client_redirect_host_and_issuer(t *testing.T) {
	f := open(t)
	if err := f.Remember(t.Context(), "ada", issuer, "client", "claude.ai", Consent{Scopes: []string{"read"}}); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		sub, iss, client, host string
		want                   bool
	}{
		{"ada", issuer, "client", "claude.ai", true},
		{"bob", issuer, "client", "claude.ai", false},
		{"ada", "https://mail.example.com", "client", "claude.ai", false},
		{"ada", issuer, "other", "claude.ai", false},
		{"ada", issuer, "client", "evil.example", false},
		{"ad", "a" + issuer, "client", "claude.ai", false},
	} {
		_, got, err := f.Remembered(t.Context(), row.sub, row.iss, row.client, row.host)
		if err != nil || got != row.want {
			t.Errorf("%+v: got %v, %v", row, got, err)
		}
	}
	if err := f.Forget(t.Context(), "ada", issuer, "client", "claude.ai"); err != nil {
		t.Fatal(err)
	}
	if _, got, _ := f.Remembered(t.Context(), "ada", issuer, "client", "claude.ai"); got {
		t.Error("not forgotten")
	}
}

func TestEndWhere_ends_grants_and_unspent_codes(t *testing.T) {
	f := open(t)
	gr, token := f.redeem()
	code := f.code()
	n, err := f.EndWhere(t.Context(), func(gr Grant) bool { return gr.User.Subject == ada.Subject })
	if err != nil || n != 1 {
		t.Fatalf("ended %d, %v", n, err)
	}
	if !revoked(t, f.Grants, gr.ID) {
		t.Error("access tokens still good")
	}
	if _, _, err := f.Rotate(t.Context(), use(token), same); !errors.Is(err, ErrInvalid) {
		t.Errorf("refresh: %v", err)
	}
	if _, _, err := f.Redeem(t.Context(), redemption(code), yes); !errors.Is(err, ErrInvalid) {
		t.Errorf("an unspent code: %v", err)
	}
	if left, err := f.OfUser(t.Context(), ada.Subject, issuer); err != nil || len(left) != 0 {
		t.Errorf("the account page still lists %d, %v", len(left), err)
	}
}

// revoked is Revoked where it must know.
func revoked(t *testing.T, g *Grants, id string) bool {
	t.Helper()
	dead, err := g.Revoked(id)
	if err != nil {
		t.Error(err)
	}
	return dead
}
