package routing_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/routing/routingtest"
)

// callStream begins a call of the tool that streams, as a client of 2026 does.
func callStream(ctx context.Context, t *testing.T, url string) *http.Response {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stream","arguments":{},"_meta":{"progressToken":"t",` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},` +
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "stream",
	} {
		req.Header.Set(name, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// event reads up to the end of an event and returns its data.
func event(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var data string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", data, err)
		}
		if line = strings.TrimSpace(line); line == "" && data != "" {
			return data
		}
		if d, ok := strings.CutPrefix(line, "data: "); ok {
			data += d
		}
	}
}

func TestAStreamArrivesEventByEvent(t *testing.T) {
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern})
	f := newFront(t, routing.Config{Endpoint: parse(t, s.URL), EnforceScopes: true})
	// The server sends nothing more until the event before has arrived here, so
	// whoever gathers events ends this test by its timeout.
	go func() { s.Step <- "one" }()
	res := callStream(t.Context(), t, f.URL+"/mcp")
	r := bufio.NewReader(res.Body)
	for _, step := range []string{"one", "two", "three"} {
		if step != "one" {
			s.Step <- step
		}
		if data := event(t, r); !strings.Contains(data, step) {
			t.Fatalf("X7 %q, want %s", data, step)
		}
	}
	close(s.Step)
	if data := event(t, r); !strings.Contains(data, `"result"`) {
		t.Errorf("X7 the answer: %q", data)
	}
	if res.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("X7 %v", res.Header)
	}
}

func TestAClientThatLeavesEndsTheCall(t *testing.T) {
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern})
	f := newFront(t, routing.Config{Endpoint: parse(t, s.URL)})
	ctx, leave := context.WithCancel(t.Context())
	go func() { s.Step <- "one" }()
	res := callStream(ctx, t, f.URL+"/mcp")
	event(t, bufio.NewReader(res.Body))
	leave()
	<-s.Gone // X12: the tool's context ended
}

func TestAClientThatLeavesBeforeTheAnswerIsNoTrouble(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	f := newFront(t, upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(gone)
	}))
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-arrived
		leave()
	}()
	if res, err := http.DefaultClient.Do(get(t, f.URL+"/mcp").WithContext(ctx)); err == nil {
		res.Body.Close()
		t.Error("an answer")
	}
	<-gone // X12
	if len(f.causes) != 0 {
		t.Errorf("an error for nobody: %v", <-f.causes)
	}
}

func TestADeadlineOfTheGatewayIsATimeout(t *testing.T) {
	c := upstreamOf(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	f := newFront(t, c)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Millisecond)
		defer cancel()
		f.route.Forward(w, r.WithContext(ctx), ada)
	}))
	defer s.Close()
	res, err := http.DefaultClient.Do(get(t, s.URL+"/mcp"))
	if err != nil || res.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("X15 %v %v", res, err)
	}
	if h := f.route.Health(); h.Known {
		t.Errorf("it says something about the server: %+v", h)
	}
}

func TestManyStreamsAtOnce(t *testing.T) {
	const streams, events = 50, 20
	f := newFront(t, upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range events {
			fmt.Fprintf(w, "id: %d\nretry: 5\ndata: %s\n\n", n, r.URL.RawQuery)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	errs := make(chan error, streams)
	for n := range streams {
		go func() {
			res, err := http.Get(fmt.Sprintf("%s/mcp?%d", f.URL, n))
			if err != nil {
				errs <- err
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			var want bytes.Buffer
			for i := range events {
				fmt.Fprintf(&want, "id: %d\nretry: 5\ndata: %d\n\n", i, n)
			}
			if err == nil && !bytes.Equal(body, want.Bytes()) {
				err = fmt.Errorf("stream %d: %q", n, body)
			}
			errs <- err
		}()
	}
	for range streams {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestAListThatPassesThroughEndsTheCopysLife(t *testing.T) {
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Scopes: []routingtest.Scope{{Name: "a", Tools: []string{"x"}}}})
	f := newFront(t, routing.Config{Endpoint: parse(t, s.URL), EnforceScopes: true})
	if names := f.route.Catalogue(t.Context()).Names(); len(names) != 1 {
		t.Fatalf("%q", names)
	}
	s.SetScopes(routingtest.Scope{Name: "b", Tools: []string{"x"}})
	if names := f.route.Catalogue(t.Context()).Names(); names[0] != "a" {
		t.Fatalf("asked again at once: %q", names)
	}
	f.post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	if names := f.route.Catalogue(t.Context()).Names(); len(names) != 1 || names[0] != "b" {
		t.Errorf("an old copy: %q", names)
	}
}

func TestListChangedInAStreamEndsTheCopysLife(t *testing.T) {
	before := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, part := range []string{"data: {\"method\":\"notifications/tools/li", "st_chan", "ged\"}\n\n"} { // in pieces
			fmt.Fprint(w, part)
			_ = http.NewResponseController(w).Flush()
		}
		return true
	}
	proxied := routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Before: before, Scopes: []routingtest.Scope{{Name: "a", Tools: []string{"x"}}}})
	f := newFront(t, routing.Config{Endpoint: parse(t, proxied.URL), EnforceScopes: true})
	f.route.Catalogue(t.Context())
	proxied.SetScopes(routingtest.Scope{Name: "b"})
	res := f.raw(t, "GET /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	if names := f.route.Catalogue(t.Context()).Names(); len(names) != 1 || names[0] != "b" {
		t.Errorf("an old copy: %q", names)
	}
}
