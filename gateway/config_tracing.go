package gateway

import (
	"errors"
	"net/url"

	"golang.org/x/net/http/httpguts"
)

// TracingConfig says where traces go.
type TracingConfig struct {
	Endpoint    string // empty: nowhere
	SampleRatio float64
	Headers     []HeaderConfig
}

func (c *Config) checkTracing(f *configFaults) {
	t := c.Tracing
	if _, err := tracesURL(t.Endpoint); t.Endpoint != "" && err != nil {
		f.add("tracing.endpoint: %w", err)
	}
	if !(t.SampleRatio >= 0 && t.SampleRatio <= 1) { // NaN is neither
		f.add("tracing.sampleRatio: %g is not between 0 and 1", t.SampleRatio)
	}
	for i, h := range t.Headers {
		at := indexKey("tracing.headers", i)
		if !httpguts.ValidHeaderFieldName(h.Name) {
			f.add("%s.name: %q is not the name of a header", at, h.Name)
		}
		if h.Value == "" || !httpguts.ValidHeaderFieldValue(h.Value) {
			f.add("%s.value: is missing (or valueFile), or holds what a header cannot", at)
		}
	}
}

// tracesURL is where spans are posted to. The collector's address stands for
// the path that the protocol has for them.
func tracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
		return "", errors.New("is not an http or https URL") // not shown: it may hold a password
	}
	if u.User != nil {
		return "", errors.New("holds a user; put the credential into tracing.headers")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}
