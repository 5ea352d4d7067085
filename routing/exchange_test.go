package routing_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
)

// What an exchange keeps for the next one is never seen there: of many callers
// at once, whose requests end in every way, the MCP server hears of each what is
// its own and nothing else, and each gets its own answer.
func TestNoRequestIsMistakenForAnother(t *testing.T) {
	c := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-Way") {
		case "early": // before it has read a body that is too large for a hop
			w.Header().Set("Connection", "close")
		case "broken":
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, "half of it")
			panic(http.ErrAbortHandler)
		case "streamed":
			_ = http.NewResponseController(w).Flush()
		case "slow":
			time.Sleep(time.Millisecond)
		}
		r.Header.Set("X-Query", r.URL.RawQuery)
		_ = json.NewEncoder(w).Encode(r.Header)
	})
	f := newFront(t, c, func(o *routing.Options) {
		o.SessionKey = []byte("0123456789abcdef0123456789abcdef")
		o.OnError = func(w http.ResponseWriter, _ *http.Request, status int, _ error) { w.WriteHeader(status) }
	})
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Name")
		f.route.Forward(w, r, routing.NewCaller(routing.Identity{Subject: name, ClientID: "c-" + name}))
	})
	ways := []string{"", "", "", "early", "broken", "streamed", "slow"}
	var good, bad atomic.Int32
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(g), 7))
			for i := range 100 {
				name := fmt.Sprintf("n%dx%d", g, i)
				ctx, cancel := context.WithCancel(t.Context())
				if dice.IntN(5) == 0 {
					time.AfterFunc(time.Duration(dice.IntN(2000))*time.Microsecond, cancel)
				}
				size := 10
				if dice.IntN(4) == 0 {
					size = 100_000
				}
				req, _ := http.NewRequestWithContext(ctx, http.MethodPost, f.URL+"/mcp?q="+name, strings.NewReader(strings.Repeat("x", size)))
				req.Header.Set("X-Name", name)
				req.Header.Set("X-Way", ways[dice.IntN(len(ways))])
				only := "X-Only-" + name
				req.Header.Set(only, name)
				if dice.IntN(3) == 0 { // it is nobody's, so the request is refused
					req.Header.Set("Mcp-Session-Id", "stolen")
				}
				got, ok := headersOf(req)
				cancel()
				if !ok {
					bad.Add(1)
					continue
				}
				good.Add(1)
				for _, want := range []string{"X-Name", "X-Forwarded-User", "X-Only-N" + name[1:]} {
					if got.Get(want) != name {
						t.Errorf("%s: %s is %q", name, want, got[want])
					}
				}
				if got.Get("X-Forwarded-Client-Id") != "c-"+name || got.Get("X-Query") != "q="+name || got.Get("Mcp-Session-Id") != "" {
					t.Errorf("%s: %v", name, got)
				}
				for n := range got {
					if strings.HasPrefix(n, "X-Only-") && got.Get(n) != name {
						t.Errorf("%s: the server was told %s", name, n)
					}
				}
			}
		})
	}
	all.Wait()
	if good.Load() < 500 || bad.Load() < 300 {
		t.Errorf("%d went through, %d did not: the server is not what it should be", good.Load(), bad.Load())
	}
}

// headersOf is what an MCP server says that it was told.
func headersOf(req *http.Request) (http.Header, bool) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, false
	}
	defer res.Body.Close()
	var h http.Header
	err = json.NewDecoder(res.Body).Decode(&h)
	return h, err == nil && res.StatusCode == http.StatusOK && h != nil
}
