package idp

import (
	"net"
	"net/url"
	"strings"
)

// The providers there are.
const (
	nameGoogle    = "google"
	nameGitHub    = "github"
	nameMicrosoft = "microsoft"
	nameOIDC      = "oidc"
	nameLocal     = "local"
)

// Config is one entry of `provider` or `providers`, with its secrets read.
type Config struct {
	Name         string
	ID           string
	DisplayName  string
	ClientID     string
	ClientSecret string
	IssuerURL    string
	Tenant       string
	Organization string
	Workspace    bool
	// WorkspaceAdmin is the administrator in whose name the service account
	// asks the directory (domain-wide delegation). Empty: in its own name,
	// which needs an admin role given to the service account itself.
	WorkspaceAdmin      string
	Scopes              []string
	GroupsClaim         string
	AllowedEmailDomains []string
	AllowedUsers        []string
	AllowedGroups       []string
	AllowAnyone         bool
	UsernameAsSubject   bool
	Users               []User
}

// A User is a local user. The e-mail address is taken for verified: the
// operator wrote it.
type User struct {
	Username     string
	PasswordHash string
	Email        string
	Groups       []string
}

const defaultGroupsClaim = "groups"

func (c Config) withDefaults() Config {
	if c.ID == "" {
		c.ID = c.Name
	}
	if c.GroupsClaim == "" {
		c.GroupsClaim = defaultGroupsClaim
	}
	if c.DisplayName == "" {
		c.DisplayName = c.defaultName()
	}
	return c
}

func (c Config) defaultName() string {
	switch c.Name {
	case nameGoogle:
		return "Google"
	case nameGitHub:
		return "GitHub"
	case nameMicrosoft:
		return "Microsoft"
	case nameLocal:
		return "Username and password"
	}
	if u, err := url.Parse(c.IssuerURL); err == nil && u.Host != "" {
		return u.Host
	}
	return "OpenID"
}

// rules are for a Config without faults. Local users are the allow rule of
// their provider: without another, all of them may enter.
func (c Config) rules() Rules {
	domains, _ := Domains("allowedEmailDomains", c.AllowedEmailDomains)
	r := Rules{
		EmailDomains: domains,
		Users:        c.AllowedUsers,
		Groups:       c.AllowedGroups,
		Organization: c.Organization,
		AllowAnyone:  c.AllowAnyone,
	}
	if c.Name == nameLocal && r.Empty() {
		r.AllowAnyone = len(c.Users) > 0
	}
	return r
}

func (c Config) naming() naming {
	return naming{
		provider:   c.ID,
		byUsername: c.UsernameAsSubject,
		loginFirst: c.Name == nameGitHub || c.Name == nameLocal,
	}
}

// secureURL tells whether u may carry secrets: https, or http that does not
// leave the machine.
func secureURL(u *url.URL) bool {
	if u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
