//go:build e2e

package e2e

import (
	"bufio"
	stdtls "crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tenMinutes is how many events a stream has that says something every second.
const tenMinutes = 600

// TestManyStreams: every stream gets all of its events in order, while one of
// them is not read at all. LONG=1 opens 2,000.
func TestManyStreams(t *testing.T) {
	n := 500
	if os.Getenv("LONG") != "" {
		n = 2000
	}
	begin := make(chan struct{})
	f := newFleet(t, func(w http.ResponseWriter, r *http.Request) { talk(w, r, begin) })
	empty := f.memory(t, "VmRSS")
	results := make(chan error, n)
	listening := make(chan struct{}, n)
	for i := range n {
		go func() { results <- f.listen(fmt.Sprintf("s%d", i), 20, listening, nil) }()
	}
	// Its events do not fit into what lies between: the server has to wait.
	slow, read := make(chan error, 1), make(chan struct{})
	go func() { slow <- f.listen("slow", 10_000, listening, read) }()
	for range n + 1 {
		select {
		case <-listening:
		case err := <-results:
			t.Fatalf("a stream does not begin: %v", err)
		}
	}
	open := f.memory(t, "VmRSS")
	close(begin)
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	close(read)
	if err := <-slow; err != nil {
		t.Error(err)
	}
	t.Logf("%d streams, %d events: %d kB of the gateway for each stream (TLS and HTTP/1.1 on both sides of it), %d MB at most",
		n, n*tenMinutes, (open-empty)/(n+1), f.memory(t, "VmHWM")>>10)
}

// A fleet is clients of one user, the gateway, and a server that is a function.
type fleet struct {
	*gateway
	client *http.Client
	url    string
	token  string
}

func newFleet(t *testing.T, h http.HandlerFunc) *fleet {
	t.Helper()
	upstream := httptest.NewServer(h)
	t.Cleanup(upstream.Close)
	addr := freeAddr(t)
	a := newAuthority(t)
	host := "notes.example.test:" + port(t, addr)
	origin := "https://" + host
	cert, key := a.issue(t, "notes.example.test")
	g := serve(t, addr, settings{
		"server": settings{"limits": settings{"streamsPerUser": 0}},
		"tls":    settings{"mode": "files", "files": settings{"cert": cert, "key": key}},
		"provider": settings{"name": "oidc", "issuerURL": startProvider(t, origin+"/callback"),
			"clientID": "gateway", "clientSecret": clientSecret, "allowedEmailDomains": []string{`example\.com`}},
		"proxy": settings{"hosts": []settings{{"host": host, "endpoint": upstream.URL + "/mcp"}}},
	})
	v := &visitor{client: a.client(t), types: map[string]string{"login": "ada", "password": "any will do"}}
	f := &fleet{gateway: g, client: a.client(t), url: origin + "/mcp", token: v.signIn(t, origin).Access}
	// A connection for each, as clients on as many machines have.
	f.client.Transport.(*http.Transport).TLSNextProto = map[string]func(string, *stdtls.Conn) http.RoundTripper{}
	f.client.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	t.Cleanup(f.client.CloseIdleConnections)
	return f
}

func (f *fleet) get(query string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, f.url+"?"+query, nil) // it ends with the stream
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+f.token)
	return f.client.Do(req)
}

// talk sends the events of a stream, from when begin is closed.
func talk(w http.ResponseWriter, r *http.Request, begin <-chan struct{}) {
	if r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	c := http.NewResponseController(w)
	pad, _ := strconv.Atoi(r.URL.Query().Get("pad"))
	_, _ = fmt.Fprint(w, ": here\n\n")
	_ = c.Flush()
	select {
	case <-begin:
	case <-r.Context().Done():
	}
	for i := range tenMinutes {
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %s %s\n\n", i, r.URL.Query().Get("name"), strings.Repeat("x", pad)); err != nil {
			return
		}
		_ = c.Flush()
	}
}

// listen opens a stream and reads it to its end, from when read is closed (nil:
// at once). Events may be in between nothing but comments.
func (f *fleet) listen(name string, pad int, listening chan<- struct{}, read <-chan struct{}) error {
	res, err := f.get(fmt.Sprintf("name=%s&pad=%d", name, pad))
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewReader(res.Body)
	if first, err := lines.ReadString('\n'); err != nil || first != ": here\n" {
		return fmt.Errorf("%s: %s begins with %q, %w", name, res.Status, first, err)
	}
	listening <- struct{}{}
	if read != nil {
		<-read
	}
	want, next := fmt.Sprintf("data: %s %s\n", name, strings.Repeat("x", pad)), 0
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if next != tenMinutes {
				return fmt.Errorf("%s: %d events of %d: %w", name, next, tenMinutes, err)
			}
			return nil
		}
		switch {
		case strings.HasPrefix(line, "id: "):
			if line != fmt.Sprintf("id: %d\n", next) {
				return fmt.Errorf("%s: %q where %d is next", name, line, next)
			}
		case strings.HasPrefix(line, "data: "):
			if next++; line != want {
				return fmt.Errorf("%s: %q", name, line)
			}
		case line != "\n" && line != ":\n":
			return fmt.Errorf("%s: %q", name, line)
		}
	}
}

// memory is a number of the kernel about the gateway, in kB.
func (f *fleet) memory(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", name, text)
	}
	kB, _ := strconv.Atoi(string(m[1]))
	return kB
}
