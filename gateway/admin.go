package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/grants"
)

// admin is what the admin listener serves: whether the process lives, whether
// it is ready, and its metrics. It is never public.
func (g *Gateway) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", g.ready)
	mux.Handle("GET /metrics", g.metrics.handler(g.log))
	return mux
}

func (g *Gateway) ready(w http.ResponseWriter, _ *http.Request) {
	if !g.ring.Ready() {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "starting", "waiting_for": "signing key"})
		return
	}
	// Nothing of this makes the process unready. A host without a certificate gets
	// none for being sent no traffic; one MCP server that is down makes no other
	// worse; and if the store is down it is so for every replica, and a 503 with
	// Retry-After is a better answer than nobody's.
	answers := "answers"
	if !g.grants.Current() {
		answers = "does not answer"
	}
	writeJSON(w, http.StatusOK, struct {
		Status      string        `json:"status"`
		Store       string        `json:"store"`
		Upstreams   any           `json:"upstreams,omitempty"`
		Uncertified []uncertified `json:"hosts_without_certificate,omitempty"`
	}{"ready", answers, g.upstreams(), g.uncertified()})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the reader is gone; there is nobody to tell
}

// AdminSocket is where the management commands of a configuration go.
func AdminSocket(c *Config) string {
	if c.Server.AdminSocket != "" {
		return c.Server.AdminSocket
	}
	if path, ok := strings.CutPrefix(c.Store.URL, "bolt://"); ok {
		return filepath.Join(filepath.Dir(filepath.FromSlash(path)), "admin.sock")
	}
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "admin.sock")
	}
	return filepath.Join(os.TempDir(), "mcp-oauth2-proxy-admin.sock")
}

// openAdminSocket opens the socket of the management commands. Without it
// everything else works, so its absence is a warning, and nil.
func (g *Gateway) openAdminSocket(ctx context.Context) net.Listener {
	l, err := listenUnix(ctx, AdminSocket(g.config))
	if err != nil {
		g.log.WarnContext(ctx, "management commands will not work", "cause", err)
		return nil
	}
	return l
}

// serveAdminSocket answers the management commands until ctx ends.
func (g *Gateway) serveAdminSocket(ctx context.Context, l net.Listener) error {
	if l == nil {
		return nil
	}
	s := g.server(ctx, g.management())
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listenUnix opens a socket that only its owner can use, in place of one that
// nobody listens to anymore.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	dialer := net.Dialer{Timeout: time.Second}
	if c, err := dialer.DialContext(ctx, "unix", path); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("admin socket %s is in use by another process", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	var open net.ListenConfig
	l, err := open.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, nil
}

func (g *Gateway) management() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connections", g.listConnections)
	mux.HandleFunc("POST /revoke", g.revokeGrants)
	mux.HandleFunc("POST /rotate-keys", g.rotateKeys)
	mux.HandleFunc("GET /selfsigned-ca", g.selfSignedCA)
	mux.HandleFunc("GET /backup", g.backup)
	mux.HandleFunc("GET /audit-trust", g.auditTrust)
	mux.HandleFunc("GET /explain", g.explainAttempt)
	return mux
}

// selfSignedCA shows the CA's certificate, which is no secret.
func (g *Gateway) selfSignedCA(w http.ResponseWriter, _ *http.Request) {
	if g.ca == nil {
		writeJSON(w, http.StatusConflict, map[string]string{"error": "tls.mode is not selfsigned"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"pem": string(g.ca.CACertificate())})
}

// Connection is a grant as the management commands show it.
type Connection struct {
	Grant  string    `json:"grant"`
	Host   string    `json:"host"`
	User   string    `json:"user"`
	Client string    `json:"client"`
	Name   string    `json:"client_name"`
	Scopes []string  `json:"scopes"`
	Given  time.Time `json:"given"`
	Used   time.Time `json:"used"`
	Ends   time.Time `json:"ends"`
}

// Label is how a list names the client: self-contained ids are too long to read.
func (c Connection) Label() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Client[:min(len(c.Client), 40)]
}

func (g *Gateway) listConnections(w http.ResponseWriter, r *http.Request) {
	out := []Connection{}
	err := g.grants.Each(r.Context(), func(f grants.Family) {
		_, host, _ := strings.Cut(f.Grant.Issuer, "://")
		out = append(out, Connection{
			f.Grant.ID, host, f.Grant.User.Subject, f.Grant.ClientID, f.Grant.ClientName, f.Grant.Scopes, f.Grant.Given, f.Used, f.Grant.Ends,
		})
	})
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// Revocation says what a revoke ends; exactly one field but Allow is set.
type Revocation struct {
	User   string `json:"user,omitempty"`
	Client string `json:"client,omitempty"`
	Allow  bool   `json:"allow,omitempty"` // lifts the refusal of Client instead
	Grant  string `json:"grant,omitempty"`
	Host   string `json:"host,omitempty"`
	All    bool   `json:"all,omitempty"`
}

func (v Revocation) matches(gr grants.Grant) bool {
	_, host, _ := strings.Cut(gr.Issuer, "://")
	switch {
	case v.All:
		return true
	case v.User != "":
		return v.User == gr.User.Subject || v.User == gr.User.Email || v.User == gr.User.Username
	case v.Client != "":
		return v.Client == gr.ClientID
	case v.Grant != "":
		return v.Grant == gr.ID
	}
	return v.Host != "" && v.Host == host
}

func (g *Gateway) revokeGrants(w http.ResponseWriter, r *http.Request) {
	var v Revocation
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&v); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "the request is not JSON"})
		return
	}
	n, err := g.revoke(r.Context(), v)
	if err != nil {
		g.log.ErrorContext(r.Context(), "revoke", "cause", err)
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]int{"ended": n})
}

// revoke ends what v says. What would let a grant come back goes first: the
// client, the sessions.
func (g *Gateway) revoke(ctx context.Context, v Revocation) (int, error) {
	if v.Client != "" && v.Allow {
		return 0, g.site.Load().clients.Allow(ctx, v.Client)
	}
	if v.Client != "" {
		if err := g.site.Load().clients.Refuse(ctx, v.Client); err != nil {
			return 0, err
		}
	}
	if v.All {
		if err := g.grants.SignOutAll(ctx); err != nil {
			return 0, err
		}
	}
	subjects := map[string]bool{v.User: v.User != ""}
	owners := map[string]bool{}
	var matched []grants.Grant
	n, err := g.grants.EndWhere(ctx, func(gr grants.Grant) bool {
		if !v.matches(gr) {
			return false
		}
		matched = append(matched, gr)
		if v.User != "" {
			subjects[gr.User.Subject] = true
			owners[gr.User.Owner()] = true
		}
		return true
	})
	g.recordEnded(ctx, matched)
	if err != nil {
		return n, err
	}
	if v.Grant != "" && n == 0 {
		damaged, err := g.grants.EndDamaged(ctx, v.Grant)
		if err != nil {
			return n, err
		}
		if damaged {
			n++
			g.recordEnded(ctx, []grants.Grant{{ID: v.Grant}})
		}
	}
	for subject, named := range subjects {
		if named {
			if err := g.grants.SignOutEverywhere(ctx, subject); err != nil {
				return n, err
			}
		}
	}
	if v.All || v.User != "" {
		if err := g.revokePasskeys(ctx, v, owners); err != nil {
			return n, err
		}
	}
	return n, nil
}

// recordEnded writes a line for each grant that the operator has ended, whether
// its code was redeemed or not.
func (g *Gateway) recordEnded(ctx context.Context, ended []grants.Grant) {
	for _, gr := range ended {
		_, host, _ := strings.Cut(gr.Issuer, "://")
		g.audit.Record(ctx, audit.GrantEnded, audit.Text("by", "operator"), audit.Host(host), audit.Client(gr.ClientID), audit.Subject(gr.User.Subject), audit.Grant(gr.ID))
	}
}

// revokePasskeys forgets the passkeys of the users that v names: whoever got in
// may have added one.
func (g *Gateway) revokePasskeys(ctx context.Context, v Revocation, owners map[string]bool) error {
	n, err := g.grants.RemovePasskeysWhere(ctx, func(owner string) bool {
		_, id, _ := strings.Cut(owner, ":")
		return v.All || owners[owner] || owner == v.User || id == v.User
	})
	if n > 0 {
		g.audit.Record(ctx, audit.PasskeyRemoved, audit.Text("by", "operator"), audit.Text("count", fmt.Sprint(n)))
	}
	return err
}

func (g *Gateway) rotateKeys(w http.ResponseWriter, r *http.Request) {
	if err := g.ring.Rotate(r.Context()); err != nil {
		g.log.ErrorContext(r.Context(), "rotate keys", "cause", err)
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "rotated"})
}
