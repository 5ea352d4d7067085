package auth

import (
	"net/http"
	"strings"

	"mcp-oauth2-proxy/auth/access"
	"mcp-oauth2-proxy/auth/clients"

	"github.com/labstack/echo/v4"
)

const (
	resourceMetadataPath = "/.well-known/oauth-protected-resource"
	metadataAge          = "public, max-age=60"
)

// resourceMetadata is RFC 9728 §3. The resource echoes the path that was asked
// about, because clients compare it with the URL they were given.
func (s *Server) resourceMetadata(c echo.Context) error {
	path := strings.TrimPrefix(c.Request().URL.EscapedPath(), resourceMetadataPath)
	resource := s.issuer() + strings.TrimSuffix(path, "/")
	if _, ok := s.Route.Audience(resource); !ok {
		return echo.ErrNotFound
	}
	doc := struct {
		Resource      string   `json:"resource"`
		Servers       []string `json:"authorization_servers"`
		Scopes        []string `json:"scopes_supported,omitempty"`
		BearerMethods []string `json:"bearer_methods_supported"`
		Name          string   `json:"resource_name,omitempty"`
	}{resource, []string{s.issuer()}, s.Route.Catalogue(c.Request().Context()).Names(), []string{"header"}, s.Route.Name}
	return s.document(c, doc)
}

// serverMetadata is RFC 8414 §2 as implemented here.
type serverMetadata struct {
	Issuer                  string   `json:"issuer"`
	AuthorizationEndpoint   string   `json:"authorization_endpoint"`
	TokenEndpoint           string   `json:"token_endpoint"`
	JWKSURI                 string   `json:"jwks_uri"`
	RegistrationEndpoint    string   `json:"registration_endpoint,omitempty"`
	RevocationEndpoint      string   `json:"revocation_endpoint"`
	Scopes                  []string `json:"scopes_supported"`
	ResponseTypes           []string `json:"response_types_supported"`
	ResponseModes           []string `json:"response_modes_supported"`
	GrantTypes              []string `json:"grant_types_supported"`
	TokenAuthMethods        []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms     []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods   []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgorithm []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	CodeChallengeMethods    []string `json:"code_challenge_methods_supported"`
	IssuerInResponse        bool     `json:"authorization_response_iss_parameter_supported"`
	Documents               bool     `json:"client_id_metadata_document_supported"`
	GrantProfiles           []string `json:"authorization_grant_profiles_supported,omitempty"`
}

// openIDMetadata adds what an OpenID discovery document must have (OpenID
// Connect Discovery §3). openid is not among the scopes: no ID tokens are issued.
type openIDMetadata struct {
	serverMetadata
	SubjectTypes      []string `json:"subject_types_supported"`
	IDTokenAlgorithms []string `json:"id_token_signing_alg_values_supported"`
}

func (s *Server) metadata(c echo.Context) serverMetadata {
	at := func(path string) string { return s.issuer() + path }
	methods := []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}
	algorithms := clients.Algorithms()
	m := serverMetadata{
		Issuer: s.issuer(), AuthorizationEndpoint: at("/authorize"), TokenEndpoint: at("/token"),
		JWKSURI: at("/openid/v1/jwks"), RevocationEndpoint: at("/revoke"),
		Scopes:        append(s.Route.Catalogue(c.Request().Context()).Names(), offlineAccess),
		ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		GrantTypes:       []string{"authorization_code", "refresh_token"},
		TokenAuthMethods: methods, TokenAuthAlgorithms: algorithms,
		RevocationAuthMethods: methods, RevocationAuthAlgorithm: algorithms,
		CodeChallengeMethods: []string{"S256"}, IssuerInResponse: true, Documents: s.Documents,
	}
	if s.Registration {
		m.RegistrationEndpoint = at("/register")
	}
	if s.Confidential {
		m.GrantTypes = append(m.GrantTypes, "client_credentials")
	}
	if len(s.Trusted) > 0 {
		m.GrantTypes = append(m.GrantTypes, jwtBearer)
		m.GrantProfiles = []string{idJAGProfile}
	}
	return m
}

func (s *Server) serverMetadata(c echo.Context) error { return s.document(c, s.metadata(c)) }

func (s *Server) openIDConfiguration(c echo.Context) error {
	return s.document(c, openIDMetadata{s.metadata(c), []string{"public"}, []string{"RS256"}})
}

func (s *Server) document(c echo.Context, doc any) error {
	s.note(c, Step{Name: StepMetadata, What: "read " + c.Request().URL.Path})
	c.Response().Header().Set("Cache-Control", metadataAge)
	return c.JSON(http.StatusOK, doc)
}

// keySet is RFC 7517 §5, cached for less than the lead of the next key.
func (s *Server) keySet(c echo.Context) error {
	set, err := s.KeySet(c.Request().Context())
	if err != nil {
		return broken("the key set", err)
	}
	c.Response().Header().Set("Cache-Control", "public, max-age=300")
	return c.Blob(http.StatusOK, "application/json", set)
}

// Challenge tells whoever calls path on this host without a good token where
// to get one (RFC 9728 §5.1). Its scope is the one list of all places.
func (s *Server) Challenge(c echo.Context, path string) access.Challenge {
	return access.Challenge{
		ResourceMetadata: s.issuer() + resourceMetadataPath + strings.TrimSuffix(path, "/"),
		Scope:            strings.Join(s.Route.Catalogue(c.Request().Context()).Names(), " "),
	}
}
