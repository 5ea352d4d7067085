package routing_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"mcp-oauth2-proxy/routing"

	"golang.org/x/net/http2"
)

// What http.Transport carries is held to the same rule as what a hop does.
func TestACallThatMayHaveArrivedOverTLSIsNotSentAgain(t *testing.T) {
	var calls atomic.Int32
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 { // on a connection that has served another
			panic(http.ErrAbortHandler)
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(s.Close)
	f := newFront(t, routing.Config{Endpoint: parse(t, s.URL+"/mcp"), TLS: routing.TLS{CAFile: authorityOf(t, s)}})
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		calls.Store(0)
		if status, _ := f.post(t, `{"jsonrpc":"2.0"}`); status != http.StatusOK {
			t.Fatal(status)
		}
		status, _ := f.post(t, `{"jsonrpc":"2.0"}`, name, "1")
		if got := calls.Load(); status != http.StatusBadGateway || got != 2 {
			t.Errorf("X10 %s: %d, and it was sent %d times", name, status, got-1)
		}
	}
}

// One that its server has not looked at is.
func TestACallThatWasRefusedUnseenIsSentAgain(t *testing.T) {
	bodies := make(chan string, 10)
	s := httptest.NewUnstartedServer(nil)
	s.EnableHTTP2 = true
	s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) {
		_, _ = io.ReadFull(c, make([]byte, len(http2.ClientPreface)))
		frames := http2.NewFramer(c, c)
		_ = frames.WriteSettings()
		for {
			frame, err := frames.ReadFrame()
			if err != nil {
				return
			}
			data, ok := frame.(*http2.DataFrame)
			if !ok {
				continue
			}
			bodies <- string(data.Data())
			if len(bodies) == 1 {
				_ = frames.WriteRSTStream(data.StreamID, http2.ErrCodeRefusedStream)
				continue
			}
			_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: data.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true}) // 200
		}
	}}
	s.StartTLS()
	t.Cleanup(s.Close)
	f := newFront(t, routing.Config{Endpoint: parse(t, s.URL+"/mcp"), TLS: routing.TLS{CAFile: authorityOf(t, s)}})
	const body = `{"jsonrpc":"2.0","method":"a"}`
	if status, _ := f.post(t, body); status != http.StatusOK {
		t.Errorf("%d %s", status, f.log)
	}
	close(bodies)
	var got []string
	for b := range bodies {
		got = append(got, b)
	}
	if strings.Join(got, "|") != body+"|"+body {
		t.Errorf("%q", got)
	}
}
