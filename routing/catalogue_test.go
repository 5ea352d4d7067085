package routing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/routing/routingtest"
)

var noteScopes = []routingtest.Scope{
	{Name: "notes:read", Description: "Read notes", Tools: []string{"get", "list"}},
	{Name: "notes:all", Description: "Everything", Tools: []string{"list", "get", "delete", "create"}},
	{Name: "notes:delete", Tools: []string{"delete"}},
	{Name: "same", Tools: []string{"get", "list"}},
	{Name: "empty"},
}

// clock is moved by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_800_000_000, c.at.Load()) }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

func (c *clock) set(o *routing.Options) { o.Now = c.now }

func TestTheCatalogueIsWhatTheServerSays(t *testing.T) {
	for _, era := range []routingtest.Era{routingtest.Both, routingtest.Sessions, routingtest.Modern} {
		t.Run(fmt.Sprint("4.2 era ", era), func(t *testing.T) {
			s := routingtest.New(t, routingtest.Options{
				Era: era, Scopes: noteScopes, PageSize: 1,
				Tools: []routingtest.Tool{{Name: "get", ReadOnly: true}, {Name: "delete", Destructive: true, Description: "De\u202elete\x07\n it"}},
			})
			r := route(t, routing.Config{
				Host: "a.example", Endpoint: parse(t, s.URL), Authorization: "Bearer its-own",
				Headers: []routing.Header{{Name: "X-Key", Value: "k"}},
			})
			c := r.Catalogue(t.Context())
			if got := c.Names(); !slices.Equal(got, []string{"notes:read", "notes:all", "notes:delete", "same", "empty"}) {
				t.Errorf("scopes in another order: %q", got)
			}
			want := []routing.Tool{{Name: "delete", Description: "Delete it", Destructive: true}, {Name: "get", ReadOnly: true}, {Name: "stream"}}
			slices.SortFunc(c.Tools, func(a, b routing.Tool) int { return strings.Compare(a.Name, b.Name) })
			if d := c.Tools[0].Definition.Description; d != "De\u202elete\x07\n it" {
				t.Errorf("a definition in other words: %q", d)
			}
			for i := range c.Tools {
				if len(c.Tools[i].Digest) != 43 {
					t.Errorf("%s has no digest", c.Tools[i].Name)
				}
				c.Tools[i].Digest, c.Tools[i].Definition = "", routing.Definition{}
			}
			if !reflect.DeepEqual(c.Tools, want) {
				t.Errorf("tools: %+v", c.Tools)
			}
			for _, req := range s.Requests() {
				if req.Header.Get("Authorization") != "Bearer its-own" || req.Header.Get("X-Key") != "k" {
					t.Errorf("asked without the upstream's credential: %s %v", req.Method, req.Header)
				}
			}
		})
	}
}

func TestCovers(t *testing.T) {
	var c routing.Catalogue
	for _, s := range noteScopes {
		c.Scopes = append(c.Scopes, routing.Scope(s))
	}
	for scope, want := range map[string][]string{
		"notes:all": {"notes:read", "notes:delete", "same"}, "notes:read": nil, "notes:delete": nil, "empty": nil, "unknown": nil,
	} {
		if got := c.Covers(scope); !slices.Equal(got, want) {
			t.Errorf("G8 %s covers %q, want %q", scope, got, want)
		}
	}
}

func TestHostileCatalogues(t *testing.T) {
	long := strings.Repeat("é", 400)
	var many []routingtest.Scope
	for n := range 150 {
		many = append(many, routingtest.Scope{Name: fmt.Sprintf("s%03d", n)})
	}
	for name, tc := range map[string]struct {
		scopes []routingtest.Scope
		want   []routing.Scope
	}{
		"4.1 names that are no scope-tokens": {
			[]routingtest.Scope{{Name: "a b"}, {Name: `a"b`}, {Name: `a\b`}, {Name: "a\n"}, {Name: "é"}, {Name: ""}, {Name: strings.Repeat("x", 65)}, {Name: "ok!#~"}},
			[]routing.Scope{{Name: "ok!#~", Tools: []string{}}},
		},
		"4.1 reserved names": {
			[]routingtest.Scope{{Name: "openid"}, {Name: "profile"}, {Name: "email"}, {Name: "address"}, {Name: "phone"}, {Name: "offline_access"}, {Name: "a"}},
			[]routing.Scope{{Name: "a", Tools: []string{}}},
		},
		"4.1 texts that deceive": {
			[]routingtest.Scope{{Name: "a", Description: "  Read\u202e \u2066only\x00\r\n\tnotes\u200b \U000E0041 "}},
			[]routing.Scope{{Name: "a", Description: "Read only notes", Tools: []string{}}},
		},
		"4.1 texts without end": {
			[]routingtest.Scope{{Name: "a", Description: long}},
			[]routing.Scope{{Name: "a", Description: strings.Repeat("é", 299) + "…", Tools: []string{}}},
		},
		"4.1 a scope told twice is one": {
			[]routingtest.Scope{{Name: "a", Tools: []string{"x", "x", "y\x00"}}, {Name: "a", Description: "A", Tools: []string{"z", "x"}}},
			[]routing.Scope{{Name: "a", Description: "A", Tools: []string{"x", "z"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := routingtest.New(t, routingtest.Options{Scopes: tc.scopes})
			r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)})
			if got := r.Catalogue(t.Context()).Scopes; !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v\nwant %+v", got, tc.want)
			}
		})
	}
	t.Run("4.1 at most 100 scopes", func(t *testing.T) {
		s := routingtest.New(t, routingtest.Options{Scopes: many})
		r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)})
		if got := r.Catalogue(t.Context()).Names(); len(got) != 100 || got[99] != "s099" {
			t.Errorf("%d scopes", len(got))
		}
	})
}

func TestTheConfigurationOverrides(t *testing.T) {
	s := routingtest.New(t, routingtest.Options{Scopes: noteScopes, Tools: []routingtest.Tool{{Name: "get", ReadOnly: true}}})
	own := []routing.Scope{{Name: "mine", Tools: []string{"get"}}}
	r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL), Scopes: own, ScopesSet: true})
	c := r.Catalogue(t.Context())
	if !reflect.DeepEqual(c.Scopes, own) || len(c.Tools) != 2 {
		t.Errorf("%+v", c)
	}
	none := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL), ScopesSet: true})
	if names := none.Catalogue(t.Context()).Names(); len(names) != 0 {
		t.Errorf("scopes: [] is not none: %q", names)
	}
}

func TestACopyIsKeptAndRenewed(t *testing.T) {
	for name, tc := range map[string]struct{ ttl, life time.Duration }{
		"10 s where the server says nothing": {0, 10 * time.Second},
		"ttlMs":                              {30 * time.Second, 30 * time.Second},
		"at most 60 s":                       {time.Hour, time.Minute},
		"at least 1 s":                       {time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var clock clock
			s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Scopes: noteScopes, TTL: tc.ttl})
			r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)}, clock.set)
			r.Catalogue(t.Context())
			clock.forward(tc.life * 7 / 10)
			r.Catalogue(t.Context())
			if n := s.Lists(); n != 1 {
				t.Fatalf("asked %d times while the copy was good", n)
			}
			s.SetScopes(routingtest.Scope{Name: "new"})
			clock.forward(tc.life * 4 / 10)
			if got := r.Catalogue(t.Context()).Names(); !slices.Equal(got, []string{"new"}) {
				t.Errorf("an old copy after its life: %q", got)
			}
		})
	}
}

func TestACopyIsRenewedBeforeItIsOld(t *testing.T) {
	var clock clock
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Scopes: noteScopes})
	r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)}, clock.set)
	r.Catalogue(t.Context())
	s.SetScopes(routingtest.Scope{Name: "new"})
	clock.forward(9 * time.Second)
	for r.Catalogue(t.Context()).Names()[0] != "new" { // nobody waits, yet it comes
		time.Sleep(time.Millisecond)
	}
}

func TestOneQuestionForAllWhoWait(t *testing.T) {
	release := make(chan struct{})
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Scopes: noteScopes,
		Before: func(http.ResponseWriter, *http.Request) bool { <-release; return false }})
	r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)})
	var wg sync.WaitGroup
	var started sync.WaitGroup
	for range 50 {
		started.Add(1)
		wg.Go(func() {
			started.Done()
			if n := len(r.Catalogue(t.Context()).Scopes); n != 5 {
				t.Errorf("%d scopes", n)
			}
		})
	}
	started.Wait()
	close(release)
	wg.Wait()
	if n := s.Lists(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestTheLastGoodCopyLivesOn(t *testing.T) {
	var clock clock
	f := newFront(t, routing.Config{}) // for its log
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Scopes: noteScopes})
	logs := func(o *routing.Options) { o.Log = newFrontLog(f) }
	r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)}, clock.set, logs)
	r.Catalogue(t.Context())
	s.Close()
	for range 5 {
		clock.forward(time.Minute)
		if n := len(r.Catalogue(t.Context()).Scopes); n != 5 {
			t.Fatalf("4.2 %d scopes while the server is down", n)
		}
	}
	if n := strings.Count(f.log.String(), "could not be renewed"); n != 1 {
		t.Errorf("4.2 %d log lines, want 1: %s", n, f.log)
	}
}

func TestASlowServerIsNotWaitedForLong(t *testing.T) {
	if testing.Short() {
		t.Skip("waits three seconds")
	}
	t.Parallel()
	var clock clock
	var slow atomic.Bool
	hang := make(chan struct{})
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Scopes: noteScopes,
		Before: func(_ http.ResponseWriter, r *http.Request) bool {
			if slow.Load() {
				select {
				case <-hang:
				case <-r.Context().Done():
				}
			}
			return false
		}})
	t.Cleanup(func() { close(hang) })
	r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)}, clock.set)
	r.Catalogue(t.Context())
	slow.Store(true)
	clock.forward(time.Minute)
	began := time.Now()
	if n := len(r.Catalogue(t.Context()).Scopes); n != 5 {
		t.Errorf("4.2 %d scopes", n)
	}
	if took := time.Since(began); took < 2*time.Second || took > 5*time.Second {
		t.Errorf("4.2 waited %v", took)
	}
	began = time.Now() // the same question has been waited for long enough
	r.Catalogue(t.Context())
	if took := time.Since(began); took > time.Second {
		t.Errorf("4.2 waited %v again", took)
	}
}

func TestALeavingCallerWaitsNoLonger(t *testing.T) {
	hang := make(chan struct{})
	s := routingtest.New(t, routingtest.Options{Before: func(http.ResponseWriter, *http.Request) bool { <-hang; return true }})
	t.Cleanup(func() { close(hang) })
	r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c := r.Catalogue(ctx); len(c.Scopes) != 0 {
		t.Errorf("%+v", c)
	}
}

// shelf is a place for snapshots.
type shelf struct {
	mu    sync.Mutex
	saved map[string][]byte
	saves chan string
	err   error
}

func (s *shelf) Load(_ context.Context, host string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saved[host], s.err
}

func (s *shelf) Save(_ context.Context, host string, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved[host] = b
	s.saves <- host
	return s.err
}

func TestTheLastGoodCopySurvivesARestart(t *testing.T) {
	var clock clock
	place := &shelf{saved: map[string][]byte{}, saves: make(chan string, 10)}
	keep := func(o *routing.Options) { o.Snapshots = place }
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Scopes: noteScopes})
	config := routing.Config{Host: "a.example", Endpoint: parse(t, s.URL)}
	before := route(t, config, keep, clock.set)
	want := before.Catalogue(t.Context())
	if host := <-place.saves; host != "a.example" {
		t.Errorf("saved under %q", host)
	}
	clock.forward(time.Minute)
	before.Catalogue(t.Context())
	if len(place.saves) != 0 {
		t.Error("4.2 saved again though nothing changed")
	}
	s.Close()
	if got := route(t, config, keep).Catalogue(t.Context()); !reflect.DeepEqual(got, want) {
		t.Errorf("4.2 after a restart: %+v", got)
	}
	for name, bad := range map[string]*shelf{
		"what does not parse": {saved: map[string][]byte{"a.example": []byte("{")}},
		"a broken store":      {err: errors.New("broken")},
		"nothing":             {},
	} {
		t.Run(name, func(t *testing.T) {
			c := route(t, config, func(o *routing.Options) { o.Snapshots = bad }).Catalogue(t.Context())
			if b, _ := json.Marshal(c); string(b) != `{"scopes":[],"tools":[]}` {
				t.Errorf("%s", b)
			}
		})
	}
	t.Run("a store that was tampered with", func(t *testing.T) {
		evil := &shelf{saved: map[string][]byte{"a.example": []byte(`{"scopes":[{"name":"a\" b"},{"name":"openid"},{"name":"ok"}]}`)}}
		c := route(t, config, func(o *routing.Options) { o.Snapshots = evil }).Catalogue(t.Context())
		if names := c.Names(); !slices.Equal(names, []string{"ok"}) {
			t.Errorf("%q", names)
		}
	})
}

func TestNobodyIsAskedWhereNothingIsProtected(t *testing.T) {
	s := routingtest.New(t, routingtest.Options{Scopes: noteScopes})
	public := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, s.URL), Public: true})
	signin := route(t, routing.Config{Host: "b.example"})
	for _, r := range []*routing.Route{public, signin} {
		if c := r.Catalogue(t.Context()); len(c.Scopes) != 0 {
			t.Errorf("%s: %+v", r.Host, c)
		}
	}
	if n := len(s.Requests()); n != 0 {
		t.Errorf("asked %d times", n)
	}
}
