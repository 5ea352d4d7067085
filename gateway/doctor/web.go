package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

const (
	maxBody      = 1 << 20 // of an answer; metadata documents and lists of tools are far below
	maxRedirects = 5
	userAgent    = "mcp-oauth2-proxy-doctor"
)

// web is how the doctor speaks HTTP: bounded in size and time, and following no
// redirect by itself, for a redirect is an answer to be judged.
type web struct {
	transport *http.Transport
	patience  time.Duration
	known     map[string]*answer
}

// An answer is what came back, read to its end.
type answer struct {
	url    *url.URL
	status int
	header http.Header
	body   []byte
	err    error // nothing came back; the rest is empty
}

func newWeb(o Options) *web {
	return &web{
		patience: o.Patience,
		known:    map[string]*answer{},
		transport: &http.Transport{
			DialContext:         o.Dial,
			TLSClientConfig:     &tls.Config{RootCAs: o.CA, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: o.Patience,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 4,
		},
	}
}

func (w *web) close() { w.transport.CloseIdleConnections() }

// client sends requests; jar may be nil.
func (w *web) client(jar http.CookieJar) *http.Client {
	return &http.Client{Transport: w.transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// send sends one request and reads the answer.
func (w *web) send(req *http.Request, jar http.CookieJar) *answer {
	ctx, cancel := context.WithTimeoutCause(req.Context(), w.patience, fmt.Errorf("no answer within %s", w.patience))
	defer cancel()
	req.Header.Set("User-Agent", userAgent)
	res, err := w.client(jar).Do(req.WithContext(ctx))
	if err != nil {
		return &answer{url: req.URL, header: http.Header{}, err: short(err)}
	}
	defer res.Body.Close()
	body, err := readReply(res)
	if err != nil {
		return &answer{url: req.URL, header: http.Header{}, err: short(err)}
	}
	return &answer{url: req.URL, status: res.StatusCode, header: res.Header, body: body}
}

// readReply reads a body; of a stream only the first message, for the stream
// may never end.
func readReply(res *http.Response) ([]byte, error) {
	if mediaType(res.Header) == "text/event-stream" {
		return firstMessage(res.Body)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if len(body) > maxBody {
		return nil, fmt.Errorf("the answer is larger than %d bytes", maxBody)
	}
	return body, err
}

// request builds one; body may be nil.
func (w *web) request(ctx context.Context, method, address string, body []byte, header ...string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return req, nil
}

// do builds and sends a request. header is names and values in turn.
func (w *web) do(ctx context.Context, method, address string, body []byte, header ...string) *answer {
	req, err := w.request(ctx, method, address, body, header...)
	if err != nil {
		return &answer{url: &url.URL{}, header: http.Header{}, err: err}
	}
	return w.send(req, nil)
}

// fetch gets a document, following redirects within its origin as clients do.
// What was fetched with the same headers is not fetched again.
func (w *web) fetch(ctx context.Context, address string, header ...string) *answer {
	key := strings.Join(append([]string{address}, header...), "\n")
	if a, ok := w.known[key]; ok {
		return a
	}
	a := w.do(ctx, http.MethodGet, address, nil, header...)
	for range maxRedirects {
		to := a.leads()
		if to == nil || to.Scheme != a.url.Scheme || to.Host != a.url.Host {
			break
		}
		a = w.do(ctx, http.MethodGet, to.String(), nil, header...)
	}
	w.known[key] = a
	return a
}

// form posts a form.
func (w *web) form(ctx context.Context, address string, form url.Values, header ...string) *answer {
	return w.do(ctx, http.MethodPost, address, []byte(form.Encode()),
		append([]string{"Content-Type", "application/x-www-form-urlencoded", "Accept", jsonType}, header...)...)
}

// newJar is the cookies of a browser that was never here.
func newJar() http.CookieJar {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // it has no way to fail without options
	}
	return jar
}

// leads is where a redirect goes; nil if it is none.
func (a *answer) leads() *url.URL {
	if a.status/100 != 3 {
		return nil
	}
	to, err := a.url.Parse(a.header.Get("Location"))
	if err != nil || a.header.Get("Location") == "" {
		return nil
	}
	return to
}

// String says what came back in a few words, none of them of the body.
func (a *answer) String() string {
	switch to := a.leads(); {
	case a.err != nil:
		return a.err.Error()
	case to != nil:
		return fmt.Sprintf("%d to %s", a.status, bare(to))
	case mediaType(a.header) == "text/html":
		return fmt.Sprintf("%d with an HTML page", a.status)
	}
	return fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
}

// bare is a URL without what may be secret in it.
func bare(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// short takes the request out of an error: its URL may hold what is secret.
func short(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err
}
