package routing

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Config is one entry of proxy.hosts, already checked.
type Config struct {
	Host            string   // the authority clients type
	Scheme          string   // https, or http on loopback
	Name            string   // shown to people; default: the host
	Endpoint        *url.URL // the MCP endpoint; nil: nothing is proxied
	Socket          string   // the unix socket behind which it is; empty: at its host
	TLS             TLS
	Paths           []string // what is proxied; empty: everything
	Public          bool
	Authorization   string // forward (default), none, or the value to send
	Headers         []Header
	IdentityHeaders bool
	PreserveHost    bool
	Scopes          []Scope
	ScopesSet       bool // Scopes replace what the server advertises, even if there are none
	EnforceScopes   bool
	ToolsList       string        // all (default) | granted
	UnscopedTools   string        // allow (default) | deny
	KeepAlive       time.Duration // after which a silent event stream gets a comment; 0: never
	PinTools        bool          // calls are held to the definitions that were consented to
	Pinnable        []PinnableArgument
}

// A Header is added to every request that goes upstream.
type Header struct{ Name, Value string }

// Options are what all routes share.
type Options struct {
	Log       *slog.Logger
	Now       func() time.Time
	MaxBody   int64                  // of bodies that must be parsed; default 10 MiB
	Snapshots Snapshots              // where catalogues survive a restart; may be nil
	Pins      Pins                   // what consents were about; nil: tools are not pinned
	OwnCookie func(name string) bool // whether a cookie is the gateway's own
	// SessionKey makes the sessions of MCP servers belong to whom they were
	// given to. Without it they are whoever's knows their id.
	SessionKey []byte
	// Transport wraps what calls are passed on with; nil: they go as they are.
	Transport func(http.RoundTripper) http.RoundTripper
	// OnError answers a request that could not be passed on, and logs cause.
	// The request is the client's, as Forward was given it.
	OnError func(w http.ResponseWriter, r *http.Request, status int, cause error)
}

// Snapshots is a place for the last good catalogue of a host. Load returns nil
// where there is none.
type Snapshots interface {
	Load(ctx context.Context, host string) ([]byte, error)
	Save(ctx context.Context, host string, snapshot []byte) error
}

const defaultMaxBody = 10 << 20

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.OwnCookie == nil {
		o.OwnCookie = func(string) bool { return false }
	}
	if o.OnError == nil {
		o.OnError = plainError(o.Log)
	}
	return o
}

// plainError is for those who bring no error page of their own.
func plainError(log *slog.Logger) func(http.ResponseWriter, *http.Request, int, error) {
	return func(w http.ResponseWriter, r *http.Request, status int, cause error) {
		log.WarnContext(r.Context(), "request not passed on", "host", r.Host, "status", status, "cause", cause)
		body, _ := json.Marshal(map[string]string{"error": http.StatusText(status)})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}
