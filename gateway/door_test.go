package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A door is a gateway with the listeners and limits of a real one, in front of
// an MCP server that knows what may reach it. Whoever comes through it brings
// bytes, not requests.
type door struct {
	*fixture
	plain, secure string // addresses
	token         string
	client        *http.Client // of somebody who means well, at the same time
	calls         atomic.Int64

	admitted atomic.Int64 // requests that the gateway has read
	passed   atomic.Int64 // requests that the MCP server has seen

	mu     sync.Mutex
	faults []string
}

// What only the gateway says to the MCP server: a request without it was
// smuggled past.
const (
	admittedHeader = "X-Admitted"
	admittedSecret = "by-the-gateway-itself"
)

func newDoor(t testing.TB) *door {
	t.Helper()
	d := &door{}
	upstream := httptest.NewServer(http.HandlerFunc(d.upstreamOfDoor))
	t.Cleanup(upstream.Close)
	d.fixture = newFixture(t, serving(`[{"host":"notes.example.com","endpoint":"`+upstream.URL+`/mcp","paths":["/mcp"],
		"headers":[{"name":"`+admittedHeader+`","value":"`+admittedSecret+`"}],
		"scopes":[{"name":"notes:read","tools":["read_note"]},{"name":"notes:write","tools":["write_note"]}]}]`))
	_, got := d.connected(t, "notes:read")
	d.token = got.access
	d.logged.discard()
	d.audited.discard()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	borrowed := httptest.NewTLSServer(nil) // its certificate
	t.Cleanup(borrowed.Close)
	for _, secure := range []bool{false, true} {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := d.server(ctx, http.HandlerFunc(d.read))
		if secure {
			s.TLSConfig = borrowed.TLS.Clone()
			s.TLSConfig.NextProtos = []string{"h2", "http/1.1"}
			d.secure = l.Addr().String()
		} else {
			d.plain = l.Addr().String()
		}
		go func() { _ = listener{l, s, secure}.serve() }()
		t.Cleanup(func() { _ = s.Close() })
	}
	d.client = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, d.plain)
	}}}
	t.Cleanup(d.client.CloseIdleConnections)
	return d
}

// read counts what arrives, and notes every panic: net/http would only log it.
func (d *door) read(w http.ResponseWriter, r *http.Request) {
	d.admitted.Add(1)
	defer func() {
		if p := recover(); p != nil {
			if err, is := p.(error); !is || !errors.Is(err, http.ErrAbortHandler) {
				d.fault("a panic: %v", p)
			}
			panic(p)
		}
	}()
	d.ServeHTTP(w, r)
}

func (d *door) fault(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, fmt.Sprintf(format, args...))
}

// upstreamOfDoor is the MCP server: it judges what it sees, and repeats the id.
func (d *door) upstreamOfDoor(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Forwarded-For") == "" { // the gateway asks for its own sake
		w.WriteHeader(http.StatusNotFound)
		return
	}
	passed := d.passed.Add(1)
	if said := r.Header.Values(admittedHeader); len(said) != 1 || said[0] != admittedSecret {
		d.fault("smuggled: %s %s %v", r.Method, r.RequestURI, r.Header)
	}
	if read := d.admitted.Load(); passed > read {
		d.fault("the MCP server has seen %d requests, the gateway %d: %s %s", passed, read, r.Method, r.RequestURI)
	}
	if user := r.Header.Values("X-Forwarded-User"); len(user) != 1 || user[0] != "local:ada" {
		d.fault("X-Forwarded-User is %q", user)
	}
	if to := r.Header.Values("X-Forwarded-Host"); len(to) != 1 || to[0] != "notes.example.com" {
		d.fault("X-Forwarded-Host is %q", to)
	}
	if r.URL.Path != "/mcp" && !strings.HasPrefix(r.URL.Path, "/mcp/") || strings.Contains(r.URL.Path, "..") {
		d.fault("%s %s is not listed", r.Method, r.RequestURI)
	}
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "" || len(r.Trailer) > 0 {
		d.fault("%s, Upgrade %q, trailers %v", r.Method, r.Header.Get("Upgrade"), r.Trailer)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if bytes.Contains(body, []byte(`"write_note"`)) && bytes.Contains(body, []byte("tools/call")) {
		d.fault("a tool outside of the scopes: %s", body)
	}
	var message struct {
		ID json.RawMessage `json:"id"`
	}
	_ = json.Unmarshal(body, &message)
	if message.ID == nil {
		message.ID = json.RawMessage("null")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{}}`, message.ID)
}

// settle is what comes after every piece of bytes: somebody else, who means
// well, gets the answer to their own question, and nothing was noted.
func (d *door) settle(t *testing.T) {
	t.Helper()
	id := d.calls.Add(1)
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"read_note"}}`, id)
	r := newRequest(t, http.MethodPost, "http://notes.example.com/mcp", body, "Content-Type", "application/json",
		"Accept", "application/json, text/event-stream", "Authorization", "Bearer "+d.token)
	a := send(t, d.client, r)
	if want := fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{}}`, id); a.StatusCode != http.StatusOK || a.body != want {
		t.Errorf("another caller is answered %s %q, want %q", a.Status, a.body, want)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.faults {
		t.Error(f)
	}
	d.faults = nil
}

// pour sends bytes over a connection and returns what is answered. With more to
// come, it waits for the gateway to hang up.
func (d *door) pour(t *testing.T, text []byte, more bool) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", d.plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return drain(t, conn, conn.(*net.TCPConn).CloseWrite, text, more)
}

// silence is how long nothing comes before the client says that it has no more.
// It is only a guess at when the answer is there: to hang up earlier breaks off
// what is under way, and no check depends on that.
const silence = 3 * time.Millisecond

// drain sends bytes, and reads until the gateway hangs up. It has to, once there
// are no more.
func drain(t *testing.T, conn net.Conn, end func() error, text []byte, ended bool) (answer []byte) {
	t.Helper()
	late := time.Now().Add(20 * time.Second)
	_ = conn.SetDeadline(late)
	if _, err := conn.Write(text); err != nil {
		return nil
	}
	buffer := make([]byte, 32<<10)
	for {
		if !ended {
			_ = conn.SetReadDeadline(time.Now().Add(silence))
		}
		n, err := conn.Read(buffer)
		answer = append(answer, buffer[:n]...)
		var slow net.Error
		switch {
		case err == nil:
		case !errors.As(err, &slow) || !slow.Timeout():
			return answer
		case ended:
			t.Errorf("the gateway neither answers nor hangs up: %.200q", text)
			return answer
		default:
			ended = true
			_ = conn.SetReadDeadline(late)
			_ = end()
		}
	}
}
