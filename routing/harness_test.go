package routing_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"mcp-oauth2-proxy/routing"
)

// front is a gateway of the smallest kind: a listener, one route, and a caller
// whose scopes are known.
type front struct {
	*httptest.Server
	route  *routing.Route
	caller *routing.Caller
	limits []routing.Limit
	log    *lockedBuffer
	causes chan error
}

var ada = routing.NewCaller(routing.Identity{
	Subject: "google:1234", Email: "ada@example.com", Username: "ada", ClientID: "client-1",
	Groups: []string{"admins", "dev"}, Scopes: []string{"notes:read"},
})

func newFront(t testing.TB, c routing.Config, opts ...func(*routing.Options)) *front {
	t.Helper()
	f := &front{caller: ada, log: &lockedBuffer{}, causes: make(chan error, 100)}
	if c.Host == "" {
		c.Host = "notes.example.com"
	}
	if c.Public {
		f.caller = nil
	}
	defaults := func(o *routing.Options) {
		o.Log = slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.OwnCookie = func(name string) bool { return strings.HasPrefix(strings.ToLower(name), "__host-gw") }
		o.OnError = f.onError
	}
	f.route = route(t, c, append([]func(*routing.Options){defaults}, opts...)...)
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.caller != nil {
		if err := f.route.Authorize(r.Context(), r, routing.Granted{Scopes: f.caller.Scopes, Pin: f.caller.Pin, Limits: f.limits}); err != nil {
			f.refuse(w, err)
			return
		}
	}
	f.route.Forward(w, r, f.caller)
}

func (f *front) refuse(w http.ResponseWriter, err error) {
	var denied *routing.Denied
	var bad *routing.BadMessage
	var large *routing.TooLarge
	status := http.StatusServiceUnavailable
	switch {
	case errors.As(err, &denied):
		status = http.StatusForbidden
	case errors.As(err, &bad):
		status = http.StatusBadRequest
	case errors.As(err, &large):
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), status)
}

func (f *front) onError(w http.ResponseWriter, r *http.Request, status int, cause error) {
	f.causes <- cause
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": status, "path": r.URL.Path})
}

// raw sends bytes as they are and returns the answer.
func (f *front) raw(t testing.TB, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", f.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// post sends a body with headers given as name, value, name, value.
func (f *front) post(t testing.TB, body string, headers ...string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		req.Header[headers[i]] = append(req.Header[headers[i]], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// upstreamOf runs a handler and returns a configuration that leads to it.
func upstreamOf(t testing.TB, h http.HandlerFunc) routing.Config {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return routing.Config{Endpoint: parse(t, s.URL+"/mcp"), IdentityHeaders: true}
}

// recorder is an upstream that keeps the last request it got.
type recorder struct {
	seen chan *http.Request
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec.seen <- r
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{}`)
}

func recording(t testing.TB) (*recorder, routing.Config) {
	rec := &recorder{seen: make(chan *http.Request, 100)}
	return rec, upstreamOf(t, rec.ServeHTTP)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func hostOf(t testing.TB, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func newFrontLog(f *front) *slog.Logger { return slog.New(slog.NewJSONHandler(f.log, nil)) }
