package mcp

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

var errTooMuch = errors.New("the server answers too much")

// A meter is the connection to a server that is not trusted to be brief: it
// adds the headers, counts the bytes, and notes whether anybody answered.
type meter struct {
	next     http.RoundTripper
	header   http.Header
	left     int64 // atomic
	replies  atomic.Int64
	failures atomic.Int64
}

// RoundTrip sends one request.
func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	if len(m.header) > 0 {
		req = req.Clone(req.Context())
		for name, values := range m.header {
			if http.CanonicalHeaderKey(name) == "Host" && len(values) > 0 {
				req.Host = values[0]
				continue
			}
			req.Header[name] = values
		}
	}
	next := m.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(req)
	if err != nil {
		m.failures.Add(1)
		return nil, err
	}
	if res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests {
		m.failures.Add(1)
	} else {
		m.replies.Add(1)
	}
	res.Body = &metered{ReadCloser: res.Body, meter: m}
	return res, nil
}

func (m *meter) over() bool { return atomic.LoadInt64(&m.left) < 0 }

// answered tells whether the server was there all the time.
func (m *meter) answered() bool {
	return m.replies.Load() > 0 && m.failures.Load() == 0 && !m.over()
}

// metered is a body that counts.
type metered struct {
	io.ReadCloser
	meter *meter
}

// Read stops where too much was read, over all answers.
func (b *metered) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if atomic.AddInt64(&b.meter.left, -int64(n)) < 0 {
		return 0, errTooMuch
	}
	if err != nil && err != io.EOF {
		b.meter.failures.Add(1)
	}
	return n, err
}
