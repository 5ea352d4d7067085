package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	fetchTime     = 5 * time.Second // for all of it, names to last byte
	fetchesAtHost = 4               // at once
	fetchRate     = 10              // a second, at all hosts together
	fetchBurst    = 20
	maxHeader     = 16 << 10
)

// guardedClient is the one client that fetches what strangers name. Every
// fetch dials, and every dial is checked; a proxy would dial for us unchecked,
// so the environment's is not asked.
func guardedClient(resolver *net.Resolver) *http.Client {
	dialer := &net.Dialer{Timeout: fetchTime, Control: guardDial, Resolver: resolver}
	return &http.Client{Transport: &http.Transport{
		DialContext:            dialer.DialContext,
		DisableKeepAlives:      true,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    fetchTime,
		MaxResponseHeaderBytes: maxHeader,
	}}
}

// errPassing marks faults that may be gone in a moment; all others are the
// client's own and stay until it changes its document.
var errPassing = errors.New("a passing fault")

// A fetcher gets small JSON texts from untrusted places, not too many at once.
type fetcher struct {
	client *http.Client
	all    *rate.Limiter
	now    func() time.Time

	mu    sync.Mutex
	hosts map[string]int // fetches under way
}

func newFetcher(client *http.Client, now func() time.Time) *fetcher {
	if client == nil {
		client = guardedClient(nil)
	}
	own := *client // so that the rules below hold for a test's client, too
	own.Timeout = fetchTime
	own.Jar = nil
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &fetcher{client: &own, all: rate.NewLimiter(fetchRate, fetchBurst), now: now, hosts: make(map[string]int)}
}

// fetched is a text and for how long it may be kept.
type fetched struct {
	body []byte
	keep time.Duration
}

// get fetches a JSON text of at most limit bytes from an https URL.
func (f *fetcher) get(ctx context.Context, address string, limit int64) (fetched, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil || req.URL.Scheme != "https" {
		return fetched{}, errors.New("fetch: not an https URL")
	}
	leave, err := f.enter(req.URL)
	if err != nil {
		return fetched{}, err
	}
	defer leave()
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity") // said by us, nothing is inflated behind our back
	req.Header.Set("User-Agent", "mcp-oauth2-proxy")
	res, err := f.client.Do(req)
	if err != nil {
		return fetched{}, fetchError(err)
	}
	defer res.Body.Close()
	return f.read(res, limit)
}

// enter takes a place among the fetches under way.
func (f *fetcher) enter(u *url.URL) (leave func(), err error) {
	host := strings.ToLower(u.Host)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hosts[host] >= fetchesAtHost {
		return nil, fmt.Errorf("fetch: %w: %d fetches from that host are under way", errPassing, fetchesAtHost)
	}
	if !f.all.AllowN(f.now(), 1) {
		return nil, fmt.Errorf("fetch: %w: too many fetches at this time", errPassing)
	}
	f.hosts[host]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.hosts[host]--; f.hosts[host] == 0 {
			delete(f.hosts, host)
		}
	}, nil
}

// fetchError sorts faults of the network. A name that does not exist and one
// that leads inside are one kind, or the answer would map our network.
func fetchError(err error) error {
	var dns *net.DNSError
	if errors.Is(err, errSpecialUse) || errors.As(err, &dns) && dns.IsNotFound {
		return fmt.Errorf("fetch: %w", err)
	}
	return fmt.Errorf("fetch: %w: %w", errPassing, err)
}

// read takes 200 for success and nothing else (C9).
func (f *fetcher) read(res *http.Response, limit int64) (fetched, error) {
	if res.StatusCode != http.StatusOK {
		err := fmt.Errorf("fetch: status %d is not 200", res.StatusCode)
		if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
			err = fmt.Errorf("%w: %w", errPassing, err)
		}
		return fetched{}, err
	}
	if !isJSON(res.Header.Get("Content-Type")) {
		return fetched{}, fmt.Errorf("fetch: content type %.100q is not JSON", res.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return fetched{}, fetchError(err)
	}
	if int64(len(body)) > limit {
		return fetched{}, fmt.Errorf("fetch: the text is longer than %d bytes", limit)
	}
	return fetched{body, lifetime(res.Header, f.now())}, nil
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}
