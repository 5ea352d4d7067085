package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// remembered tells whether a token's signature would not be checked again.
func (f *fixture) remembered(raw string) bool {
	key := keyOf(raw)
	return f.verifier.seen.get(&key) != nil
}

func TestR5_a_forged_token_with_the_claims_of_a_remembered_one_is_refused(t *testing.T) {
	f := open(t, "RS256")
	good := f.mint(f.token())
	if _, err := f.verify(good); err != nil || !f.remembered(good) {
		t.Fatalf("a good token: %v, remembered: %v", err, f.remembered(good))
	}
	for name, forged := range map[string]string{
		"the same jti, kid and claims, signed by somebody else": signedBySomebody(t, good),
		"another subject":          forge(t, good, nil, map[string]any{"sub": "local:bob"}),
		"another scope":            forge(t, good, nil, map[string]any{"scope": "admin"}),
		"no signature":             good[:strings.LastIndex(good, ".")+1],
		"a part of the signature":  good[:len(good)-4],
		"a changed last character": good[:len(good)-1] + string(good[len(good)-1]^1),
		"a newline":                good + "\n",
		"padding":                  good + "==",
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				if _, err := f.verify(forged); !errors.Is(err, ErrInvalid) {
					t.Errorf("got %v", err)
				}
			}
			if f.remembered(forged) {
				t.Error("it is remembered")
			}
		})
	}
}

func TestR5_nothing_that_is_refused_is_remembered(t *testing.T) {
	f := open(t, "RS256")
	late := f.token()
	late.Grant = "ended"
	f.dead["ended"] = true
	foreign := f.token()
	foreign.Audience = []string{mail}
	for name, raw := range map[string]string{"revoked": f.mint(late), "for another audience": f.mint(foreign)} {
		if _, err := f.verify(raw); err == nil || f.remembered(raw) {
			t.Errorf("a token that is %s: %v, remembered: %v", name, err, f.remembered(raw))
		}
	}
}

func TestR3_R5_a_remembered_token_is_judged_each_time(t *testing.T) {
	f := open(t, "RS256")
	raw := f.mint(f.token())
	want := func(step string, err error) {
		t.Helper()
		if _, got := f.verify(raw); !errors.Is(got, err) {
			t.Errorf("%s: got %v, want %v", step, got, err)
		}
	}
	want("at first", nil)
	if _, err := f.verifier.Verify(t.Context(), raw, mail, mail); !errors.Is(err, ErrInvalid) {
		t.Errorf("at another issuer: %v", err)
	}
	if _, err := f.verifier.Verify(t.Context(), raw, notes, mail); !errors.Is(err, ErrInvalid) {
		t.Errorf("at another audience: %v", err)
	}
	f.dead["g1"] = true
	want("revoked", ErrRevoked)
	delete(f.dead, "g1")
	want("again", nil)
	f.advance(-2 * time.Hour)
	want("before it was issued", ErrInvalid)
	f.advance(2*time.Hour + time.Hour + Leeway)
	want("expired", ErrExpired)
	if f.remembered(raw) {
		t.Error("it is remembered after it has expired")
	}
}

func TestR5_a_token_is_forgotten_with_its_key(t *testing.T) {
	f := open(t, "RS256")
	long := f.token()
	payload, err := long.encode()
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	claims["jti"], claims["iat"], claims["exp"] = "id", f.clock().Unix(), f.clock().Add(1000*time.Hour).Unix() // outlives its key
	delete(claims, "nbf")
	payload, _ = json.Marshal(claims)
	signed, err := f.ring.Sign(t.Context(), payload, Type)
	if err != nil {
		t.Fatal(err)
	}
	raw := string(signed)
	if _, err := f.verify(raw); err != nil || !f.remembered(raw) {
		t.Fatal(err)
	}
	f.advance(100 * time.Hour)
	if _, err := f.verify(raw); !errors.Is(err, ErrInvalid) || f.remembered(raw) {
		t.Errorf("after the end of its key: %v, remembered: %v", err, f.remembered(raw))
	}
}

func TestR5_what_is_made_of_a_token_is_made_once_and_changes_nothing_of_how_it_is_judged(t *testing.T) {
	f := open(t, "RS256")
	raw := f.mint(full())
	first, err := f.verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	spoil(t, reflect.ValueOf(first).Elem())
	if second, err := f.verify(raw); err != nil || second != first {
		t.Errorf("the second time: %p %v, and %p the first time", second, err, first)
	}
	want, _, err := f.verifier.first(t.Context(), raw, notes, notes)
	key := keyOf(raw)
	if e := f.verifier.seen.get(&key); err != nil || e == nil || !reflect.DeepEqual(e.token, *want) {
		t.Errorf("after a caller changed its token what is remembered is\n%+v\nwant\n%+v %v", e, want, err)
	}
}

// full is a token in which nothing is empty.
func full() Token {
	t := Token{
		Issuer: notes, Subject: "local:ada", Audience: []string{notes, notes + "/mcp"}, ClientID: "client", Scopes: []string{"read", "write"},
		Groups: []string{"staff", "analysts"}, Email: "ada@example.com", PreferredUsername: "ada", Grant: "g1", Pin: "pin",
	}
	t.Details = []Detail{{Type: DetailType, Locations: []string{notes}, Tool: "read", Arguments: map[string]string{"path": "me/"}}}
	return t
}

// spoil changes everything that can be reached from v, and fails for what it
// does not know how to change.
func spoil(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("spoiled")
	case reflect.Slice:
		if v.Len() == 0 {
			t.Fatal("a list is empty: nothing is shown of it")
		}
		for i := range v.Len() {
			spoil(t, v.Index(i))
		}
		if extended := reflect.AppendSlice(v, v); extended.Len() > 0 {
			spoil(t, extended.Index(extended.Len()-1))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, reflect.ValueOf("spoiled"))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Time{}))
			return
		}
		for i := range v.NumField() {
			spoil(t, v.Field(i))
		}
	default:
		t.Fatalf("a field of kind %s may be shared", v.Kind())
	}
}

// fill remembers n tokens of about the usual size without signing them.
func fill(c *cache[*Token], n int, now time.Time, grow func(i int, t *Token)) {
	for i := range n {
		t := full()
		t.ID, t.Expiry = fmt.Sprint(i), now.Add(time.Hour)
		if grow != nil {
			grow(i, &t)
		}
		c.put(remembering(&t), now)
	}
}

// remembering is what would be remembered of a token whose text is its ID.
func remembering(t *Token) *cached[*Token] {
	return &cached[*Token]{key: keyOf(t.ID), kid: "kid", token: t.clone(), made: t}
}

func (c *cache[T]) count() (tokens, bytes int) {
	for i := range c.sets {
		for j := range c.sets[i].slots {
			if e := c.sets[i].slots[j].Load(); e != nil {
				tokens++
				bytes += e.bytes
			}
		}
	}
	return tokens, bytes
}

func TestR5_memory_of_tokens_is_bounded_in_number_and_bytes(t *testing.T) {
	now := time.Now()
	var groups []string
	for i := range 400 {
		groups = append(groups, fmt.Sprintf("a group with a long name %d", i))
	}
	for name, row := range map[string]struct {
		n    int
		grow func(int, *Token)
	}{
		"tokens of the usual size":       {2 * cacheSets * cacheWays, nil},
		"tokens with hundreds of groups": {cacheSets * cacheWays, func(i int, t *Token) { t.Groups = groups[:i%len(groups)] }},
		"tokens as large as there are":   {100, func(_ int, t *Token) { t.Groups = make([]string, MaxSize/3) }},
	} {
		t.Run(name, func(t *testing.T) {
			c := &cache[*Token]{}
			fill(c, row.n, now, row.grow)
			tokens, bytes := c.count()
			t.Logf("%d tokens, %d bytes", tokens, bytes)
			if tokens > cacheSets*cacheWays || bytes > cacheSets*cacheSetBytes {
				t.Errorf("%d tokens of %d bytes", tokens, bytes)
			}
			for i := range c.sets {
				sum := 0
				for j := range c.sets[i].slots {
					if e := c.sets[i].slots[j].Load(); e != nil {
						sum += e.bytes
					}
				}
				if sum != c.sets[i].bytes {
					t.Fatalf("a set counts %d bytes and has %d", c.sets[i].bytes, sum)
				}
			}
		})
	}
}

func TestR5_the_size_of_a_token_is_not_counted_too_low(t *testing.T) {
	c, now := &cache[*Token]{}, time.Now()
	measure := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := measure()
	fill(c, 8000, now, func(i int, t *Token) {
		t.Email = fmt.Sprintf("%d@example.com", i)
		t.Groups = []string{strings.Clone("a group that is nobody else's " + t.Email)}
	})
	used := int(measure() - before)
	_, counted := c.count()
	t.Logf("%d bytes are used, %d counted", used, counted)
	if used > counted*5/4 {
		t.Errorf("%d bytes are used, and %d counted", used, counted)
	}
	runtime.KeepAlive(c)
}

func TestR5_tokens_that_are_shown_once_do_not_drive_out_those_in_use(t *testing.T) {
	c, now := &cache[*Token]{}, time.Now()
	used := make([]cacheKey, 1000)
	for i := range used {
		t := full()
		t.ID, t.Expiry = fmt.Sprint("used ", i), now.Add(time.Hour)
		used[i] = keyOf(t.ID)
		c.put(remembering(&t), now)
	}
	for round := range 10 {
		for i := range used {
			c.get(&used[i])
		}
		fill(c, cacheSets, now, func(i int, t *Token) { t.ID = fmt.Sprint(round, " ", i) })
	}
	found := 0
	for i := range used {
		if c.get(&used[i]) != nil {
			found++
		}
	}
	if found < len(used)*9/10 {
		t.Errorf("%d of %d tokens in use are still known", found, len(used))
	}
}

func TestR5_tokens_are_remembered_and_forgotten_by_many_at_a_time(t *testing.T) {
	f := open(t, "ES256")
	raws := make([]string, 64)
	for i := range raws {
		tok := f.token()
		tok.Subject = fmt.Sprint("local:", i)
		raws[i] = f.mint(tok)
	}
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				n := (i*7 + g) % len(raws)
				got, err := f.verify(raws[n])
				if err != nil || got.Subject != fmt.Sprint("local:", n) {
					t.Errorf("token %d: %+v %v", n, got, err)
					return
				}
				if i%5 == 0 {
					k := keyOf(raws[n])
					f.verifier.seen.drop(&k)
				}
			}
		})
	}
	all.Wait()
}

// FuzzCache lets a verifier that remembers and one that does not see the same
// tokens at the same hosts at the same times.
func FuzzCache(fz *testing.F) {
	f := open(fz, "ES256")
	var pool []string
	for _, change := range []func(*Token){
		func(*Token) {}, func(t *Token) { t.Subject = "local:bob" }, func(t *Token) { t.Grant = "g2" }, func(t *Token) { t.Grant = "" },
		func(t *Token) { t.Issuer, t.Audience = mail, []string{mail} }, func(t *Token) { t.Audience = []string{notes, mail} },
	} {
		t := full()
		change(&t)
		pool = append(pool, f.mint(t))
	}
	pool = append(pool, forge(fz, pool[0], nil, map[string]any{"sub": "local:eve"}), signedBySomebody(fz, pool[0]), pool[0][:len(pool[0])-1])
	begin := f.clock()
	fz.Add([]byte{0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3}, "")
	fz.Add([]byte{4, 1, 0, 4, 0, 5, 0, 2, 8, 0, 0, 0}, pool[1])
	fz.Fuzz(func(t *testing.T, steps []byte, own string) {
		f.advance(begin.Sub(f.clock()))
		clear(f.dead)
		tokens := slices.Concat(pool, []string{own})
		for ; len(steps) >= 3; steps = steps[3:] {
			switch steps[2] % 8 {
			case 1:
				f.advance(time.Duration(steps[1]) * time.Minute)
			case 2:
				f.dead["g1"] = !f.dead["g1"]
			case 3:
				f.advance(-time.Duration(steps[1]) * time.Second)
			}
			raw := tokens[int(steps[0])%len(tokens)]
			issuer, audience := [...]string{notes, mail}[steps[1]&1], [...]string{notes, mail}[steps[1]>>1&1]
			with, errWith := f.verifier.Verify(context.Background(), raw, issuer, audience)
			without, _, errWithout := f.verifier.first(context.Background(), raw, issuer, audience)
			if !reflect.DeepEqual(with, without) || !errors.Is(errWith, kindOf(errWithout)) || !errors.Is(errWithout, kindOf(errWith)) {
				t.Fatalf("%q at %s for %s:\nremembering: %+v %v\nnot:         %+v %v", raw, issuer, audience, with, errWith, without, errWithout)
			}
		}
	})
}

// kindOf is what a caller can tell of an error.
func kindOf(err error) error {
	for _, kind := range []error{ErrInvalid, ErrExpired, ErrRevoked, ErrUnavailable} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return err
}

// BenchmarkCycle shows more tokens in turn than are remembered, by as many
// goroutines as there are processors: to compare with BenchmarkFirst, where
// nothing is remembered. With -mutexprofile nobody is seen to wait.
func BenchmarkCycle(b *testing.B) {
	f := open(b, "ES256")
	raws := make([]string, min(100_000, max(b.N, 1)))
	for i := range raws {
		raws[i] = f.mint(f.token())
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			if _, err := f.verify(raws[i%len(raws)]); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	tokens, bytes := f.verifier.seen.count()
	b.ReportMetric(float64(tokens), "tokens")
	b.ReportMetric(float64(bytes), "B/cache")
}

func BenchmarkFirst(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		b.Run(algorithm, func(b *testing.B) {
			f := open(b, algorithm)
			raw := f.mint(f.token())
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.verifier.first(b.Context(), raw, notes, notes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkForged is a token that is refused for its signature alone.
func BenchmarkForged(b *testing.B) {
	f := open(b, "RS256")
	good := f.mint(f.token())
	raw := good[:len(good)-8] + "AAAAAAAA"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.verify(raw); err == nil {
			b.Fatal("believed")
		}
	}
}
