package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// places are the URLs where this client looks for authorization server
// metadata, in its order.
func (c *client) places() []string {
	base := parsed(c.issuer)
	if base == nil {
		return nil
	}
	path := strings.TrimSuffix(base.EscapedPath(), "/")
	if c.OwnPath && c.document == nil {
		path = strings.TrimSuffix(c.path(), "/")
	}
	if c.Metadata == never {
		path = ""
	}
	origin := base.Scheme + "://" + base.Host
	var urls []string
	for _, r := range c.Ladder {
		address := map[rung]string{
			insertOAuth:  origin + "/.well-known/oauth-authorization-server" + path,
			insertOpenID: origin + "/.well-known/openid-configuration" + path,
			appendOpenID: origin + path + "/.well-known/openid-configuration",
			rootOAuth:    origin + "/.well-known/oauth-authorization-server",
		}[r]
		if !slices.Contains(urls, address) {
			urls = append(urls, address)
		}
	}
	return urls
}

var (
	serverTexts = []string{"issuer"}
	serverURLs  = []string{"authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"}
	serverLists = []string{
		"scopes_supported", "response_types_supported", "grant_types_supported", "token_endpoint_auth_methods_supported", "code_challenge_methods_supported",
	}
	openIDMembers = []string{"jwks_uri", "subject_types_supported", "id_token_signing_alg_values_supported"}
)

// readServer reads a document as this client does.
func (c *client) readServer(a *answer) (*document, error) {
	d, err := readDocument(a)
	if err != nil {
		return nil, err
	}
	if d.text("authorization_endpoint") == "" || d.text("token_endpoint") == "" {
		return nil, fmt.Errorf("a document without authorization_endpoint or token_endpoint")
	}
	if !c.Strict {
		return d, nil
	}
	members := []string{"issuer", "response_types_supported"}
	if strings.Contains(d.at, "openid-configuration") {
		members = append(members, openIDMembers...)
	}
	return d, d.strictly(serverTexts, serverURLs, serverLists, members...)
}

// serverMetadata climbs the ladder.
func (c *client) serverMetadata(ctx context.Context) finding {
	if c.issuer == "" {
		c.issuer = c.origin()
	}
	rule := mcpAuthorization + ", Authorization Server Metadata Discovery; RFC 8414 §3"
	var tried []string
	for _, address := range c.places() {
		a := c.fetchAs(ctx, address)
		d, err := c.readServer(a)
		if err == nil {
			c.server = d
			return ok("%s", address).contentType(a.header)
		}
		tried = append(tried, address+" answers "+err.Error())
		if c.Strict && d != nil {
			return wrong("%s: the client refuses the document", tried[len(tried)-1]).by("RFC 8414 §2, OpenID Connect Discovery 1.0 §3").
				fixed("leave out what is null, and add what is missing").ends()
		}
		if c.Stops5xx && a.status >= http.StatusInternalServerError {
			return wrong("%s: the client looks no further", tried[len(tried)-1]).by(rule).fixed("answer 404 where there is no document").ends()
		}
	}
	f := wrong("%s", strings.Join(tried, "; ")).by(rule).
		fixed("serve the document at %s without asking for a token", c.places()[0])
	if c.Defaults {
		f.seen += "; the client guesses /authorize, /token and /register"
	}
	return f.matters(!c.Defaults).ends()
}

const noServer = "no authorization server metadata"

// issuerIdentity holds the document's issuer against the one it was asked for.
func (c *client) issuerIdentity(context.Context) finding {
	if c.server == nil {
		return skip(noServer)
	}
	said := c.server.text("issuer")
	if said == c.issuer {
		return ok("%s", said)
	}
	equal := strings.TrimSuffix(said, "/") == strings.TrimSuffix(c.issuer, "/")
	fails := c.Issuer == identical || c.Issuer == slashless && !equal && said != ""
	return wrong("issuer is %q, it was asked for as %q", said, c.issuer).by("RFC 8414 §3.3; MCP 2026-07-28 authorization server discovery").
		fixed("let issuer and authorization_servers be the same string, letter by letter").matters(fails)
}

// endpoint is one of the authorization server's, or where this client guesses
// it.
func (c *client) endpoint(name, guess string) string {
	if c.server != nil {
		return c.server.text(name)
	}
	base := parsed(c.issuer)
	if base == nil {
		return ""
	}
	return base.Scheme + "://" + base.Host + guess
}

func (c *client) authorizationEndpoint() string {
	return c.endpoint("authorization_endpoint", "/authorize")
}
func (c *client) tokenEndpoint() string { return c.endpoint("token_endpoint", "/token") }
func (c *client) registrationEndpoint() string {
	return c.endpoint("registration_endpoint", "/register")
}

// endpointURLs keeps everybody from posting secrets in clear.
func (c *client) endpointURLs(context.Context) finding {
	if c.server == nil {
		return skip(noServer)
	}
	for _, name := range serverURLs {
		if address := c.server.text(name); address != "" && !c.secure(address) {
			return wrong("%s is %s", name, address).by("OAuth 2.1 §1.5; MCP authorization, Communication Security").
				fixed("behind a proxy that ends TLS, tell the server its public https origin").ends()
		}
	}
	return ok("all")
}

func (c *client) responseTypes(context.Context) finding {
	if c.server == nil {
		return skip(noServer)
	}
	all := c.server.list("response_types_supported")
	if slices.Contains(all, "code") {
		return ok("%s", strings.Join(all, ", "))
	}
	f := wrong("response_types_supported lists %q", strings.Join(all, ", ")).by("RFC 8414 §2").fixed(`list "code"`)
	return f.matters(c.Strict || c.server.has("response_types_supported") && c.PKCE != unread)
}

// pkce is what the specification tells clients to refuse without.
func (c *client) pkce(context.Context) finding {
	if c.server == nil {
		return skip(noServer)
	}
	all := c.server.list("code_challenge_methods_supported")
	if slices.Contains(all, "S256") {
		return ok("%s", strings.Join(all, ", "))
	}
	there := c.server.has("code_challenge_methods_supported")
	fails := c.PKCE == advertised || c.PKCE == notDenied && there
	seen := "code_challenge_methods_supported is missing"
	if there {
		seen = fmt.Sprintf("code_challenge_methods_supported lists %q", strings.Join(all, ", "))
	}
	return wrong("%s", seen).by(mcpAuthorization + ", Authorization Code Protection; RFC 7636 §4.2").
		fixed(`list "S256" in code_challenge_methods_supported, and check it`).matters(fails)
}

// clientAuthentication looks for public clients: all that are played are.
func (c *client) clientAuthentication(context.Context) finding {
	if c.server == nil {
		return skip(noServer)
	}
	all := c.server.list("token_endpoint_auth_methods_supported")
	if slices.Contains(all, "none") {
		return ok("%s", strings.Join(all, ", "))
	}
	said := strings.Join(all, ", ")
	if said == "" {
		said = "nothing, which means client_secret_basic"
	}
	f := wrong(`token_endpoint_auth_methods_supported says %s, and not "none"`, said).by("RFC 8414 §2").
		fixed(`list "none": MCP clients are public`)
	if c.HasDocument && c.server.flag("client_id_metadata_document_supported") {
		f.seen += "; the client registers, and does not use its client ID metadata document"
	}
	return f.matters(c.NeedsNone)
}

func (c *client) grantTypes(context.Context) finding {
	if c.server == nil {
		return skip(noServer)
	}
	all := c.server.list("grant_types_supported")
	f := func(format string, args ...any) finding {
		return wrong(format, args...).by("RFC 8414 §2").fixed(`list "authorization_code" and "refresh_token"`)
	}
	switch {
	case len(all) == 0:
		return f("grant_types_supported is missing, which means authorization_code and implicit").matters(false)
	case !slices.Contains(all, "authorization_code"):
		return f("grant_types_supported lists %s", strings.Join(all, ", ")).matters(c.Metadata == never)
	case !slices.Contains(all, "refresh_token"):
		return f("grant_types_supported lists %s", strings.Join(all, ", ")).matters(false)
	}
	return ok("%s", strings.Join(all, ", "))
}

// openID looks at the document that some clients read beside the other one. It
// makes none of them fail, but those that read it have stumbled over it.
func (c *client) openID(ctx context.Context) finding {
	if !c.AsksOpenID {
		return skip("this client does not read it")
	}
	address := strings.TrimSuffix(c.issuer, "/") + "/.well-known/openid-configuration"
	rule := "OpenID Connect Discovery 1.0 §3, §4"
	d, err := readDocument(c.fetchAs(ctx, address))
	if err != nil {
		return warn("%s answers %v", address, err).by(rule).fixed("serve the metadata there too, with %s", strings.Join(openIDMembers, ", "))
	}
	for _, name := range append([]string{"issuer"}, openIDMembers...) {
		if !d.has(name) {
			return warn("%s has no %s", address, name).by(rule).fixed("add %s, or do not serve this document", name)
		}
	}
	if c.server != nil && d.text("issuer") != c.server.text("issuer") {
		return warn("its issuer is %q, that of the other document %q", d.text("issuer"), c.server.text("issuer")).by(rule).fixed("let both say the same")
	}
	return ok("%s", address)
}

// jwks is read by MCP servers that verify tokens, not by clients.
func (c *client) jwks(ctx context.Context) finding {
	if c.server == nil {
		return skip(noServer)
	}
	address := c.server.text("jwks_uri")
	if address == "" {
		return skip("no jwks_uri")
	}
	return c.once("jwks "+address, func() finding {
		if !c.secure(address) {
			return warn("jwks_uri is %s", address).by("RFC 8414 §2").fixed("use an https URL")
		}
		return judgeKeys(c.web.fetch(ctx, address, "Accept", jsonType))
	})
}

func judgeKeys(a *answer) finding {
	if a.err != nil || a.status != http.StatusOK {
		return warn("%s", a).by("RFC 7517 §5").fixed("serve the public keys at jwks_uri")
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(a.body, &set); err != nil || len(set.Keys) == 0 {
		return warn("no key in it").by("RFC 7517 §5").fixed("publish the keys that sign tokens, before the first one is signed")
	}
	for _, key := range set.Keys {
		for _, secret := range []string{"d", "k", "p"} {
			if _, there := key[secret]; there {
				return wrong("a private key is published").by("RFC 7518 §6").fixed("make new keys now, and publish only their public half").danger()
			}
		}
	}
	return ok("keys: %d", len(set.Keys))
}

// scopes asks whether this client finds the scopes to ask for. If a server has
// none, there is nothing to find.
func (c *client) scopes(context.Context) finding {
	everywhere := c.challenge.scope + scopesOf(c.document) + strings.ReplaceAll(scopesOf(c.server), "offline_access", "")
	asks := c.scope()
	switch {
	case c.ScopesFrom == fromNowhere:
		return skip("this client asks for none")
	case strings.TrimSpace(everywhere) == "":
		return ok("the server advertises none")
	case strings.TrimSpace(strings.ReplaceAll(asks, "offline_access", "")) != "":
		return ok("it asks for %s", asks)
	}
	where := map[scopeSource]string{
		fromChallenge:     "the challenge and the resource metadata",
		fromChallengeOnly: "the challenge",
		fromServer:        "scopes_supported of the authorization server",
	}[c.ScopesFrom]
	return wrong("the client takes its scopes from %s, where there are none: its token will have none, or a default", where).
		by(mcpAuthorization + ", Scope Selection Strategy; RFC 8414 §2").
		fixed("advertise the same scopes in the challenge, the resource metadata and the authorization server metadata").
		matters(!c.StepsUp)
}

// scope is what this client asks for.
func (c *client) scope() string {
	scope := ""
	switch c.ScopesFrom {
	case fromChallenge:
		scope = c.challenge.scope
		if scope == "" {
			scope = scopesOf(c.document)
		}
	case fromChallengeOnly:
		scope = c.challenge.scope
	case fromServer:
		scope = scopesOf(c.server)
	case fromNowhere:
	}
	if c.Offline && c.server != nil && slices.Contains(c.server.list("scopes_supported"), "offline_access") && !strings.Contains(scope, "offline_access") {
		scope = strings.TrimSpace(scope + " offline_access")
	}
	return scope
}

// resource is what this client sends as the resource (RFC 8707); empty: none.
func (c *client) resource() string {
	switch {
	case c.Metadata == never:
		return ""
	case c.SendsTyped:
		u := *c.target
		u.Path = strings.TrimSuffix(u.Path, "/")
		return u.String()
	case c.document != nil:
		return c.document.text("resource")
	}
	return ""
}

// query adds parameters to a URL that may have some (RFC 6749 §3.1).
func query(address string, add url.Values) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	q := u.Query()
	for name, values := range add {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}
