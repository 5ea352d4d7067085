package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A publisher is a real server that shows client metadata documents.
type publisher struct {
	*httptest.Server
	hits  atomic.Int64
	serve atomic.Pointer[http.HandlerFunc]
}

func newPublisher(t testing.TB) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.hits.Add(1)
		(*p.serve.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	p.show(func(w http.ResponseWriter, r *http.Request) { p.document(w, r, "") })
	return p
}

func (p *publisher) show(h http.HandlerFunc) { p.serve.Store(&h) }

func (p *publisher) id() string { return p.URL + "/client.json" }

// document writes a valid document with more members.
func (p *publisher) document(w http.ResponseWriter, r *http.Request, more string) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	fmt.Fprintf(w, `{"client_id":%q,"client_name":"Published","redirect_uris":["https://client.example/cb"]%s}`, p.URL+r.URL.Path, more)
}

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return noon.Add(time.Duration(c.at.Load())) }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

func documentRegistry(t testing.TB, p *publisher) (*Registry, *clock) {
	c := &clock{}
	return newRegistry(t, func(o *Options) { o.Client, o.Now = p.Client(), c.now }), c
}

func TestDocumentIsFetched(t *testing.T) {
	p := newPublisher(t)
	r, _ := documentRegistry(t, p)
	for _, issuer := range []string{issuer, "https://mail.example.com"} {
		c, err := r.Lookup(t.Context(), issuer, p.id())
		if err != nil {
			t.Fatalf("C1, C18 at %s: %v", issuer, err)
		}
		if c.Name != "Published" || c.Kind != KindDocument || c.Host != "127.0.0.1" {
			t.Errorf("C1: got %+v", c)
		}
		if _, err := c.Redirect("https://other.example/cb"); err == nil {
			t.Error("C5: a redirect URI that is not in the document")
		}
	}
	if p.hits.Load() != 1 {
		t.Errorf("C7: fetched %d times", p.hits.Load())
	}
}

func TestDocumentsCanBeTurnedOff(t *testing.T) {
	p := newPublisher(t)
	r := newRegistry(t, func(o *Options) { o.Client, o.Documents = p.Client(), false })
	_, err := r.Lookup(t.Context(), issuer, p.id())
	refusedWith(t, err, InvalidClient)
	if p.hits.Load() != 0 {
		t.Error("fetched all the same")
	}
}

func TestDocumentThatCannotBeHad(t *testing.T) {
	p := newPublisher(t)
	target := newPublisher(t)
	for name, tc := range map[string]struct {
		code string
		show http.HandlerFunc
	}{
		"C8 gone":                      {InvalidClient, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }},
		"C8 the server is ill":         {TemporarilyUnavailable, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }},
		"C8 the server is busy":        {TemporarilyUnavailable, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(429) }},
		"C8 the connection breaks":     {TemporarilyUnavailable, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
		"C9 201 is not 200":            {InvalidClient, func(w http.ResponseWriter, r *http.Request) { jsonHeader(w); w.WriteHeader(201); p.document(w, r, "") }},
		"C9 203 is not 200":            {InvalidClient, func(w http.ResponseWriter, r *http.Request) { jsonHeader(w); w.WriteHeader(203); p.document(w, r, "") }},
		"C9 a redirect is not gone to": {InvalidClient, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.id(), 302) }},
		"C9 nor a permanent one":       {InvalidClient, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.id(), 308) }},
		"C11 HTML": {InvalidClient, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			p.document(w, r, "")
		}},
		"C11 no content type": {InvalidClient, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = nil
			fmt.Fprint(w, `{"client_id":"`+p.id()+`","client_name":"P","redirect_uris":["https://client.example/cb"]}`)
		}},
		"C11 too large": {InvalidClient, func(w http.ResponseWriter, r *http.Request) {
			p.document(w, r, `,"x":"`+strings.Repeat("x", 5<<10)+`"`)
		}},
		"C11 compressed to be small": {InvalidClient, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			writeJSON(w, "\x1f\x8b")
		}},
		"C3 another client_id": {InvalidClient, func(w http.ResponseWriter, r *http.Request) { r.URL.Path = "/other.json"; p.document(w, r, "") }},
		"C4 not JSON":          {InvalidClient, func(w http.ResponseWriter, r *http.Request) { writeJSON(w, "{") }},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := documentRegistry(t, p)
			p.show(tc.show)
			_, err := r.Lookup(t.Context(), issuer, p.id())
			refusedWith(t, err, tc.code)

			// C7: an error is not remembered.
			p.show(func(w http.ResponseWriter, r *http.Request) { p.document(w, r, "") })
			if _, err := r.Lookup(t.Context(), issuer, p.id()); err != nil {
				t.Errorf("C7: after the fault was mended: %v", err)
			}
		})
	}
	if target.hits.Load() != 0 {
		t.Error("C9: a redirect was followed")
	}
}

func jsonHeader(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
}

func writeJSON(w http.ResponseWriter, text string) {
	jsonHeader(w)
	fmt.Fprint(w, text)
}

func TestDocumentTypeMayBeOfItsOwn(t *testing.T) {
	p := newPublisher(t)
	p.show(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/cimd+json")
		p.document(w, r, "")
	})
	r, _ := documentRegistry(t, p)
	if _, err := r.Lookup(t.Context(), issuer, p.id()); err != nil {
		t.Errorf("C11: %v", err)
	}
}

func TestDocumentLifetime(t *testing.T) {
	for name, tc := range map[string]struct {
		header       http.Header
		keeps, fades time.Duration // still kept after keeps, fetched again after fades
	}{
		"C7 max-age":                     {http.Header{"Cache-Control": {"public, max-age=3600"}}, 59 * time.Minute, time.Hour},
		"C7 s-maxage goes first":         {http.Header{"Cache-Control": {"max-age=60", "s-maxage=7200"}}, 119 * time.Minute, 2 * time.Hour},
		"C7 Age was spent on the way":    {http.Header{"Cache-Control": {"max-age=3600"}, "Age": {"1800"}}, 29 * time.Minute, 30 * time.Minute},
		"C7 Expires":                     {http.Header{"Expires": {"Tue, 24 Nov 2026 13:00:00 GMT"}, "Date": {"Tue, 24 Nov 2026 12:00:00 GMT"}}, 59 * time.Minute, time.Hour},
		"C7 never more than a day":       {http.Header{"Cache-Control": {"max-age=31536000, immutable"}}, 24*time.Hour - time.Second, 24 * time.Hour},
		"C7 not even with a huge number": {http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, 24*time.Hour - time.Second, 24 * time.Hour},
		"C7 never less than a minute":    {http.Header{"Cache-Control": {"max-age=0, must-revalidate"}}, 59 * time.Second, time.Minute},
		"C7 Expires that is no date":     {http.Header{"Expires": {"0"}}, 59 * time.Second, time.Minute},
		"C7 a max-age that is no number": {http.Header{"Cache-Control": {"max-age=-5"}}, 59 * time.Second, time.Minute},
		"C7 nothing said":                {http.Header{}, 10*time.Minute - time.Second, 10 * time.Minute},
		"C7 no-store":                    {http.Header{"Cache-Control": {"no-store, max-age=3600"}}, -1, 0},
		"C7 no-cache":                    {http.Header{"Cache-Control": {"No-Cache"}}, -1, 0},
		"C7 private":                     {http.Header{"Cache-Control": {`private="x"`}}, -1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			p.show(func(w http.ResponseWriter, r *http.Request) {
				for name, values := range tc.header {
					w.Header()[name] = values
				}
				p.document(w, r, "")
			})
			r, clock := documentRegistry(t, p)
			look := func() int64 {
				if _, err := r.Lookup(t.Context(), issuer, p.id()); err != nil {
					t.Fatal(err)
				}
				return p.hits.Load()
			}
			look()
			if tc.keeps >= 0 {
				clock.forward(tc.keeps)
				if look() != 1 {
					t.Errorf("fetched again within %v", tc.keeps)
				}
				clock.forward(tc.fades - tc.keeps)
			}
			if look() != 2 {
				t.Errorf("not fetched again after %v", tc.fades)
			}
		})
	}
}

func TestDocumentIsFetchedOnceForAll(t *testing.T) {
	p := newPublisher(t)
	open := make(chan struct{})
	arrived := make(chan struct{}, 1)
	p.show(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-open
		w.Header().Set("Cache-Control", "no-store")
		p.document(w, r, "")
	})
	r, _ := documentRegistry(t, p)

	// The first of them leaves while the fetch is under way; the others stay.
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() { _, err := r.Lookup(ctx, issuer, p.id()); left <- err }()
	<-arrived
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := r.Lookup(t.Context(), issuer, p.id()); err != nil {
				t.Errorf("C11: %v", err)
			}
		})
	}
	leave()
	refusedWith(t, <-left, TemporarilyUnavailable)
	close(open)
	wait.Wait()
	// Those that came after the first fetch was over made another.
	if hits := p.hits.Load(); hits > 2 {
		t.Errorf("C11: fetched %d times", hits)
	}
}

func TestFetchesAreLimited(t *testing.T) {
	p := newPublisher(t)
	t.Run("C11 so many at all hosts together", func(t *testing.T) {
		r, clock := documentRegistry(t, p)
		for i := range fetchBurst {
			if _, err := r.Lookup(t.Context(), issuer, fmt.Sprintf("%s/%d", p.URL, i)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := r.Lookup(t.Context(), issuer, p.id())
		refusedWith(t, err, TemporarilyUnavailable)
		clock.forward(time.Second)
		if _, err := r.Lookup(t.Context(), issuer, p.id()); err != nil {
			t.Errorf("a second later: %v", err)
		}
	})
	t.Run("C11 so many at one host at once", func(t *testing.T) {
		open, arrived := make(chan struct{}), make(chan struct{})
		p.show(func(w http.ResponseWriter, r *http.Request) {
			arrived <- struct{}{}
			<-open
			p.document(w, r, "")
		})
		r, _ := documentRegistry(t, p)
		var wait sync.WaitGroup
		for i := range fetchesAtHost {
			wait.Go(func() {
				if _, err := r.Lookup(t.Context(), issuer, fmt.Sprintf("%s/%d", p.URL, i)); err != nil {
					t.Error(err)
				}
			})
			<-arrived
		}
		_, err := r.Lookup(t.Context(), issuer, p.id())
		refusedWith(t, err, TemporarilyUnavailable)
		close(open)
		wait.Wait()
		if n := len(r.documents.fetcher.hosts); n != 0 {
			t.Errorf("%d hosts are still counted", n)
		}
	})
}

func TestFetchesEnd(t *testing.T) {
	p := newPublisher(t)
	done := make(chan struct{})
	defer close(done)
	p.show(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, " ")
		w.(http.Flusher).Flush()
		<-done // a text that never ends
	})
	r, _ := documentRegistry(t, p)
	r.documents.fetcher.client.Timeout = 50 * time.Millisecond
	_, err := r.Lookup(t.Context(), issuer, p.id())
	refusedWith(t, err, TemporarilyUnavailable)
	if newFetcher(nil, time.Now).client.Timeout != 5*time.Second {
		t.Error("C11: the time limit is not five seconds")
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache[int]()
	for i := range 3 * maxCached {
		c.put(fmt.Sprint(i), i, noon, time.Hour+time.Duration(i))
	}
	if len(c.entries) != maxCached {
		t.Errorf("C11: %d entries", len(c.entries))
	}
	if _, _, ok := c.get(fmt.Sprint(3*maxCached-1), noon); !ok {
		t.Error("the last one in is gone")
	}
	c.put("after", 1, noon.Add(2*time.Hour), time.Hour)
	if len(c.entries) != 1 {
		t.Errorf("%d entries, of which all but one have ended", len(c.entries))
	}
}

func TestPanicInAFetchStaysInside(t *testing.T) {
	r := newRegistry(t, nil)
	_, err := share(t.Context(), &r.documents.flights, "x", func(context.Context) (int, error) { panic("parser") })
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
