package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	sendTimeout = 10 * time.Second // of one try
	sendTries   = 4
	sendPause   = time.Second // doubles with each try
)

// collector is an otlptrace.Client: it posts spans as OTLP over HTTP has it. The
// one that OpenTelemetry brings links gRPC too, which is 5.5 MB of program for
// what is a POST.
type collector struct {
	url    string
	header http.Header
	client *http.Client
	pause  time.Duration
}

func newCollector(c TracingConfig) (*collector, error) {
	to, err := tracesURL(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: %w", err)
	}
	h := http.Header{"Content-Type": {"application/x-protobuf"}, "User-Agent": {tracerName}}
	for _, one := range c.Headers {
		h.Set(one.Name, one.Value)
	}
	return &collector{to, h, &http.Client{
		Timeout: sendTimeout,
		// A redirect would carry the credential to whom nobody named.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, sendPause}, nil
}

// Start implements otlptrace.Client.
func (c *collector) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *collector) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. What may work later is tried again,
// for as long as ctx lasts.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// The same bytes as an ExportTraceServiceRequest, whose package would bring
	// gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	pause := c.pause
	for try := 1; ; try++ {
		wait, err := c.post(ctx, body)
		if err == nil || wait < 0 || try == sendTries {
			return err
		}
		select {
		case <-time.After(max(wait, pause)):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

// post says with its error how long to wait before the next try, less than
// nothing if there is to be none (OTLP 1.9, OTLP/HTTP Response).
func (c *collector) post(ctx context.Context, body []byte) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	req.Header = c.header.Clone()
	res, err := c.client.Do(req)
	if err != nil {
		return 0, withoutURL(err)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection serves again
	switch res.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After"))
		return time.Duration(min(max(seconds, 0), 30)) * time.Second, statusError(res)
	}
	return -1, statusError(res)
}

func statusError(res *http.Response) error { return fmt.Errorf("it answers %s", res.Status) }

// withoutURL drops the URL that net/http puts before its errors: it may hold a
// key in its query.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
