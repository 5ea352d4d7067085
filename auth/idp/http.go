package idp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"
)

const (
	callTimeout = 10 * time.Second // one request to a provider
	flowTimeout = 30 * time.Second // everything that one sign-in asks
	maxAnswer   = 1 << 20
	maxPages    = 50 // of a list; beyond it something goes round in circles
)

var errTooLarge = errors.New("the answer is larger than 1 MiB")

// bounded returns a client whose requests end in time, whose answers end, and
// which goes nowhere but where it was sent: a redirect would carry secrets to
// whom the operator did not name.
func bounded(base *http.Client) *http.Client {
	c := &http.Client{Transport: http.DefaultTransport, Timeout: callTimeout}
	if base != nil && base.Transport != nil {
		c.Transport = base.Transport
	}
	if base != nil && base.Timeout > 0 && base.Timeout < callTimeout {
		c.Timeout = base.Timeout
	}
	c.Transport = limited{c.Transport}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = &limitedBody{ReadCloser: res.Body, left: maxAnswer}
	return res, nil
}

// limitedBody fails where io.LimitReader would pretend that the answer ended.
type limitedBody struct {
	io.ReadCloser
	left int
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// A statusError is an answer other than 200. It holds no body: what a provider
// writes there may be anything, a token included.
type statusError struct {
	url    string // without the query
	status int
	header http.Header
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s answers %d %s", e.url, e.status, http.StatusText(e.status))
	if e.status >= 300 && e.status < 400 {
		text += ", a redirect, which is not followed"
	}
	return text
}

// isStatus tells whether err is an answer with that status.
func isStatus(err error, status int) bool {
	var e *statusError
	return errors.As(err, &e) && e.status == status
}

// getJSON reads what address answers into v, with token as the bearer if it is not
// empty.
func getJSON(ctx context.Context, client *http.Client, address, token string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	_, err = doJSON(client, req, token, v)
	return err
}

// doJSON is getJSON for any request; the header is that of the answer.
func doJSON(client *http.Client, req *http.Request, token string, v any) (http.Header, error) {
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	req.Header.Set("User-Agent", "mcp-oauth2-proxy") // GitHub refuses requests without one
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	plain := *req.URL
	plain.RawQuery = ""
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", plain.Redacted(), withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return res.Header, fmt.Errorf("read the answer of %s: %w", plain.Redacted(), err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return res.Header, &statusError{plain.Redacted(), res.StatusCode, res.Header}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return res.Header, fmt.Errorf("%s answers %s that is not the JSON expected", plain.Redacted(), contentType(res.Header))
	}
	return res.Header, nil
}

func contentType(h http.Header) string {
	if t, _, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil {
		return t
	}
	return "something"
}

// withoutURL drops the URL that net/http puts before its errors: its query may
// hold what is nobody's business.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
