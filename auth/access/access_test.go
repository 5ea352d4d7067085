package access

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/keys"
	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/memory"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const (
	notes = "https://notes.example.com"
	mail  = "https://mail.example.com"
)

type fixture struct {
	t        testing.TB
	store    store.Store
	ring     *keys.Ring
	minter   *Minter
	verifier *Verifier[*Token]
	mu       sync.Mutex
	now      time.Time
	dead     map[string]bool
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func open(t testing.TB, algorithm string) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Now().Truncate(time.Second), dead: map[string]bool{}}
	f.store = memory.New(0, memory.WithClock(f.clock))
	t.Cleanup(func() { f.store.Close() })
	f.ring = f.newRing(algorithm)
	f.minter = NewMinter(f.ring, time.Hour, f.clock)
	f.verifier = NewVerifier(f.ring, func(g string) (bool, error) { return f.dead[g], nil }, f.clock, itself)
	return f
}

// itself is all that these tests know of a token.
func itself(t *Token) *Token { return t }

// newRing is one replica's keys on the shared store.
func (f *fixture) newRing(algorithm string) *keys.Ring {
	f.t.Helper()
	r, err := keys.Open(f.t.Context(), f.store, keys.Options{Algorithm: algorithm, Rotation: time.Hour, TokenLife: time.Hour + Leeway, Now: f.clock})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := r.Rotate(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return r
}

func (f *fixture) token() Token {
	return Token{Issuer: notes, Subject: "local:ada", Audience: []string{notes, notes + "/mcp"}, ClientID: "client", Scopes: []string{"read", "write"}, Groups: []string{"staff"}, Grant: "g1"}
}

func (f *fixture) mint(t Token) string {
	f.t.Helper()
	raw, _, err := f.minter.Mint(f.t.Context(), t, time.Time{})
	if err != nil {
		f.t.Fatal(err)
	}
	return raw
}

func (f *fixture) verify(raw string) (*Token, error) {
	return f.verifier.Verify(context.Background(), raw, notes, notes)
}

func TestR5_a_token_says_what_was_minted(t *testing.T) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		t.Run(algorithm, func(t *testing.T) {
			f := open(t, algorithm)
			raw := f.mint(f.token())
			got, err := f.verify(raw)
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != "local:ada" || strings.Join(got.Scopes, " ") != "read write" || got.Grant != "g1" || got.ID == "" || got.Groups[0] != "staff" {
				t.Errorf("got %+v", got)
			}
			head, body, _ := strings.Cut(raw, ".")
			body, _, _ = strings.Cut(body, ".")
			var header, claims map[string]any
			decodeSegment(t, head, &header)
			decodeSegment(t, body, &claims)
			if header["typ"] != "at+jwt" || header["alg"] != algorithm || header["kid"] == "" {
				t.Errorf("header %v", header)
			}
			if claims["scope"] != "read write" || len(claims["scopes"].([]any)) != 2 || len(claims["aud"].([]any)) != 2 {
				t.Errorf("claims %v", claims)
			}
		})
	}
}

func decodeSegment(t testing.TB, s string, into any) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func TestR3_R5_a_token_is_believed_only_where_and_when_it_is_good(t *testing.T) {
	f := open(t, "RS256")
	good := f.mint(f.token())
	elsewhere := f.token()
	elsewhere.Issuer, elsewhere.Audience = mail, []string{mail}
	foreignAudience := f.token()
	foreignAudience.Audience = []string{mail}
	pathOnly := f.token()
	pathOnly.Audience = []string{notes + "/mcp"}
	ended := f.token()
	ended.Grant = "ended"
	f.dead["ended"] = true

	for name, row := range map[string]struct {
		raw  string
		want error
	}{
		"good":                                    {good, nil},
		"of another issuer":                       {f.mint(elsewhere), ErrInvalid},
		"for another audience":                    {f.mint(foreignAudience), ErrInvalid},
		"for a path without the origin":           {f.mint(pathOnly), ErrInvalid},
		"revoked":                                 {f.mint(ended), ErrRevoked},
		"without a signature":                     {good[:strings.LastIndex(good, ".")+1], ErrInvalid},
		"with another signature":                  {good[:len(good)-8] + "AAAAAAAA", ErrInvalid},
		"with a changed claim":                    {forge(t, good, nil, map[string]any{"sub": "local:bob"}), ErrInvalid},
		"with alg none":                           {forge(t, good, map[string]any{"alg": "none"}, nil), ErrInvalid},
		"with alg HS256":                          {forge(t, good, map[string]any{"alg": "HS256"}, nil), ErrInvalid},
		"with another alg than its key's":         {forge(t, good, map[string]any{"alg": "ES256"}, nil), ErrInvalid},
		"of type JWT, as an ID token is":          {forge(t, good, map[string]any{"typ": "JWT"}, nil), ErrInvalid},
		"with an unknown key":                     {forge(t, good, map[string]any{"kid": "nobody"}, nil), ErrInvalid},
		"with critical headers":                   {forge(t, good, map[string]any{"crit": []string{"exp"}}, nil), ErrInvalid},
		"with a newline":                          {good + "\n", ErrInvalid},
		"as one of several":                       {good + "." + good, ErrInvalid},
		"empty":                                   {"", ErrInvalid},
		"too long":                                {strings.Repeat("a", MaxSize+1), ErrInvalid},
		"signed by a key that is not ours":        {signedBySomebody(t, good), ErrInvalid},
		"with our key's ID in front of their key": {signedBySomebody(t, good), ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := f.verify(row.raw); !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}

// forge changes a token and keeps its signature.
func forge(t testing.TB, raw string, header, claims map[string]any) string {
	t.Helper()
	parts := strings.Split(raw, ".")
	for i, changes := range []map[string]any{header, claims} {
		var m map[string]any
		decodeSegment(t, parts[i], &m)
		for k, v := range changes {
			m[k] = v
		}
		b, _ := json.Marshal(m)
		parts[i] = base64.RawURLEncoding.EncodeToString(b)
	}
	return strings.Join(parts, ".")
}

// signedBySomebody signs the same token with another key of the same name.
func signedBySomebody(t testing.TB, raw string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(raw, ".")
	var header map[string]string
	decodeSegment(t, parts[0], &header)
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	h := jws.NewHeaders()
	for k, v := range header {
		if err := h.Set(k, v); err != nil {
			t.Fatal(err)
		}
	}
	out, err := jws.Sign(payload, jws.WithKey(jwa.RS256, key, jws.WithProtectedHeaders(h)))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestR18_times_are_checked_with_a_minute_of_leeway(t *testing.T) {
	f := open(t, "RS256")
	raw := f.mint(f.token())
	for _, row := range []struct {
		after time.Duration
		want  error
	}{{-Leeway, nil}, {-Leeway - time.Second, ErrInvalid}, {time.Hour + Leeway - time.Second, nil}, {time.Hour + Leeway, ErrExpired}} {
		f.advance(row.after)
		if _, err := f.verify(raw); !errors.Is(err, row.want) {
			t.Errorf("%s after it was issued: %v, want %v", row.after, err, row.want)
		}
		f.advance(-row.after)
	}
}

func TestR5_a_token_without_a_required_claim_is_refused(t *testing.T) {
	f := open(t, "RS256")
	full, err := f.token().encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range []string{"iss", "sub", "aud", "client_id", "jti", "iat", "exp"} {
		var m map[string]any
		if err := json.Unmarshal(full, &m); err != nil {
			t.Fatal(err)
		}
		now := f.clock().Unix()
		m["jti"], m["iat"], m["exp"] = "id", now, now+60
		delete(m, claim)
		payload, _ := json.Marshal(m)
		raw, err := f.ring.Sign(t.Context(), payload, Type)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.verify(string(raw)); err == nil {
			t.Errorf("believed a token without %s", claim)
		}
	}
}

func TestT18_tokens_outlive_rotation_a_restart_and_reach_other_replicas(t *testing.T) {
	f := open(t, "RS256")
	raw := f.mint(f.token())
	if err := f.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.verify(raw); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	restarted := NewVerifier(f.newRing("RS256"), func(string) (bool, error) { return false, nil }, f.clock, itself)
	if _, err := restarted.Verify(t.Context(), raw, notes, notes); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	// A key made after the other replica began is found by its ID.
	if err := f.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := restarted.Verify(t.Context(), f.mint(f.token()), notes, notes); err != nil {
		t.Errorf("a key of another replica: %v", err)
	}
}

func TestR2_the_bearer_token_is_read_from_one_header_only(t *testing.T) {
	for name, row := range map[string]struct {
		values []string
		token  string
		want   error
	}{
		"a bearer token":                   {[]string{"Bearer abc.def-_~+/="}, "abc.def-_~+/=", nil},
		"the scheme in any case":           {[]string{"bEaReR abc"}, "abc", nil},
		"several spaces":                   {[]string{"Bearer   abc"}, "abc", nil},
		"none":                             {nil, "", ErrNoToken},
		"another scheme":                   {[]string{"Basic abc"}, "", ErrNoToken},
		"no scheme":                        {[]string{"abc.def.ghi"}, "", ErrNoToken},
		"two headers":                      {[]string{"Bearer abc", "Bearer abc"}, "", ErrMalformed},
		"two tokens":                       {[]string{"Bearer abc def"}, "", ErrMalformed},
		"two in one, as proxies join them": {[]string{"Bearer abc, Bearer def"}, "", ErrMalformed},
		"an empty one":                     {[]string{"Bearer "}, "", ErrMalformed},
		"a quoted one":                     {[]string{`Bearer "abc"`}, "", ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Bearer(http.Header{"Authorization": row.values})
			if got != row.token || !errors.Is(err, row.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func TestR10_a_challenge_is_one_line_of_quoted_parameters(t *testing.T) {
	for want, c := range map[string]Challenge{
		`Bearer`: {},
		`Bearer resource_metadata="https://h/.well-known/x", scope="a b"`:            {ResourceMetadata: "https://h/.well-known/x", Scope: "a b"},
		`Bearer error="invalid_token", error_description="The token evil=1 expired"`: {Error: "invalid_token", Description: "The token \"evil=1\"\r\n expired"},
		`Bearer realm="mcp-oauth2-proxy", resource_metadata="https://h"`:             {Realm: "mcp-oauth2-proxy", ResourceMetadata: "https://h"},
	} {
		if got := c.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func FuzzVerify(fz *testing.F) {
	f := open(fz, "RS256")
	good := f.mint(f.token())
	for _, s := range []string{good, good + "=", strings.ToUpper(good), "a.b.c", forge(fz, good, map[string]any{"alg": "none"}, nil)} {
		fz.Add(s)
	}
	fz.Fuzz(func(t *testing.T, raw string) {
		// Whatever the bytes, only what we signed is ever believed.
		if tok, err := f.verify(raw); err == nil && tok.Subject != "local:ada" {
			t.Errorf("believed %q: %+v", raw, tok)
		}
	})
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer abc")
	f.Add("bearer  a,b")
	f.Fuzz(func(t *testing.T, value string) {
		// What is taken for a token is what the client sent, whole, and could
		// not be read as two.
		if got, err := Bearer(http.Header{"Authorization": {value}}); err == nil && (strings.ContainsAny(got, " ,\"\r\n\t") || !strings.HasSuffix(strings.TrimRight(value, " "), got)) {
			t.Errorf("%q was read as %q", value, got)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	f := open(b, "RS256")
	raw := f.mint(f.token())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.verify(raw); err != nil {
			b.Fatal(err)
		}
	}
}
