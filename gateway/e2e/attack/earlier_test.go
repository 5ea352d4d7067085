//go:build e2e

package attack

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/keys"
	"mcp-oauth2-proxy/auth/store/bolt"
)

// A relic is a token that a gateway of the same store has left behind: in a log
// that somebody finds long after, say. Nothing is wrong with its signature.
type relic struct {
	token string
	site  *site
	what  string
}

// livesEarlier is the gateway's life before this one, by its own parts with other
// clocks: they publish their key in the store, and the program believes it after
// the restart. That nothing but the time or the type is wrong with the relics is
// shown by one that is good.
func (w *world) livesEarlier(t testing.TB, file string) {
	t.Helper()
	kept, err := bolt.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := kept.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	ring, err := keys.Open(t.Context(), kept, keys.Options{Algorithm: "ES256", Rotation: 24 * time.Hour, TokenLife: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range w.sites {
		said := access.Token{
			Issuer: s.origin, Subject: "honest:victim", Audience: []string{s.origin, s.origin + "/mcp"},
			ClientID: "portal", Scopes: s.scopeNames(), Grant: "of-an-earlier-life",
		}
		for _, clock := range []struct {
			what string
			late time.Duration
		}{{"", 0}, {"no token after its time", -2 * time.Hour}, {"no token before its time", 2 * time.Hour}} {
			minter := access.NewMinter(ring, time.Hour, func() time.Time { return time.Now().Add(clock.late) })
			token, _, err := minter.Mint(t.Context(), said, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			w.relics = append(w.relics, relic{token, s, clock.what})
		}
		// Nothing of ours signs these. Another version among the replicas might:
		// ID tokens are of this type, and of no less to whoever reads no types.
		for _, typ := range []string{"JWT", "id+jwt", "secevent+jwt"} {
			w.relics = append(w.relics, relic{w.signs(t.Context(), ring, said, typ), s, "no token of another type"})
		}
	}
}

// signs signs the claims of a token as something else.
func (w *world) signs(ctx context.Context, ring *keys.Ring, said access.Token, typ string) string {
	now := time.Now().Unix()
	payload, _ := json.Marshal(map[string]any{
		"iss": said.Issuer, "sub": said.Subject, "aud": said.Audience, "client_id": said.ClientID, "jti": "another",
		"iat": now, "nbf": now, "exp": now + 3600, "scope": said.Scopes[0], "scopes": said.Scopes[:1],
	})
	token, err := ring.Sign(ctx, payload, typ)
	if err != nil {
		w.tb.Fatal(err)
	}
	return string(token)
}

// believesEarlier: the key of the earlier life is believed, or its relics prove
// nothing.
func (w *world) believesEarlier(t testing.TB) {
	t.Helper()
	for _, r := range w.relics {
		if r.what == "" && !w.passes(r.site, r.token) {
			t.Fatal("the gateway does not believe the key of its earlier life")
		}
	}
}

// passes asks whether a token is good at a host.
func (w *world) passes(s *site, token string) bool {
	return w.send(w.request(http.MethodGet, s.origin+"/authenticate", "", "Authorization", "Bearer "+token)).status == http.StatusOK
}

// digs shows what lay in an old log.
func (w *world) digs() {
	r := pick(w, w.relics)
	if r.what == "" { // it is as good as its time
		return
	}
	w.said["a relic is shown"]++
	if w.passes(r.site, r.token) {
		w.breaks(r.what, "/authenticate of %s takes one", r.site.name)
	}
	if a := w.call(r.site, r.token, callBody("read")); a.status != http.StatusUnauthorized {
		w.breaks(r.what, "a call of %s with one is answered %d", r.site.name, a.status)
	}
}
