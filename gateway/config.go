package gateway

import (
	"net/netip"
	"regexp"
	"time"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/tls"
)

// Config is the configuration as Load has checked it: defaults filled in,
// secrets read from their files, hosts in their canonical spelling. Fields are
// named as their keys; config.example.yaml says what each is for.
type Config struct {
	Provider  idp.Config   // as written
	Providers []idp.Config // all of them after Load, Provider first

	TrustedIssuers []TrustedIssuerConfig // whose assertions replace a browser

	Proxy   ProxyConfig
	Server  ServerConfig
	TLS     TLSConfig
	Token   TokenConfig
	Session SessionConfig
	Store   StoreConfig
	Audit   AuditConfig
	Tracing TracingConfig
	Logging LoggingConfig
	Web     WebConfig

	redirectURLs []*regexp.Regexp // proxy.allowedRedirectURLs
	given        map[string]bool  // the keys that somebody wrote, without the indexes of lists
}

// ServerConfig is where the gateway listens, and what it bears.
type ServerConfig struct {
	Addr           string
	HTTPAddr       string // empty: off
	AdminAddr      string // empty: off
	AdminSocket    string // empty: where AdminSocket says
	Scheme         string
	TrustedProxies []netip.Prefix
	ShutdownGrace  time.Duration
	MaxBodyBytes   int64
	HeapFloor      int64 // bytes; 0: off
	Limits         LimitsConfig
}

// LimitsConfig bounds what one client address, or one user, may do; 0 is no limit.
type LimitsConfig struct {
	RegistrationsPerMinute  int
	AuthorizationsPerMinute int
	FailedSigninsPerMinute  int
	StreamsPerUser          int
	RequestsPerMinute       int // of a user
}

// TLSConfig says where certificates come from.
type TLSConfig struct {
	Mode  string // acme, files, selfsigned or off
	ACME  ACMEConfig
	Files []tls.Pair // written as one pair or as a list
}

// ACMEConfig is about the CA of tls.mode acme.
type ACMEConfig struct {
	Email        string
	DirectoryURL string
	AcceptTOS    bool
	EABKeyID     string
	EABMACKey    string `mapstructure:"eabMACKey"`
	CAFile       string
}

// TokenConfig is about access tokens, refresh tokens and the keys that sign.
type TokenConfig struct {
	AccessTTL      time.Duration
	RefreshIdleTTL time.Duration
	RefreshTTL     time.Duration
	KeyRotation    time.Duration
	Algorithm      string // RS256 or ES256
}

// SessionConfig is about who stays signed in.
type SessionConfig struct{ TTL time.Duration }

// StoreConfig says where the gateway keeps what must outlive a request.
type StoreConfig struct {
	URL            string
	KeyFile        string
	ConnectTimeout time.Duration // how long a start waits for the database
	StaleAfter     time.Duration // how long tokens are believed without news of revocations
}

// AuditConfig says where the record of what was allowed to whom goes.
type AuditConfig struct {
	Path      string // empty: standard output
	ToolCalls bool
	Arguments bool          // of tool calls too
	KeyTTL    time.Duration // how long it can be verified
}

// LoggingConfig is about the log.
type LoggingConfig struct {
	Level  string // debug, info, warn or error
	Format string // json or text
}

// TrustedIssuerConfig is an identity provider whose assertions (ID-JAG) are
// taken in place of a browser.
type TrustedIssuerConfig struct {
	IssuerURL string
	Provider  string // the id of the provider whose users these are
}
