package clients

import (
	"slices"
	"strings"
)

// metadata is what the registry wants to know of a client, whichever way it
// is told: in a registration or in a document. All else is ignored (D4).
type metadata struct {
	Name         string
	RedirectURIs []string // as given, not yet judged
	Method       string   // "" if absent
	Type         string
	Grants       []string
	Scope        string
}

// readMetadata reads the members that both ways share.
func readMetadata(m members) (metadata, error) {
	r := &reader{members: m}
	meta := metadata{
		Name:         cleanName(r.text("client_name")),
		RedirectURIs: r.texts("redirect_uris"),
		Method:       r.text("token_endpoint_auth_method"),
		Type:         readType(r),
		Grants:       readGrants(r),
		Scope:        cleanScope(r.text("scope")),
	}
	return meta, r.err
}

// readGrants keeps the grant types that a client can get by asking. Unknown
// ones are ignored (C19: VS Code lists device_code), client_credentials with
// them: only the operator gives that. A client that names none gets refresh
// tokens too and is told so (D10): many leave the member out and refresh anyway.
func readGrants(r *reader) []string {
	grants, responses := r.texts("grant_types"), r.texts("response_types")
	if len(responses) > 0 && !slices.Contains(responses, "code") {
		r.fail("response_types does not hold code, the only one there is")
	}
	if len(grants) > 0 && !slices.Contains(grants, grantCode) {
		r.fail("grant_types does not hold authorization_code, which everything begins with; " +
			"client_credentials is for clients that the operator configured")
	}
	if len(grants) == 0 || slices.Contains(grants, grantRefresh) {
		return []string{grantCode, grantRefresh}
	}
	return []string{grantCode}
}

// readType defaults to web, as OpenID Connect Registration §2 does; nothing
// follows from it (D2, D3).
func readType(r *reader) string {
	switch kind := r.text("application_type"); kind {
	case "":
		return typeWeb
	case typeNative, typeWeb:
		return kind
	}
	r.fail("application_type is neither native nor web")
	return ""
}

// cleanScope returns a scope that keeps to the grammar of RFC 6749 §3.3, and
// nothing for any other: it is repeated to the client, and decides nothing.
func cleanScope(scope string) string {
	bad := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r > '~' }
	if len(scope) > 4096 || strings.ContainsFunc(scope, bad) {
		return ""
	}
	return strings.Join(strings.Fields(scope), " ")
}
