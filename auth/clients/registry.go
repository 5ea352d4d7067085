// Package clients knows who may ask for authorization: clients from the
// configuration, clients that registered themselves, and clients whose id is
// the URL of a document about them.
//
// It promises that a redirect URI it returns is one its client named
// beforehand, to the letter but for the port on loopback; that an id it made
// is believed at the issuer it was made for and nowhere else; and that nothing
// a stranger names is fetched from an address inside. It stores nothing for a
// registration. It knows neither HTTP requests nor people nor grants.
package clients

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

const (
	kindRefused   store.Kind = "refused"
	kindAssertion store.Kind = "assertion"
)

// Options are what a registry is made of.
type Options struct {
	Secret []byte // 32 bytes or more; ids and secrets of registered clients live as long as it does
	Store  store.Store

	Configured []Configured
	Dynamic    bool // let clients register themselves, and know those that did
	Documents  bool // know clients by their metadata documents

	// AllowedRedirectURLs are the operator's, anchored. Empty: any https, http
	// on loopback, the schemes of known MCP clients and reverse domain names.
	AllowedRedirectURLs []*regexp.Regexp

	Client *http.Client // fetches documents; nil: one that reaches public addresses only. For tests
	Now    func() time.Time
	Log    *slog.Logger
}

// A Registry finds clients, and tells whether it is they who ask.
type Registry struct {
	store      store.Store
	refusals   store.Bucket[refusal]
	ids        *ids
	configured map[string]*Client
	dynamic    bool
	documented bool
	documents  *documents
	rules      rules
	now        func() time.Time
}

// refusal is the record of a client that was shown the door. It names the
// client because its key does not: an id can be longer than a key, so the
// bucket hashes it.
type refusal struct {
	Client string    `json:"client"`
	At     time.Time `json:"at"`
}

// New returns the registry, or every fault of the configured clients.
func New(o Options) (*Registry, error) {
	if o.Store == nil {
		return nil, errors.New("clients: there is no store")
	}
	ids, err := newIDs(o.Secret)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{
		store: o.Store, refusals: store.Secrets[refusal](o.Store, kindRefused), ids: ids,
		configured: make(map[string]*Client), dynamic: o.Dynamic, documented: o.Documents,
		rules: rules{o.AllowedRedirectURLs}, now: o.Now, documents: newDocuments(o),
	}
	if err := r.configure(o.Configured); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Registry) configure(all []Configured) error {
	var faults []error
	for i, c := range all {
		client, err := c.client()
		if err == nil && r.configured[c.ID] != nil {
			err = errors.New("clientID: another client has it")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("clients[%d]: %w", i, err))
			continue
		}
		r.configured[c.ID] = client
	}
	return errors.Join(faults...)
}

// Lookup returns the client of an id, as it is known at an issuer. What is not
// a client, or was refused, is invalid_client; temporarily_unavailable is worth
// another try.
func (r *Registry) Lookup(ctx context.Context, issuer, id string) (*Client, error) {
	c, err := r.find(issuer, id)
	if err != nil {
		return nil, err
	}
	// Before a document is fetched: a refused client costs no fetch.
	if err := r.checkRefused(ctx, id); err != nil {
		return nil, err
	}
	if c != nil {
		return c, nil
	}
	return r.documents.lookup(ctx, id)
}

// find looks where nothing has to be fetched; nil without an error: at a URL.
func (r *Registry) find(issuer, id string) (*Client, error) {
	if c, ok := r.configured[id]; ok {
		return c, nil
	}
	if r.documented && strings.HasPrefix(id, "https://") {
		if _, err := parseDocumentURL(id); err != nil {
			return nil, &Error{Code: InvalidClient, Description: "the client_id cannot be that of a metadata document: " + err.Error()}
		}
		return nil, nil
	}
	if !r.dynamic {
		return nil, unknownClient(nil)
	}
	meta, err := r.ids.decode(issuer, id)
	if err != nil {
		return nil, unknownClient(err)
	}
	return r.registered(id, meta), nil
}

// Refuse makes a client unknown, at every replica, until it is allowed again.
func (r *Registry) Refuse(ctx context.Context, id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("refuse a client: want an id of 1 to %d characters", maxID)
	}
	if err := r.refusals.Put(ctx, id, refusal{id, r.now()}, 0); err != nil {
		return fmt.Errorf("refuse client %s: %w", id, err)
	}
	return nil
}

// Allow takes a refusal back; there need not be one.
func (r *Registry) Allow(ctx context.Context, id string) error {
	if err := r.refusals.Delete(ctx, id); err != nil {
		return fmt.Errorf("allow client %s: %w", id, err)
	}
	return nil
}

func (r *Registry) checkRefused(ctx context.Context, id string) *Error {
	switch _, err := r.refusals.Get(ctx, id); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return unavailable("the client cannot be looked up now", fmt.Errorf("read refusals: %w", err))
	}
	return &Error{Code: InvalidClient, Description: "the operator of this server refuses this client"}
}
