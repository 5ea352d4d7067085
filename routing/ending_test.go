package routing_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
)

func TestASilentStreamIsKeptAwakeOnTheWire(t *testing.T) {
	c := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c.KeepAlive = time.Millisecond
	for _, method := range []string{"GET", "POST"} {
		res := newFront(t, c).as(t, ada, method, "/mcp")
		got := make([]byte, 9)
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != ":\n\n:\n\n:\n\n" {
			t.Errorf("X18 %s: %q, %v", method, got, err)
		}
	}
}

func TestNothingIsAddedToWhatIsNoStreamOfEvents(t *testing.T) {
	for name, head := range map[string]map[string]string{
		"X18 JSON":                {"Content-Type": "application/json"},
		"X18 a compressed stream": {"Content-Type": "text/event-stream", "Content-Encoding": "zstd"},
		"X18 one with a length":   {"Content-Type": "text/event-stream", "Content-Length": "9"},
	} {
		t.Run(name, func(t *testing.T) {
			step := make(chan struct{})
			c := upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, v := range head {
					w.Header().Set(name, v)
				}
				_, _ = io.WriteString(w, "data\n\n")
				_ = http.NewResponseController(w).Flush()
				<-step
				_, _ = io.WriteString(w, "end")
			})
			c.KeepAlive = time.Millisecond
			f := newFront(t, c)
			res := f.as(t, ada, "POST", "/mcp")
			first := make([]byte, 6)
			if _, err := io.ReadFull(res.Body, first); err != nil {
				t.Fatal(err)
			}
			// As long as another stream takes for three comments.
			beat := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			beat.KeepAlive = 3 * time.Millisecond
			if _, err := io.ReadFull(newFront(t, beat).as(t, ada, "GET", "/mcp").Body, make([]byte, 9)); err != nil {
				t.Fatal(err)
			}
			close(step)
			if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "end" {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
}

// ended serves a stream of which one event is read before its context ends for
// a reason.
func ended(t *testing.T, c routing.Config, why error) ([]byte, error) {
	t.Helper()
	f := newFront(t, c)
	end := make(chan error, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		go func() { cancel(<-end) }()
		f.route.Forward(w, r.WithContext(ctx), ada)
	}))
	defer s.Close()
	res, err := http.DefaultClient.Do(get(t, s.URL+"/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	event(t, r)
	end <- why
	return io.ReadAll(r)
}

func TestAStreamThatIsOverEndsInOrder(t *testing.T) {
	gone := make(chan struct{}, 2)
	c := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	})
	if rest, err := ended(t, c, fmt.Errorf("%w: the token has expired", routing.ErrOver)); err != nil || len(rest) != 0 {
		t.Errorf("X19 %q, %v", rest, err)
	}
	<-gone
	if _, err := ended(t, c, errors.New("the grant has ended")); err == nil {
		t.Error("X19 a stream that is broken off looks as if it were complete")
	}
	<-gone
}

func TestAReaderThatDoesNotReadHoldsNobodyUp(t *testing.T) {
	arrived := make(chan struct{}, 1)
	endless := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "json" {
			w.Header().Set("Content-Type", "application/json")
		} else {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		for {
			if _, err := io.WriteString(w, "data: "+strings.Repeat("x", 10_000)+"\n\n"); err != nil {
				return
			}
			if r.URL.RawQuery == "fast" {
				arrived <- struct{}{}
			}
		}
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(endless))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	defer s.CloseClientConnections()
	// Both share one connection to the server.
	f := newFront(t, routing.Config{Endpoint: parse(t, s.URL+"/mcp"), TLS: routing.TLS{CAFile: authorityOf(t, s)}, KeepAlive: time.Millisecond})
	revoked := make(chan error, 2)
	returned := make(chan struct{}, 2)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { returned <- struct{}{} }()
		ctx, cancel := context.WithCancelCause(r.Context())
		go func() { cancel(<-revoked) }()
		f.route.Forward(w, r.WithContext(ctx), ada)
	}))
	defer slow.Close()
	defer slow.CloseClientConnections()
	for _, kind := range []string{"sse", "json"} {
		conn, err := net.Dial("tcp", slow.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /mcp?%s HTTP/1.1\r\nHost: a\r\n\r\n", kind)
	}
	// Far more than fits between the two ends of the slow ones.
	res, err := http.DefaultClient.Do(get(t, f.URL+"/mcp?fast"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	go func() {
		for range arrived { // its server never waits
		}
	}()
	if n, err := io.CopyN(io.Discard, res.Body, 64<<20); err != nil {
		t.Errorf("X7 the other stream stops after %d bytes: %v", n, err)
	}
	revoked <- errors.New("the grant has ended")
	revoked <- errors.New("the grant has ended")
	<-returned // X19: although nobody reads
	<-returned
}

func TestAResetOfHTTP2EndsTheCall(t *testing.T) {
	gone := make(chan struct{})
	f := newFront(t, upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "leaves" {
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	}))
	s := httptest.NewUnstartedServer(f)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	ctx, leave := context.WithCancel(t.Context())
	res, err := s.Client().Do(get(t, s.URL+"/mcp?leaves").WithContext(ctx))
	if err != nil || res.ProtoMajor != 2 {
		t.Fatalf("%v, %v", res, err)
	}
	defer res.Body.Close()
	event(t, bufio.NewReader(res.Body))
	leave() // of the connection, this stream alone
	<-gone  // X12
	again, err := s.Client().Do(get(t, s.URL+"/mcp"))
	if err != nil {
		t.Fatal(err)
	}
	again.Body.Close()
}
