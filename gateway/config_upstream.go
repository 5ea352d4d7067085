package gateway

import (
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const (
	authorizationForward = "forward"
	authorizationNone    = "none"
)

func validAuthorization(s string) bool {
	if s == authorizationForward || s == authorizationNone {
		return true
	}
	scheme, credential, ok := strings.Cut(s, " ")
	return ok && credential != "" && credential == strings.TrimSpace(credential) &&
		httpguts.ValidHeaderFieldName(scheme) && httpguts.ValidHeaderFieldValue(credential)
}

// ownHeaders are set by the gateway or by HTTP itself.
var ownHeaders = []string{
	"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "proxy-connection",
	"proxy-authorization", "expect", "forwarded",
}

func (h HostConfig) checkHeaders(f *configFaults, at string) {
	for i, header := range h.Headers {
		key, name := indexKey(at+".headers", i), strings.ToLower(header.Name)
		switch {
		case name == "":
			f.add("%s.name: is missing", key)
		case !httpguts.ValidHeaderFieldName(name):
			f.add("%s.name: %q is not the name of a header", key, header.Name)
		case name == "authorization":
			f.add("%s.name: use %s.authorization, so that the client's own token is not sent as well", key, at)
		case slices.Contains(ownHeaders, name), strings.HasPrefix(name, "x-forwarded-"):
			f.add("%s.name: %s is the gateway's to set", key, header.Name)
		}
		if header.Value == "" || !httpguts.ValidHeaderFieldValue(header.Value) {
			f.add("%s.value: is missing (or valueFile), or holds what a header cannot", key)
		}
	}
}

const maxScopeName = 64

// reservedScopes mean something else.
var reservedScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

func (h HostConfig) checkScopes(f *configFaults, at string) {
	seen := map[string]bool{}
	for i, s := range h.Scopes {
		key := indexKey(at+".scopes", i)
		switch {
		case !validScope(s.Name):
			f.add("%s.name: %q is not a scope: 1 to %d visible ASCII characters without space, quote and backslash", key, s.Name, maxScopeName)
		case slices.Contains(reservedScopes, s.Name):
			f.add("%s.name: %q has a meaning of its own", key, s.Name)
		case seen[s.Name]:
			f.add("%s.name: %q is listed twice", key, s.Name)
		}
		seen[s.Name] = true
		f.notEmpty(key+".tools", s.Tools)
	}
}

func (h HostConfig) checkPinnable(f *configFaults, at string) {
	for i, p := range h.Pinnable {
		if p.Tool == "" || p.Argument == "" {
			f.add("%s.pinnable[%d]: name a tool and an argument of it", at, i)
		}
	}
	if len(h.Pinnable) > 0 && !h.EnforceScopes {
		f.add("%s.pinnable: has no effect without enforceScopes; keep one of them", at)
	}
}

// validScope is the scope-token of RFC 6749 §3.3, bounded.
func validScope(name string) bool {
	return name != "" && len(name) <= maxScopeName &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}
