package idp_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"mcp-oauth2-proxy/auth/idp"
)

func hashOf(t testing.TB, password string) string {
	t.Helper()
	h, err := idp.HashPassword([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newLocal(t testing.TB, c idp.Config) *idp.Provider {
	t.Helper()
	c.Name = "local"
	p, err := idp.New(c, idp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLocalSignIn(t *testing.T) {
	old, err := bcrypt.GenerateFromPassword([]byte("notes"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	p := newLocal(t, idp.Config{Users: []idp.User{
		{Username: "ada", PasswordHash: hashOf(t, "engine"), Email: "ada@Example.com", Groups: []string{"analysts"}},
		{Username: "lea", PasswordHash: string(old)},
	}})
	for name, tc := range map[string]struct {
		username, password string
		err                error
	}{
		"argon2id":                            {"ada", "engine", nil},
		"bcrypt":                              {"lea", "notes", nil},
		"a wrong password":                    {"ada", "Engine", idp.ErrInvalid},
		"a wrong password, bcrypt":            {"lea", "engine", idp.ErrInvalid},
		"no password":                         {"ada", "", idp.ErrInvalid},
		"nobody of that name":                 {"bob", "engine", idp.ErrInvalid},
		"nobody of that name, their password": {"bob", "notes", idp.ErrInvalid},
		"no name":                             {"", "engine", idp.ErrInvalid},
		"the name in capitals":                {"Ada", "engine", idp.ErrInvalid},
		"the name and a space":                {"ada ", "engine", idp.ErrInvalid},
		"the address is not the name":         {"ada@example.com", "engine", idp.ErrInvalid},
		"a password longer than anybody's":    {"ada", strings.Repeat("x", 1<<20), idp.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := p.Local.SignIn(t.Context(), tc.username, tc.password)
			if !errors.Is(err, tc.err) {
				t.Fatalf("got %v, want %v", err, tc.err)
			}
			if err != nil && (id.ID != "" || err.Error() != idp.ErrInvalid.Error()) {
				t.Errorf("the refusal tells more than that: %+v, %q", id, err)
			}
			if err == nil && (id.Subject != "local:"+tc.username || p.Allow(id) != nil) {
				t.Errorf("got %+v, %v", id, p.Allow(id))
			}
		})
	}
	ada, ok := p.Local.Lookup("ada")
	if !ok || ada.Email != "ada@example.com" || ada.Groups[0] != "analysts" {
		t.Errorf("Lookup: %+v, %v", ada, ok)
	}
	if _, ok := p.Local.Lookup("bob"); ok {
		t.Error("Lookup finds somebody who is not there")
	}
}

func TestLocalRulesNarrow(t *testing.T) {
	p := newLocal(t, idp.Config{AllowedGroups: []string{"admins"}, Users: []idp.User{
		{Username: "ada", PasswordHash: someHash, Groups: []string{"admins"}}, {Username: "bob", PasswordHash: someHash},
	}})
	for name, admitted := range map[string]bool{"ada": true, "bob": false} {
		if id, _ := p.Local.Lookup(name); (p.Allow(id) == nil) != admitted {
			t.Errorf("%s: %v", name, p.Allow(id))
		}
	}
}

func TestLocalRecheck(t *testing.T) {
	ada := idp.User{Username: "ada", PasswordHash: someHash, Groups: []string{"new"}}
	before := newLocal(t, idp.Config{Users: []idp.User{ada, {Username: "bob", PasswordHash: someHash}}})
	after := newLocal(t, idp.Config{Users: []idp.User{ada}})
	id, _ := before.Local.Lookup("ada")
	id.Groups = []string{"old"}
	if now, err := after.Recheck(t.Context(), id); err != nil || now.Groups[0] != "new" {
		t.Errorf("got %+v, %v", now, err)
	}
	bob, _ := before.Local.Lookup("bob")
	_, err := after.Recheck(t.Context(), bob)
	want{refused: true}.check(t, idp.Identity{}, err)
}

func TestHashPassword(t *testing.T) {
	a, b := hashOf(t, "engine"), hashOf(t, "engine")
	if a == b || !strings.HasPrefix(a, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(a, "engine") {
		t.Errorf("got %q and %q", a, b)
	}
	for _, password := range []string{"", strings.Repeat("x", 1025)} {
		if _, err := idp.HashPassword([]byte(password)); err == nil {
			t.Errorf("a password of %d bytes is hashed", len(password))
		}
	}
}

func TestHashesThatAreRefused(t *testing.T) {
	const salt, digest = "c29tZXNhbHQ", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, hash := range map[string]string{
		"plain text":         "engine",
		"argon2i":            "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + digest,
		"another version":    "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + digest,
		"a gigabyte":         "$argon2id$v=19$m=1048576,t=1,p=1$" + salt + "$" + digest,
		"more than a number": "$argon2id$v=19$m=99999999999,t=1,p=1$" + salt + "$" + digest,
		"for ever":           "$argon2id$v=19$m=64,t=4000000000,p=1$" + salt + "$" + digest,
		"no time":            "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + digest,
		"no thread":          "$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + digest,
		"too many threads":   "$argon2id$v=19$m=4096,t=1,p=256$" + salt + "$" + digest,
		"less than a block":  "$argon2id$v=19$m=4,t=1,p=1$" + salt + "$" + digest,
		"a spelling of zero": "$argon2id$v=19$m=064,t=1,p=1$" + salt + "$" + digest,
		"no digest":          "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$",
		"a short digest":     "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAA",
		"no salt":            "$argon2id$v=19$m=64,t=1,p=1$$" + digest,
		"more fields":        "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + digest + "$",
		"bcrypt for ever":    "$2a$31$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"bcrypt cut short":   "$2a$10$N9qo8uLOickgx2ZMRZoMye",
		"bcrypt and more":    "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWyx",
	} {
		c := idp.Config{Name: "local", Users: []idp.User{{Username: "ada", PasswordHash: hash}}}
		faults := c.Check()
		if len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "users[0].passwordHash: ") || strings.Contains(faults[0].Error(), salt) {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

// BenchmarkLocalSignIn shows that a name nobody has costs what a known one costs.
func BenchmarkLocalSignIn(b *testing.B) {
	p := newLocal(b, idp.Config{Users: []idp.User{{Username: "ada", PasswordHash: hashOf(b, "engine")}}})
	for _, username := range []string{"ada", "bob"} {
		b.Run(username, func(b *testing.B) {
			for b.Loop() {
				_, _ = p.Local.SignIn(b.Context(), username, "wrong")
			}
		})
	}
}
