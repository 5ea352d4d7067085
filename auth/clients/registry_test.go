package clients

import (
	"strings"
	"testing"

	"mcp-oauth2-proxy/auth/store/memory"
)

func TestRefusedClient(t *testing.T) {
	p := newPublisher(t)
	shared := memory.New(1 << 20)
	replica := func() *Registry {
		return newRegistry(t, func(o *Options) {
			o.Store, o.Client = shared, p.Client()
			o.Configured = []Configured{{ID: "notes", RedirectURIs: []string{"https://a.example/"}}}
		})
	}
	here, there := replica(), replica()
	long := register(t, here, `{"token_endpoint_auth_method":"none","redirect_uris":["https://a.example/`+incompressible(500)+`"]}`)
	for name, id := range map[string]string{"registered": long.ClientID, "document": p.id(), "configured": "notes"} {
		t.Run(name, func(t *testing.T) {
			if err := here.Refuse(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			before := p.hits.Load()
			_, err := there.Lookup(t.Context(), issuer, id)
			refusedWith(t, err, InvalidClient)
			_, err = there.Authenticate(t.Context(), issuer, Credentials{ID: id, Method: MethodNone})
			refusedWith(t, err, InvalidClient)
			if p.hits.Load() != before {
				t.Error("a refused client made a fetch")
			}
			for range 2 {
				if err := there.Allow(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := here.Lookup(t.Context(), issuer, id); err != nil {
				t.Errorf("allowed again: %v", err)
			}
		})
	}
	t.Run("registering again does not help", func(t *testing.T) {
		id := register(t, here, publicBody).ClientID
		if err := here.Refuse(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		_, err := there.Register(t.Context(), issuer, []byte(publicBody))
		refusedWith(t, err, InvalidClientMetadata)
	})
	t.Run("an id that cannot be one", func(t *testing.T) {
		for _, id := range []string{"", strings.Repeat("x", 1025)} {
			if here.Refuse(t.Context(), id) == nil {
				t.Errorf("refused %d characters", len(id))
			}
		}
	})
	t.Run("without a store nobody is let in", func(t *testing.T) {
		shared.Close()
		_, err := here.Lookup(t.Context(), issuer, "notes")
		refusedWith(t, err, TemporarilyUnavailable)
		_, err = here.Register(t.Context(), issuer, []byte(secretBody))
		refusedWith(t, err, TemporarilyUnavailable)
		if here.Refuse(t.Context(), "x") == nil || here.Allow(t.Context(), "x") == nil {
			t.Error("a refusal that was not stored")
		}
	})
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := New(Options{Secret: make([]byte, 32)}); err == nil {
		t.Error("no store")
	}
	if _, err := New(Options{Store: memory.New(1 << 20)}); err == nil {
		t.Error("no secret")
	}
	if _, err := New(Options{Store: memory.New(1 << 20), Secret: make([]byte, 32)}); err != nil {
		t.Error(err)
	}
}
