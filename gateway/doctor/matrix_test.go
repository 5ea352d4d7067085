package doctor_test

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/gateway/doctor"
)

// everybody but those named.
func everybody(but ...string) []string {
	return slices.DeleteFunc(doctor.Names(), func(name string) bool { return slices.Contains(but, name) })
}

func only(names ...string) []string { return names }

var (
	readsPRM   = everybody("sdk-2025-03-26")                                          // protected resource metadata came with 2025-06-18
	typeScript = only("claude-code", "cursor", "inspector")                           // the TypeScript SDK 1.x
	streaming  = append([]string{"vscode", "codex", "sdk-2025-03-26"}, typeScript...) // keep a GET stream open
	registers  = only("cursor", "codex", "inspector", "sdk-2025-03-26")               // have no metadata document
	staying    = everybody("inspector", "sdk-2025-03-26")                             // are expected to stay connected
)

// A row is a fault, and who fails by it at which step, in reality. Everybody
// else works. warns are those who get a remark there and do not fail.
type row struct {
	name  string
	why   string // the habit of the clients, or the specification, that makes it so
	fault fault
	step  string
	fails []string
	warns []string
	tune  func(*doctor.Options)
}

const (
	pathDocument = "/.well-known/oauth-protected-resource/mcp"
	rootDocument = "/.well-known/oauth-protected-resource"
	serverPath   = "/.well-known/oauth-authorization-server"
	openIDPath   = "/.well-known/openid-configuration"
)

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		answer(w, code, map[string]any{"error": http.StatusText(code)})
	}
}

func page(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(code)
		fmt.Fprint(w, "<h1>Hello</h1>")
	}
}

func over(path string, h http.HandlerFunc) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{path: h}
}

// set changes a member of a document; nil takes it out.
func set(doc, name string, value any) func(string, map[string]any) {
	return func(which string, m map[string]any) {
		if which != doc {
			return
		}
		if value == nil {
			delete(m, name)
			return
		}
		m[name] = value
	}
}

// withoutScopes is a server that has none, so that nobody misses them.
func withoutScopes(_ string, m map[string]any) { delete(m, "scopes_supported") }

func withoutScope(good string) string { return strings.ReplaceAll(good, `, scope="notes:read"`, "") }

// withoutToken answers calls that have none.
func withoutToken(h http.HandlerFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/mcp" && r.Header.Get("Authorization") == "" {
				h(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// streams stands in front of GET streams.
func streams(h func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/mcp" && r.Method == http.MethodGet && r.Header.Get("Authorization") != "" {
				h(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// buffering is a proxy that answers when all is there, which of a stream is
// never.
func buffering(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// cutting sends the header, and ends.
func cutting(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
}

// losing breaks the connection in the middle.
func losing(w http.ResponseWriter, r *http.Request, next http.Handler) {
	cutting(w, r, next)
	panic(http.ErrAbortHandler)
}

func rows() []row {
	return slices.Concat(networkRows(), challengeRows(), resourceRows(), serverRows(), clientRows(), tokenRows(), streamRows())
}

func networkRows() []row {
	return []row{
		{name: "the name has no address", why: "nobody gets there", fault: fault{noAddr: true}, step: "dns", fails: everybody()},
		{name: "the public name leads to a private address", why: "connectors run at their makers'; the others may be in the same network",
			fault: fault{addrs: []netip.Addr{netip.MustParseAddr("10.0.0.5")}}, step: "dns", fails: only("claude.ai", "chatgpt")},
		{name: "the name has IPv6 only", why: "claude.ai: egress is IPv4, 160.79.104.0/21",
			fault: fault{addrs: []netip.Addr{netip.MustParseAddr("2a00::7")}}, step: "dns", fails: only("claude.ai")},
		{name: "the certificate has expired", why: "RFC 5280", step: "certificate-dates", fails: everybody(),
			fault: fault{certificate: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }}},
		{name: "the certificate is for another host", why: "RFC 9525", step: "certificate-name", fails: everybody(),
			fault: fault{certificate: func(c *x509.Certificate) { c.DNSNames = []string{"www.example.com"} }}},
		{name: "the chain is incomplete", why: "none of the clients' TLS libraries fetches an intermediate (issues of claude.ai: full chain)",
			fault: fault{alone: true}, step: "certificate-chain", fails: everybody()},
		{name: "the authority is unknown", why: "RFC 5280", fault: fault{stranger: true}, step: "certificate-chain", fails: everybody()},
		{name: "the certificate ends soon", why: "it still works", step: "certificate-dates", warns: everybody(),
			fault: fault{certificate: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(100 * time.Hour) }}},
	}
}

func challengeRows() []row {
	loginPage := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example.com/", http.StatusFound)
	}
	return []row{
		{name: "302 to a sign-in page instead of 401", why: "a 401 begins the sign-in; codex signs in by its own command",
			fault: fault{in: withoutToken(loginPage)}, step: "anonymous-post", fails: everybody("codex"), warns: only("codex")},
		{name: "403 instead of 401", why: "VS Code takes 401 and 403 alike", fault: fault{in: withoutToken(status(403))},
			step: "anonymous-post", fails: everybody("vscode", "codex"), warns: only("vscode", "codex")},
		{name: "404 instead of 401", why: "as above", fault: fault{in: withoutToken(status(404))}, step: "anonymous-post", fails: everybody("codex"), warns: only("codex")},
		{name: "200 with a page instead of 401", why: "an error in a 200 is no error (claude.ai ignores WWW-Authenticate there)",
			fault: fault{in: withoutToken(page(200))}, step: "anonymous-post", fails: everybody("codex"), warns: only("codex")},
		{name: "the server behind is down", why: "502 is for nobody", fault: fault{in: withoutToken(page(502))}, step: "anonymous-post", fails: everybody()},
		{name: "405 for a GET without token", why: "streams are optional; the probe of mcp-remote accepts it", step: "anonymous-get",
			fault: fault{in: streamProbe(status(405))}},
		{name: "a page for a GET without token", why: "bridges ask by GET first, these clients by POST", step: "anonymous-get",
			fault: fault{in: streamProbe(page(200))}, warns: everybody()},
		{name: "no challenge", why: "all go to the well-known paths", step: "challenge", warns: readsPRM,
			fault: fault{challenge: func(string) string { return "" }, edit: withoutScopes}},
		{name: "a challenge without resource_metadata", why: "as above", step: "challenge", warns: readsPRM,
			fault: fault{challenge: func(string) string { return `Bearer realm="mcp", scope="notes:read"` }}},
		{name: "the Bearer challenge comes second", why: "the TypeScript SDK looks at the first word; its fallback is the well-known path", step: "challenge", warns: typeScript,
			fault: fault{challenge: func(good string) string { return `Basic realm="x", ` + good }}},
		{name: "an error in the challenge without a token", why: "RFC 6750 §3.1, a remark", step: "challenge", warns: readsPRM,
			fault: fault{challenge: func(good string) string {
				return strings.Replace(good, "Bearer ", `Bearer error="invalid_token", `, 1)
			}}},
		{name: "no scope in the challenge", why: "ChatGPT takes the scopes of the sign-in from there, the others from the metadata too",
			step: "scopes", fails: only("chatgpt"),
			fault: fault{challenge: withoutScope}},
	}
}

// streamProbe answers GET requests without a token.
func streamProbe(h http.HandlerFunc) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/mcp" && r.Method == http.MethodGet && r.Header.Get("Authorization") == "" {
				h(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func resourceRows() []row {
	toRoot := func(good string) string { return strings.ReplaceAll(good, pathDocument, rootDocument) }
	exact := "claude.ai and Claude Code want the URL that was typed; VS Code drops the document; the TypeScript SDK wants a prefix; codex the URL or the origin"
	strict := only("claude.ai", "claude-code", "chatgpt", "cursor", "inspector", "codex")
	return []row{
		{name: "the metadata that the challenge names is not there", why: "the others go on at the origin; ChatGPT requires the document",
			fault: fault{challenge: func(good string) string { return strings.ReplaceAll(good, "/oauth-protected-resource/mcp", "/nothing") }},
			step:  "resource-metadata", fails: only("chatgpt"), warns: everybody("chatgpt", "sdk-2025-03-26")},
		{name: "no metadata at either path, no challenge", why: "as above", step: "resource-metadata",
			fault: fault{challenge: func(string) string { return "" }, edit: withoutScopes, over: map[string]http.HandlerFunc{pathDocument: status(404), rootDocument: status(404)}},
			fails: only("chatgpt"), warns: everybody("chatgpt", "sdk-2025-03-26")},
		{name: "the metadata asks for a token", why: "as above", step: "resource-metadata",
			fault: fault{over: map[string]http.HandlerFunc{pathDocument: status(401), rootDocument: status(401)}},
			fails: only("chatgpt"), warns: everybody("chatgpt", "sdk-2025-03-26")},
		{name: "the metadata is a page", why: "as above", step: "resource-metadata",
			fault: fault{over: map[string]http.HandlerFunc{pathDocument: page(200), rootDocument: page(200)}},
			fails: only("chatgpt"), warns: everybody("chatgpt", "sdk-2025-03-26")},
		{name: "metadata only at the root", why: exact, step: "resource", fails: only("claude.ai", "claude-code"), warns: only("vscode"),
			fault: fault{challenge: toRoot, over: over(pathDocument, status(404))}},
		{name: "metadata only at the root, no challenge", why: exact, step: "resource", fails: only("claude.ai", "claude-code"), warns: only("vscode"),
			fault: fault{challenge: func(string) string { return "" }, edit: withoutScopes, over: over(pathDocument, status(404))}},
		{name: "metadata only at the path", why: "the challenge leads there", step: "resource-metadata-paths", warns: readsPRM,
			fault: fault{over: over(rootDocument, status(404))}},
		{name: "resource is another host", why: "RFC 9728 §3.3; VS Code drops the document", step: "resource", fails: strict, warns: only("vscode"),
			fault: fault{edit: set("resource", "resource", "https://internal.example.net/mcp")}},
		{name: "resource is http behind a proxy that ends TLS", why: "as above", step: "resource", fails: strict, warns: only("vscode"),
			fault: fault{edit: set("resource", "resource", "http://"+host+"/mcp")}},
		{name: "resource is the origin, the URL has a path", why: exact, step: "resource", fails: only("claude.ai", "claude-code"), warns: only("vscode"),
			fault: fault{edit: set("resource", "resource", origin)}},
		{name: "resource ends in a slash", why: exact + "; a longer path is no prefix", step: "resource", fails: strict, warns: only("vscode"),
			fault: fault{edit: set("resource", "resource", typed+"/")}},
		{name: "no authorization server is named", why: "the others go on at the origin; ChatGPT requires it", step: "authorization-servers",
			fails: only("chatgpt"), warns: everybody("chatgpt", "sdk-2025-03-26"), fault: fault{edit: set("resource", "authorization_servers", []string{})}},
		{name: "the authorization server is http behind a proxy that ends TLS", why: "nothing answers there, and nobody should ask", step: "authorization-servers",
			fails: readsPRM, fault: fault{edit: set("resource", "authorization_servers", []string{"http://" + host})}},
		{name: "two authorization servers", why: "claude.ai takes the first; it is a good one", step: "authorization-servers", warns: readsPRM,
			fault: fault{edit: set("resource", "authorization_servers", []string{origin, "https://other.example.com"})}},
	}
}

func serverRows() []row {
	return []row{
		{name: "no authorization server metadata", why: "the TypeScript SDK, VS Code and claude.ai guess the endpoints; ChatGPT and codex do not", step: "server-metadata",
			fault: fault{over: map[string]http.HandlerFunc{serverPath: status(404), openIDPath: status(404)}, edit: withoutScopes, challenge: withoutScope},
			fails: only("chatgpt", "codex"), warns: everybody("chatgpt", "codex")},
		{name: "authorization server metadata only as an OpenID document", why: "all but the oldest climb there; it guesses", step: "server-metadata",
			fault: fault{over: over(serverPath, status(404))}, warns: only("sdk-2025-03-26")},
		{name: "500 where there is no metadata", why: "the TypeScript SDK ends its search at 500", step: "server-metadata",
			fault: fault{over: over(serverPath, status(500))}, fails: append([]string{"sdk-2025-03-26"}, typeScript...)},
		{name: "response_types_supported is missing", why: "RFC 8414 §2 requires it, and the TypeScript SDK has it in its schema", step: "server-metadata",
			fault: fault{edit: set("server", "response_types_supported", nil)}, fails: append([]string{"sdk-2025-03-26"}, typeScript...)},
		{name: "the issuer is another", why: "ChatGPT compares strings; codex refuses another issuer; the TypeScript SDK 1.x does not compare", step: "issuer",
			fault: fault{edit: set("server", "issuer", "https://auth.internal")}, fails: only("chatgpt", "codex"), warns: everybody("chatgpt", "codex")},
		{name: "the issuer ends in a slash", why: "ChatGPT compares strings", step: "issuer", fails: only("chatgpt"), warns: everybody("chatgpt"),
			fault: fault{edit: set("server", "issuer", origin+"/"), iss: func(q url.Values) { q.Set("iss", origin+"/") }}},
		{name: "the authorization server is another host", why: "the oldest revision knows the MCP server's own only", step: "registration",
			fault: elsewhere(), fails: only("sdk-2025-03-26")},
		{name: "http endpoints behind a proxy that ends TLS", why: "nothing answers there, and nobody should send a code there", step: "endpoints",
			fault: fault{edit: set("server", "token_endpoint", "http://"+host+"/token")}, fails: everybody()},
		{name: "S256 is not among the methods", why: "all but VS Code look", step: "pkce", fails: everybody("vscode"), warns: only("vscode"),
			fault: fault{edit: set("server", "code_challenge_methods_supported", []string{"plain"})}},
		{name: "no PKCE methods at all", why: "MCP says clients refuse; the TypeScript SDK 1.x of today and codex go on, that of 2025-03-26 does not",
			step: "pkce", fails: only("claude.ai", "chatgpt", "sdk-2025-03-26"), warns: everybody("claude.ai", "chatgpt", "sdk-2025-03-26"),
			fault: fault{edit: set("server", "code_challenge_methods_supported", nil)}},
		{name: "none is not among the authentication methods", why: "ChatGPT wants it; claude.ai registers instead", step: "client-authentication",
			fails: only("chatgpt"), warns: everybody("chatgpt"), fault: fault{edit: set("server", "token_endpoint_auth_methods_supported", []string{"client_secret_post"})}},
		{name: "no grant types", why: "the default is authorization_code and implicit", step: "grant-types", warns: everybody(),
			fault: fault{edit: set("server", "grant_types_supported", nil)}},
		{name: "no OpenID document", why: "ChatGPT asks for it, and lives without", step: "openid-configuration", warns: only("chatgpt"),
			fault: fault{over: over(openIDPath, status(404))}},
		{name: "half an OpenID document", why: "as above", step: "openid-configuration", warns: only("chatgpt"),
			fault: fault{edit: set("openid", "subject_types_supported", nil)}},
		{name: "no keys", why: "clients do not verify tokens", step: "jwks", warns: everybody(), fault: fault{over: over("/jwks", status(404))}},
		{name: "no scopes in the authorization server metadata", why: "Cursor and codex take them from there", step: "scopes", fails: only("cursor", "codex"),
			fault: fault{edit: set("server", "scopes_supported", nil)}},
		{name: "no CORS at the token endpoint", why: "the Inspector runs in a browser", step: "cors", fails: only("inspector"),
			fault: fault{in: withoutCORS("/token")}},
		{name: "no CORS at the metadata", why: "as above", step: "cors", fails: only("inspector"), fault: fault{in: withoutCORS(serverPath)}},
	}
}

// elsewhere is a deployment whose authorization server is another host.
func elsewhere() fault {
	const there = "auth.example.com"
	return fault{
		certificate: func(c *x509.Certificate) { c.DNSNames = []string{host, there} },
		edit: func(doc string, m map[string]any) {
			for name, v := range m {
				if address, _ := v.(string); doc != "resource" && doc != "root resource" && strings.HasPrefix(address, origin) {
					m[name] = strings.Replace(address, host, there, 1)
				}
			}
			if doc == "resource" || doc == "root resource" {
				m["authorization_servers"] = []string{"https://" + there}
			}
		},
		iss: func(q url.Values) { q.Set("iss", "https://"+there) },
		in: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Host == host && r.URL.Path != "/mcp" && r.URL.Path != "/approve" && !strings.Contains(r.URL.Path, "oauth-protected-resource") {
					status(404)(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	}
}

// withoutCORS takes the headers off the answers of a path.
func withoutCORS(path string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path && r.Method == http.MethodOptions {
				answer(w, http.StatusMethodNotAllowed, map[string]any{"error": "method not allowed"})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func clientRows() []row {
	loopback := func(uri string) bool { return withoutPort(uri) != uri }
	private := func(uri string) bool { return strings.HasPrefix(uri, "cursor:") }
	refuses := func(bad func(string) bool) func([]string) bool {
		return func(uris []string) bool {
			return len(uris) == 1 && strings.HasSuffix(uris[0], "/callback") && fromDoctor(uris[0]) || !slices.ContainsFunc(uris, bad)
		}
	}
	return []row{
		{name: "registration refuses loopback", why: "those that register do so with one; the others have a metadata document or an https callback", step: "registration",
			fault: fault{registers: refuses(loopback)}, fails: registers},
		{name: "registration refuses a set with a private scheme in it", why: "Cursor registers three at once", step: "registration",
			fault: fault{registers: refuses(private)}, fails: only("cursor")},
		{name: "registration keeps loopback out of the set", why: "what is not kept cannot be used", step: "registration", fails: only("cursor"),
			fault: fault{edit: func(doc string, m map[string]any) {
				if uris, _ := m["redirect_uris"].([]any); doc == "registration" && len(uris) == 3 {
					m["redirect_uris"] = uris[:2]
				}
			}}},
		{name: "registration answers null", why: "the schema of the TypeScript SDK has no null", step: "registration",
			fault: fault{edit: func(doc string, m map[string]any) {
				if doc == "registration" {
					m["client_uri"] = nil
				}
			}}, fails: only("cursor", "inspector", "sdk-2025-03-26")},
		{name: "nobody can register", why: "those with a metadata document need not; the doctor cannot sign in either", step: "registration",
			fault: fault{edit: set("server", "registration_endpoint", nil)}, fails: registers},
		{name: "no metadata documents", why: "those that have one register", fault: fault{edit: set("server", "client_id_metadata_document_supported", nil)}},
		{name: "neither registration nor metadata documents", why: "there is no way in", step: "registration", fails: everybody(),
			fault: fault{edit: func(doc string, m map[string]any) {
				set("server", "registration_endpoint", nil)(doc, m)
				set("server", "client_id_metadata_document_supported", nil)(doc, m)
			}}},
		{name: "metadata documents cannot be fetched", why: "it is too late to register then", step: "authorize", fails: only("claude-code", "chatgpt", "vscode"),
			fault: fault{noFetch: true}},
		{name: "the port of a loopback redirect is compared", why: "Claude Code's document has none, and it takes any", step: "authorize", fails: only("claude-code"),
			fault: fault{comparePorts: true}},
		{name: "the MCP URL is no resource", why: "all send it, but for the oldest", step: "authorize", fails: readsPRM,
			fault: fault{resource: func(r string) bool { return r == "" || r == origin }}},
		{name: "a request without resource is refused", why: "the oldest revision has none", step: "authorize", fails: only("sdk-2025-03-26"),
			fault: fault{resource: func(r string) bool { return r == typed }}},
		{name: "the authorization endpoint answers JSON", why: "people cannot read that", step: "authorize", fails: everybody(),
			fault: fault{over: over("/authorize", status(500))}},
	}
}

// fromDoctor says whether the doctor itself registers, who is no client here.
func fromDoctor(uri string) bool {
	for _, p := range doctor.Profiles() {
		if slices.Contains(p.Redirects, uri) {
			return false
		}
	}
	return true
}

func tokenRows() []row {
	checksIss := only("chatgpt", "codex")
	return []row{
		{name: "a page at the token endpoint", why: "all parse JSON", step: "token-errors", fails: everybody(), fault: fault{over: over("/token", page(200))}},
		{name: "the token endpoint wants GET", why: "all post", step: "token-errors", fails: everybody(), fault: fault{over: over("/token", status(405))}},
		{name: "token errors are pages", why: "a dead refresh token is not recognized", step: "token-errors", fails: everybody(),
			fault: fault{in: pagesForErrors}},
		{name: "iss is wrong", why: "ChatGPT and codex hold it against the issuer", step: "iss", fails: checksIss, warns: everybody(checksIss...),
			fault: fault{iss: func(q url.Values) { q.Set("iss", "https://evil.example.com") }}},
		{name: "iss is promised and missing", why: "as above", step: "iss", fails: checksIss, warns: everybody(checksIss...),
			fault: fault{iss: func(q url.Values) { q.Del("iss") }}},
		{name: "no refresh token", why: "the two tools for developers do not mind", step: "refresh-token", fails: staying, warns: everybody(staying...),
			fault: fault{noRefresh: true}},
		{name: "a refresh needs resource", why: "codex leaves it out (openai/codex 33403)", step: "refresh", fails: only("codex"), warns: everybody("codex"),
			fault: fault{refreshNeeds: "resource"}},
		{name: "a refresh is never accepted", why: "as without refresh token", step: "refresh", fails: staying, warns: everybody(staying...),
			fault: fault{refreshNeeds: "what nobody sends"}},
		{name: "the MCP server refuses the tokens", why: "signing in was for nothing", step: "initialize", fails: everybody(), fault: fault{noTokens: true}},
		{name: "no revocation endpoint", why: "no client uses it", step: "revoke", warns: everybody(), fault: fault{edit: set("server", "revocation_endpoint", nil)}},
	}
}

func pagesForErrors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" && strings.HasPrefix(r.FormValue("grant_type"), "authorization") && len(r.FormValue("code")) > 26 {
			page(http.StatusBadRequest)(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func streamRows() []row {
	quick := func(o *doctor.Options) { o.Patience = 2 * time.Second }
	long := func(o *doctor.Options) { o.Idle = time.Minute }
	return []row{
		{name: "a buffering proxy in front", why: "the header of the stream comes when it ends; connectors open none", step: "stream",
			fault: fault{in: streams(buffering)}, tune: quick, fails: streaming, warns: everybody(streaming...)},
		{name: "an idle stream is ended", why: "as above", step: "idle", fault: fault{in: streams(cutting)}, tune: long, fails: streaming, warns: everybody(streaming...)},
		{name: "an idle stream is lost", why: "as above", step: "idle", fault: fault{in: streams(losing)}, tune: long, fails: streaming, warns: everybody(streaming...)},
		{name: "no streams", why: "405 is an answer", step: "stream",
			fault: fault{in: streams(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { status(405)(w, r) })}},
	}
}

// failing is who fails where, by the outcomes of a report.
func failing(r *doctor.Report) map[string]string {
	at := map[string]string{}
	for _, o := range r.Outcomes {
		if o.Result == doctor.Wrong {
			at[o.Client] = o.Step
		}
	}
	return at
}

// at is who has a finding of a kind at a step.
func at(r *doctor.Report, step string, kind doctor.Result) []string {
	var who []string
	for _, s := range r.Steps {
		for _, f := range s.Findings {
			if s.Name == step && f.Result == kind {
				who = append(who, f.Clients...)
			}
		}
	}
	slices.Sort(who)
	return who
}

func examine(t *testing.T, d *deployment, tune func(*doctor.Options)) *doctor.Report {
	t.Helper()
	o := d.options()
	if tune != nil {
		tune(&o)
	}
	report, err := doctor.Run(t.Context(), typed, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func shown(t *testing.T, r *doctor.Report) string {
	t.Helper()
	var text strings.Builder
	for _, s := range r.Steps {
		doctor.WriteStep(&text, s)
	}
	r.WriteOutcomes(&text)
	return text.String()
}

// TestFaultsAreNamedByWhoFailsAndNobodyElse is the matrix of faults and
// clients.
func TestFaultsAreNamedByWhoFailsAndNobodyElse(t *testing.T) {
	all := rows()
	if len(all) < 30 {
		t.Fatalf("the matrix has %d rows", len(all))
	}
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			report := examine(t, deploy(t, r.fault), r.tune)
			want := map[string]string{}
			for _, name := range r.fails {
				want[name] = r.step
			}
			if got := failing(report); !maps.Equal(got, want) {
				t.Errorf("who fails: %v\nwant:      %v (%s)\n%s", got, want, r.why, shown(t, report))
			}
			if report.Failed() != (len(r.fails) > 0) {
				t.Errorf("failed is %v", report.Failed())
			}
			if r.step != "" {
				warned, sorted := at(report, r.step, doctor.Warning), slices.Sorted(slices.Values(r.warns))
				if !slices.Equal(warned, sorted) {
					t.Errorf("who gets a remark at %s: %v, want %v\n%s", r.step, warned, sorted, shown(t, report))
				}
			}
		})
	}
}
