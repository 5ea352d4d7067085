package keys

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestArchive_opens_what_it_signed_long_after_the_key_is_published_no_more(t *testing.T) {
	r := open(t, newStore(t))
	var began []string
	r.o.OnSigning = func(kid string) { began = append(began, kid) }
	a := NewArchive(r, 1000*time.Hour)
	var signed []string
	for range 2 {
		if err := r.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			raw, err := a.Sign(t.Context(), []byte(`{"n":1}`), "audit-head+jws")
			if err != nil {
				t.Fatal(err)
			}
			signed = append(signed, string(raw))
		}
	}
	if len(began) != 2 || kidOf(t, []byte(signed[0])) != began[0] || kidOf(t, []byte(signed[3])) != began[1] {
		t.Errorf("told of %v", began)
	}
	raw, err := a.Set(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	set, err := ParseSet(raw)
	if err != nil || len(set) != 2 {
		t.Fatalf("%d keys, %v", len(set), err)
	}
	for _, s := range signed {
		if payload, err := set.Open(s, "audit-head+jws"); err != nil || string(payload) != `{"n":1}` {
			t.Errorf("%q, %v", payload, err)
		}
	}
	token, err := r.Sign(t.Context(), []byte(`{"n":1}`), "at+jwt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Open(string(token), "audit-head+jws"); err == nil {
		t.Error("an access token passes for a signed head")
	}
	if _, err := (Set{}).Open(signed[0], "audit-head+jws"); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
}

func TestArchive_a_signature_has_one_spelling(t *testing.T) {
	r := open(t, newStore(t))
	if err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := NewArchive(r, time.Hour)
	raw, err := a.Sign(t.Context(), []byte(`{"n":1}`), "x")
	if err != nil {
		t.Fatal(err)
	}
	list, err := a.Set(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	set, err := ParseSet(list)
	if err != nil {
		t.Fatal(err)
	}
	good := string(raw)
	for i := range len(good) {
		for _, b := range []byte("A_\n.=") {
			other := good[:i] + string(b) + good[i+1:]
			if _, err := set.Open(other, "x"); err == nil && other != good {
				t.Fatalf("byte %d as %q is taken for the same", i, b)
			}
		}
	}
	for _, other := range []string{good + "\n", good + "=", " " + good, good + ".", ""} {
		if _, err := set.Open(other, "x"); err == nil {
			t.Errorf("%q is taken for the same", other)
		}
	}
}

func TestParseSet_refuses_private_and_misnamed_keys(t *testing.T) {
	p, err := newPair("ES256")
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(p.jwk)
	if err != nil {
		t.Fatal(err)
	}
	private := strings.Replace(string(public), `{`, `{"d":"`+base64.RawURLEncoding.EncodeToString(make([]byte, 32))+`",`, 1)
	for name, set := range map[string]string{
		"not JSON":     `{`,
		"private":      `{"keys":[` + private + `]}`,
		"misnamed":     `{"keys":[` + strings.Replace(string(public), p.ID, "another", 1) + `]}`,
		"no algorithm": `{"keys":[` + strings.Replace(string(public), `"alg":"ES256"`, `"alg":"HS256"`, 1) + `]}`,
	} {
		if _, err := ParseSet([]byte(set)); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if _, err := ParseSet([]byte(`{"keys":[` + string(public) + `]}`)); err != nil {
		t.Error(err)
	}
}
