package gateway

import (
	"time"

	"mcp-oauth2-proxy/routing"
)

// ProxyConfig is what the gateway stands in front of, and for which clients.
type ProxyConfig struct {
	Hosts                []HostConfig
	CallbackHost         string // canonical after Load; empty: every host has its own
	DisableConsentScreen bool
	AllowedRedirectURLs  []string
	AllowedOrigins       []string
	CORS                 bool
	Registration         RegistrationConfig
	Clients              []ClientConfig
}

// RegistrationConfig says how clients that nobody configured become known.
type RegistrationConfig struct {
	Dynamic           bool
	MetadataDocuments bool
}

// HostConfig is one public host and the MCP server behind it.
type HostConfig struct {
	Host            string // canonical after Load
	Endpoint        string // empty: nothing is proxied
	Name            string // the host, if none was given
	Paths           []string
	Allow           AllowConfig
	Public          bool
	Authorization   string // forward, none or the value to send
	Headers         []HeaderConfig
	IdentityHeaders bool
	PreserveHost    bool
	Scopes          []ScopeConfig // nil: what the MCP server advertises
	EnforceScopes   bool
	ToolsList       string        // all or granted
	UnscopedTools   string        // allow or deny
	SSEKeepAlive    time.Duration // 0: never
	PinTools        bool
	Pinnable        []PinnableConfig
	CAFile          string // empty: the system's authorities
	ClientCert      string // empty: none is shown
	ClientKey       string
	ServerName      string // empty: that of the endpoint
}

// trust is how the endpoint is believed, where it is https.
func (h HostConfig) trust() routing.TLS {
	return routing.TLS{CAFile: h.CAFile, ClientCert: h.ClientCert, ClientKey: h.ClientKey, ServerName: h.ServerName}
}

// AllowConfig narrows the rules of the provider for one host.
type AllowConfig struct {
	Users        []string
	EmailDomains []string
	Groups       []string
}

// HeaderConfig is added to what goes upstream.
type HeaderConfig struct{ Name, Value string }

// ScopeConfig takes the place of what the MCP server advertises.
type ScopeConfig struct {
	Name        string
	Description string
	Tools       []string
}

// PinnableConfig is an argument that people may pin to a value.
type PinnableConfig struct {
	Tool     string
	Argument string
}

// ClientConfig is a client that the operator knows.
type ClientConfig struct {
	ClientID     string
	ClientSecret string
	JWKS         string // public keys, for private_key_jwt instead of a secret
	Name         string
	RedirectURIs []string
	Grants       []string
}
