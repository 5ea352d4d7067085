package idp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// signingAlgs are the algorithms an ID token may be signed with, if the
// provider names them too: none that the client secret could forge.
var signingAlgs = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512,
	oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// A discovery finds out about a provider at its first use and remembers it. A
// failure is not remembered. Concurrent callers share one request.
type discovery struct {
	issuer string
	client *http.Client
	log    *slog.Logger
	known  atomic.Pointer[discovered]
	flight singleflight.Group
}

// discovered is what a discovery document says, as far as we use it.
type discovered struct {
	Issuer      string   `json:"issuer"`
	AuthURL     string   `json:"authorization_endpoint"`
	TokenURL    string   `json:"token_endpoint"`
	UserInfoURL string   `json:"userinfo_endpoint"`
	JWKSURL     string   `json:"jwks_uri"`
	Algs        []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SendsIss    bool     `json:"authorization_response_iss_parameter_supported"`
	Prompts     []string `json:"prompt_values_supported"`

	keys *oidc.RemoteKeySet
}

// get returns the metadata, or an error that is ErrUnavailable.
func (d *discovery) get(ctx context.Context) (*discovered, error) {
	if m := d.known.Load(); m != nil {
		return m, nil
	}
	// Not the context of whoever came first: the others wait for this, too.
	shared := context.WithoutCancel(ctx)
	result := d.flight.DoChan("", func() (any, error) {
		if m := d.known.Load(); m != nil { // found between the look above and here
			return m, nil
		}
		return d.fetch(shared)
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: discover %s: %w", ErrUnavailable, d.issuer, ctx.Err())
	case r := <-result:
		if r.Err != nil {
			return nil, fmt.Errorf("%w: discover %s: %w", ErrUnavailable, d.issuer, r.Err)
		}
		return r.Val.(*discovered), nil
	}
}

func (d *discovery) fetch(ctx context.Context) (*discovered, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var m discovered
	wellKnown := strings.TrimSuffix(d.issuer, "/") + "/.well-known/openid-configuration"
	if err := getJSON(ctx, d.client, wellKnown, "", &m); err != nil {
		return nil, err
	}
	if m.Issuer != d.issuer {
		return nil, fmt.Errorf("it calls itself %q; issuerURL has to be spelled like that", m.Issuer)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	m.Algs = m.algs()
	if len(m.Algs) == 0 {
		return nil, fmt.Errorf("it signs ID tokens with none of %s", strings.Join(signingAlgs, ", "))
	}
	m.keys = oidc.NewRemoteKeySet(oidc.ClientContext(ctx, d.client), m.JWKSURL)
	d.known.Store(&m)
	d.log.DebugContext(ctx, "discovered an OpenID provider", slog.String("issuer", d.issuer))
	return &m, nil
}

// check holds the endpoints to the same rule as the issuer: codes, secrets and
// keys do not travel in clear.
func (m *discovered) check() error {
	for name, endpoint := range map[string]string{
		"authorization_endpoint": m.AuthURL,
		"token_endpoint":         m.TokenURL,
		"jwks_uri":               m.JWKSURL,
		"userinfo_endpoint":      m.UserInfoURL,
	} {
		if endpoint == "" && name == "userinfo_endpoint" {
			continue
		}
		if u, err := url.Parse(endpoint); err != nil || !secureURL(u) {
			return fmt.Errorf("its %s is not an https URL", name)
		}
	}
	return nil
}

func (m *discovered) algs() []string {
	if len(m.Algs) == 0 {
		return []string{oidc.RS256} // OpenID Connect Core §3.1.3.7
	}
	return slices.DeleteFunc(slices.Clone(signingAlgs), func(alg string) bool {
		return !slices.Contains(m.Algs, alg)
	})
}

// endpoint says how the client proves itself. x/oauth2 would try both ways,
// which spends the code on the first.
func (m *discovered) endpoint() oauth2.Endpoint {
	style := oauth2.AuthStyleInHeader
	basic := slices.Contains(m.AuthMethods, "client_secret_basic")
	if !basic && slices.Contains(m.AuthMethods, "client_secret_post") {
		style = oauth2.AuthStyleInParams
	}
	return oauth2.Endpoint{AuthURL: m.AuthURL, TokenURL: m.TokenURL, AuthStyle: style}
}
