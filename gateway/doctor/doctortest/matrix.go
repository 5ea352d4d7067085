package doctortest

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
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

// A Row is a fault, and who fails by it at which step, in reality. Everybody
// else works. Warns are those who get a remark there and do not fail.
type Row struct {
	Name  string
	Why   string // the habit of the clients, or the specification, that makes it so
	Fault Fault
	Step  string
	Fails []string
	Warns []string
	Tune  func(*doctor.Options)
}

// Where metadata has its place.
const (
	PathDocument = "/.well-known/oauth-protected-resource/mcp"
	rootDocument = "/.well-known/oauth-protected-resource"
	serverPath   = "/.well-known/oauth-authorization-server"
	openIDPath   = "/.well-known/openid-configuration"
)

// Status answers with an error in JSON.
func Status(code int) http.HandlerFunc {
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

// Set changes a member of a document; nil takes it out.
func Set(doc, name string, value any) func(string, map[string]any) {
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
func buffering(w http.ResponseWriter, r *http.Request, next http.Handler) {
	all := httptest.NewRecorder()
	next.ServeHTTP(all, r)
	w.WriteHeader(all.Code)
	_, _ = all.Body.WriteTo(w)
}

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

// Matrix is all rows.
func Matrix() []Row {
	return slices.Concat(networkRows(), challengeRows(), resourceRows(), serverRows(), clientRows(), tokenRows(), streamRows())
}

func networkRows() []Row {
	return []Row{
		{Name: "the name has no address", Why: "nobody gets there", Fault: Fault{NoAddr: true}, Step: "dns", Fails: everybody()},
		{Name: "the public name leads to a private address", Why: "connectors run at their makers'; the others may be in the same network",
			Fault: Fault{Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.5")}}, Step: "dns", Fails: only("claude.ai", "chatgpt")},
		{Name: "the name has IPv6 only", Why: "claude.ai: egress is IPv4, 160.79.104.0/21",
			Fault: Fault{Addrs: []netip.Addr{netip.MustParseAddr("2a00::7")}}, Step: "dns", Fails: only("claude.ai")},
		{Name: "the certificate has expired", Why: "RFC 5280", Step: "certificate-dates", Fails: everybody(),
			Fault: Fault{Certificate: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }}},
		{Name: "the certificate is for another host", Why: "RFC 9525", Step: "certificate-name", Fails: everybody(),
			Fault: Fault{Certificate: func(c *x509.Certificate) { c.DNSNames = []string{"www.example.com"} }}},
		{Name: "the chain is incomplete", Why: "none of the clients' TLS libraries fetches an intermediate (issues of claude.ai: full chain)",
			Fault: Fault{Alone: true}, Step: "certificate-chain", Fails: everybody()},
		{Name: "the authority is unknown", Why: "RFC 5280", Fault: Fault{Stranger: true}, Step: "certificate-chain", Fails: everybody()},
		{Name: "the certificate ends soon", Why: "it still works", Step: "certificate-dates", Warns: everybody(),
			Fault: Fault{Certificate: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(100 * time.Hour) }}},
	}
}

func challengeRows() []Row {
	loginPage := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://login.example.com/", http.StatusFound)
	}
	return []Row{
		{Name: "302 to a sign-in page instead of 401", Why: "a 401 begins the sign-in; codex signs in by its own command",
			Fault: Fault{In: withoutToken(loginPage)}, Step: "anonymous-post", Fails: everybody("codex"), Warns: only("codex")},
		{Name: "403 instead of 401", Why: "VS Code takes 401 and 403 alike", Fault: Fault{In: withoutToken(Status(403))},
			Step: "anonymous-post", Fails: everybody("vscode", "codex"), Warns: only("vscode", "codex")},
		{Name: "404 instead of 401", Why: "as above", Fault: Fault{In: withoutToken(Status(404))}, Step: "anonymous-post", Fails: everybody("codex"), Warns: only("codex")},
		{Name: "200 with a page instead of 401", Why: "an error in a 200 is no error (claude.ai ignores WWW-Authenticate there)",
			Fault: Fault{In: withoutToken(page(200))}, Step: "anonymous-post", Fails: everybody("codex"), Warns: only("codex")},
		{Name: "the server behind is down", Why: "502 is for nobody", Fault: Fault{In: withoutToken(page(502))}, Step: "anonymous-post", Fails: everybody()},
		{Name: "405 for a GET without token", Why: "streams are optional; the probe of mcp-remote accepts it", Step: "anonymous-get",
			Fault: Fault{In: streamProbe(Status(405))}},
		{Name: "a page for a GET without token", Why: "bridges ask by GET first, these clients by POST", Step: "anonymous-get",
			Fault: Fault{In: streamProbe(page(200))}, Warns: everybody()},
		{Name: "no challenge", Why: "all go to the well-known paths", Step: "challenge", Warns: readsPRM,
			Fault: Fault{Challenge: func(string) string { return "" }, Edit: withoutScopes}},
		{Name: "a challenge without resource_metadata", Why: "as above", Step: "challenge", Warns: readsPRM,
			Fault: Fault{Challenge: func(string) string { return `Bearer realm="mcp", scope="notes:read"` }}},
		{Name: "the Bearer challenge comes second", Why: "the TypeScript SDK looks at the first word; its fallback is the well-known path", Step: "challenge", Warns: typeScript,
			Fault: Fault{Challenge: func(good string) string { return `Basic realm="x", ` + good }}},
		{Name: "an error in the challenge without a token", Why: "RFC 6750 §3.1, a remark", Step: "challenge", Warns: readsPRM,
			Fault: Fault{Challenge: func(good string) string {
				return strings.Replace(good, "Bearer ", `Bearer error="invalid_token", `, 1)
			}}},
		{Name: "no scope in the challenge", Why: "ChatGPT takes the scopes of the sign-in from there, the others from the metadata too",
			Step: "scopes", Fails: only("chatgpt"),
			Fault: Fault{Challenge: withoutScope}},
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

func resourceRows() []Row {
	toRoot := func(good string) string { return strings.ReplaceAll(good, PathDocument, rootDocument) }
	exact := "claude.ai and Claude Code want the URL that was URL; VS Code drops the document; the TypeScript SDK wants a prefix; codex the URL or the origin"
	strict := only("claude.ai", "claude-code", "chatgpt", "cursor", "inspector", "codex")
	return []Row{
		{Name: "the metadata that the challenge names is not there", Why: "the others go on at the Origin; ChatGPT requires the document",
			Fault: Fault{Challenge: func(good string) string { return strings.ReplaceAll(good, "/oauth-protected-resource/mcp", "/nothing") }},
			Step:  "resource-metadata", Fails: only("chatgpt"), Warns: everybody("chatgpt", "sdk-2025-03-26")},
		{Name: "no metadata at either path, no challenge", Why: "as above", Step: "resource-metadata",
			Fault: Fault{Challenge: func(string) string { return "" }, Edit: withoutScopes, Over: map[string]http.HandlerFunc{PathDocument: Status(404), rootDocument: Status(404)}},
			Fails: only("chatgpt"), Warns: everybody("chatgpt", "sdk-2025-03-26")},
		{Name: "the metadata asks for a token", Why: "as above", Step: "resource-metadata",
			Fault: Fault{Over: map[string]http.HandlerFunc{PathDocument: Status(401), rootDocument: Status(401)}},
			Fails: only("chatgpt"), Warns: everybody("chatgpt", "sdk-2025-03-26")},
		{Name: "the metadata is a page", Why: "as above", Step: "resource-metadata",
			Fault: Fault{Over: map[string]http.HandlerFunc{PathDocument: page(200), rootDocument: page(200)}},
			Fails: only("chatgpt"), Warns: everybody("chatgpt", "sdk-2025-03-26")},
		{Name: "metadata only at the root", Why: exact, Step: "resource", Fails: only("claude.ai", "claude-code"), Warns: only("vscode"),
			Fault: Fault{Challenge: toRoot, Over: over(PathDocument, Status(404))}},
		{Name: "metadata only at the root, no challenge", Why: exact, Step: "resource", Fails: only("claude.ai", "claude-code"), Warns: only("vscode"),
			Fault: Fault{Challenge: func(string) string { return "" }, Edit: withoutScopes, Over: over(PathDocument, Status(404))}},
		{Name: "metadata only at the path", Why: "the challenge leads there", Step: "resource-metadata-paths", Warns: readsPRM,
			Fault: Fault{Over: over(rootDocument, Status(404))}},
		{Name: "resource is another host", Why: "RFC 9728 §3.3; VS Code drops the document", Step: "resource", Fails: strict, Warns: only("vscode"),
			Fault: Fault{Edit: Set("resource", "resource", "https://internal.example.net/mcp")}},
		{Name: "resource is http behind a proxy that ends TLS", Why: "as above", Step: "resource", Fails: strict, Warns: only("vscode"),
			Fault: Fault{Edit: Set("resource", "resource", "http://"+Host+"/mcp")}},
		{Name: "resource is the Origin, the URL has a path", Why: exact, Step: "resource", Fails: only("claude.ai", "claude-code"), Warns: only("vscode"),
			Fault: Fault{Edit: Set("resource", "resource", Origin)}},
		{Name: "resource ends in a slash", Why: exact + "; a longer path is no prefix", Step: "resource", Fails: strict, Warns: only("vscode"),
			Fault: Fault{Edit: Set("resource", "resource", URL+"/")}},
		{Name: "no authorization server is named", Why: "the others go on at the Origin; ChatGPT requires it", Step: "authorization-servers",
			Fails: only("chatgpt"), Warns: everybody("chatgpt", "sdk-2025-03-26"), Fault: Fault{Edit: Set("resource", "authorization_servers", []string{})}},
		{Name: "the authorization server is http behind a proxy that ends TLS", Why: "nothing answers there, and nobody should ask", Step: "authorization-servers",
			Fails: readsPRM, Fault: Fault{Edit: Set("resource", "authorization_servers", []string{"http://" + Host})}},
		{Name: "two authorization servers", Why: "claude.ai takes the first; it is a good one", Step: "authorization-servers", Warns: readsPRM,
			Fault: Fault{Edit: Set("resource", "authorization_servers", []string{Origin, "https://other.example.com"})}},
	}
}

func serverRows() []Row {
	return []Row{
		{Name: "no authorization server metadata", Why: "the TypeScript SDK, VS Code and claude.ai guess the endpoints; ChatGPT and codex do not", Step: "server-metadata",
			Fault: Fault{Over: map[string]http.HandlerFunc{serverPath: Status(404), openIDPath: Status(404)}, Edit: withoutScopes, Challenge: withoutScope},
			Fails: only("chatgpt", "codex"), Warns: everybody("chatgpt", "codex")},
		{Name: "authorization server metadata only as an OpenID document", Why: "all but the oldest climb there; it guesses", Step: "server-metadata",
			Fault: Fault{Over: over(serverPath, Status(404))}, Warns: only("sdk-2025-03-26")},
		{Name: "500 where there is no metadata", Why: "the TypeScript SDK ends its search at 500", Step: "server-metadata",
			Fault: Fault{Over: over(serverPath, Status(500))}, Fails: append([]string{"sdk-2025-03-26"}, typeScript...)},
		{Name: "response_types_supported is missing", Why: "RFC 8414 §2 requires it, and the TypeScript SDK has it in its schema", Step: "server-metadata",
			Fault: Fault{Edit: Set("server", "response_types_supported", nil)}, Fails: append([]string{"sdk-2025-03-26"}, typeScript...)},
		{Name: "the issuer is another", Why: "ChatGPT compares strings; codex refuses another issuer; the TypeScript SDK 1.x does not compare", Step: "issuer",
			Fault: Fault{Edit: Set("server", "issuer", "https://auth.internal")}, Fails: only("chatgpt", "codex"), Warns: everybody("chatgpt", "codex")},
		{Name: "the issuer ends in a slash", Why: "ChatGPT compares strings", Step: "issuer", Fails: only("chatgpt"), Warns: everybody("chatgpt"),
			Fault: Fault{Edit: Set("server", "issuer", Origin+"/"), Iss: func(q url.Values) { q.Set("iss", Origin+"/") }}},
		{Name: "the authorization server is another host", Why: "the oldest revision knows the MCP server's own only", Step: "registration",
			Fault: elsewhere(), Fails: only("sdk-2025-03-26")},
		{Name: "http endpoints behind a proxy that ends TLS", Why: "nothing answers there, and nobody should send a code there", Step: "endpoints",
			Fault: Fault{Edit: Set("server", "token_endpoint", "http://"+Host+"/token")}, Fails: everybody()},
		{Name: "S256 is not among the methods", Why: "all but VS Code look", Step: "pkce", Fails: everybody("vscode"), Warns: only("vscode"),
			Fault: Fault{Edit: Set("server", "code_challenge_methods_supported", []string{"plain"})}},
		{Name: "no PKCE methods at all", Why: "MCP says clients refuse; the TypeScript SDK 1.x of today and codex go on, that of 2025-03-26 does not",
			Step: "pkce", Fails: only("claude.ai", "chatgpt", "sdk-2025-03-26"), Warns: everybody("claude.ai", "chatgpt", "sdk-2025-03-26"),
			Fault: Fault{Edit: Set("server", "code_challenge_methods_supported", nil)}},
		{Name: "none is not among the authentication methods", Why: "ChatGPT wants it; claude.ai registers instead", Step: "client-authentication",
			Fails: only("chatgpt"), Warns: everybody("chatgpt"), Fault: Fault{Edit: Set("server", "token_endpoint_auth_methods_supported", []string{"client_secret_post"})}},
		{Name: "no grant types", Why: "the default is authorization_code and implicit", Step: "grant-types", Warns: everybody(),
			Fault: Fault{Edit: Set("server", "grant_types_supported", nil)}},
		{Name: "no OpenID document", Why: "ChatGPT asks for it, and lives without", Step: "openid-configuration", Warns: only("chatgpt"),
			Fault: Fault{Over: over(openIDPath, Status(404))}},
		{Name: "half an OpenID document", Why: "as above", Step: "openid-configuration", Warns: only("chatgpt"),
			Fault: Fault{Edit: Set("openid", "subject_types_supported", nil)}},
		{Name: "no keys", Why: "clients do not verify tokens", Step: "jwks", Warns: everybody(), Fault: Fault{Over: over("/jwks", Status(404))}},
		{Name: "no scopes in the authorization server metadata", Why: "Cursor and codex take them from there", Step: "scopes", Fails: only("cursor", "codex"),
			Fault: Fault{Edit: Set("server", "scopes_supported", nil)}},
		{Name: "no CORS at the token endpoint", Why: "the Inspector runs in a browser", Step: "cors", Fails: only("inspector"),
			Fault: Fault{In: withoutCORS("/token")}},
		{Name: "no CORS at the metadata", Why: "as above", Step: "cors", Fails: only("inspector"), Fault: Fault{In: withoutCORS(serverPath)}},
	}
}

// elsewhere is a deployment whose authorization server is another Host.
func elsewhere() Fault {
	const there = "auth.example.com"
	return Fault{
		Certificate: func(c *x509.Certificate) { c.DNSNames = []string{Host, there} },
		Edit: func(doc string, m map[string]any) {
			for name, v := range m {
				if address, _ := v.(string); doc != "resource" && doc != "root resource" && strings.HasPrefix(address, Origin) {
					m[name] = strings.Replace(address, Host, there, 1)
				}
			}
			if doc == "resource" || doc == "root resource" {
				m["authorization_servers"] = []string{"https://" + there}
			}
		},
		Iss: func(q url.Values) { q.Set("iss", "https://"+there) },
		In: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Host == Host && r.URL.Path != "/mcp" && r.URL.Path != "/approve" && !strings.Contains(r.URL.Path, "oauth-protected-resource") {
					Status(404)(w, r)
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

func clientRows() []Row {
	loopback := func(uri string) bool { return withoutPort(uri) != uri }
	private := func(uri string) bool { return strings.HasPrefix(uri, "cursor:") }
	refuses := func(bad func(string) bool) func([]string) bool {
		return func(uris []string) bool {
			return len(uris) == 1 && strings.HasSuffix(uris[0], "/callback") && FromDoctor(uris[0]) || !slices.ContainsFunc(uris, bad)
		}
	}
	return []Row{
		{Name: "registration refuses loopback", Why: "those that register do so with one; the others have a metadata document or an https callback", Step: "registration",
			Fault: Fault{Registers: refuses(loopback)}, Fails: registers},
		{Name: "registration refuses a set with a private scheme in it", Why: "Cursor registers three at once", Step: "registration",
			Fault: Fault{Registers: refuses(private)}, Fails: only("cursor")},
		{Name: "registration keeps loopback out of the set", Why: "what is not kept cannot be used", Step: "registration", Fails: only("cursor"),
			Fault: Fault{Edit: func(doc string, m map[string]any) {
				if uris, _ := m["redirect_uris"].([]any); doc == "registration" && len(uris) == 3 {
					m["redirect_uris"] = uris[:2]
				}
			}}},
		{Name: "registration answers null", Why: "the schema of the TypeScript SDK has no null", Step: "registration",
			Fault: Fault{Edit: func(doc string, m map[string]any) {
				if doc == "registration" {
					m["client_uri"] = nil
				}
			}}, Fails: only("cursor", "inspector", "sdk-2025-03-26")},
		{Name: "nobody can register", Why: "those with a metadata document need not; the doctor cannot sign in either", Step: "registration",
			Fault: Fault{Edit: Set("server", "registration_endpoint", nil)}, Fails: registers},
		{Name: "no metadata documents", Why: "those that have one register", Fault: Fault{Edit: Set("server", "client_id_metadata_document_supported", nil)}},
		{Name: "neither registration nor metadata documents", Why: "there is no way in", Step: "registration", Fails: everybody(),
			Fault: Fault{Edit: func(doc string, m map[string]any) {
				Set("server", "registration_endpoint", nil)(doc, m)
				Set("server", "client_id_metadata_document_supported", nil)(doc, m)
			}}},
		{Name: "metadata documents cannot be fetched", Why: "it is too late to register then", Step: "authorize", Fails: only("claude-code", "chatgpt", "vscode"),
			Fault: Fault{NoFetch: true}},
		{Name: "the port of a loopback redirect is compared", Why: "Claude Code's document has none, and it takes any", Step: "authorize", Fails: only("claude-code"),
			Fault: Fault{ComparePorts: true}},
		{Name: "the MCP URL is no resource", Why: "all send it, but for the oldest", Step: "authorize", Fails: readsPRM,
			Fault: Fault{Resource: func(r string) bool { return r == "" || r == Origin }}},
		{Name: "a request without resource is refused", Why: "the oldest revision has none", Step: "authorize", Fails: only("sdk-2025-03-26"),
			Fault: Fault{Resource: func(r string) bool { return r == URL }}},
		{Name: "the authorization endpoint answers JSON", Why: "people cannot read that", Step: "authorize", Fails: everybody(),
			Fault: Fault{Over: over("/authorize", Status(500))}},
	}
}

// FromDoctor says whether the doctor itself registers, who is no client here.
func FromDoctor(uri string) bool {
	for _, p := range doctor.Profiles() {
		if slices.Contains(p.Redirects, uri) {
			return false
		}
	}
	return true
}

func tokenRows() []Row {
	checksIss := only("chatgpt", "codex")
	return []Row{
		{Name: "a page at the token endpoint", Why: "all parse JSON", Step: "token-errors", Fails: everybody(), Fault: Fault{Over: over("/token", page(200))}},
		{Name: "the token endpoint wants GET", Why: "all post", Step: "token-errors", Fails: everybody(), Fault: Fault{Over: over("/token", Status(405))}},
		{Name: "token errors are pages", Why: "a dead refresh token is not recognized", Step: "token-errors", Fails: everybody(),
			Fault: Fault{In: pagesForErrors}},
		{Name: "iss is wrong", Why: "ChatGPT and codex hold it against the issuer", Step: "iss", Fails: checksIss, Warns: everybody(checksIss...),
			Fault: Fault{Iss: func(q url.Values) { q.Set("iss", "https://evil.example.com") }}},
		{Name: "iss is promised and missing", Why: "as above", Step: "iss", Fails: checksIss, Warns: everybody(checksIss...),
			Fault: Fault{Iss: func(q url.Values) { q.Del("iss") }}},
		{Name: "no refresh token", Why: "the two tools for developers do not mind", Step: "refresh-token", Fails: staying, Warns: everybody(staying...),
			Fault: Fault{NoRefresh: true}},
		{Name: "a refresh needs resource", Why: "codex leaves it out (openai/codex 33403)", Step: "refresh", Fails: only("codex"), Warns: everybody("codex"),
			Fault: Fault{RefreshNeeds: "resource"}},
		{Name: "a refresh is never accepted", Why: "as without refresh token", Step: "refresh", Fails: staying, Warns: everybody(staying...),
			Fault: Fault{RefreshNeeds: "what nobody sends"}},
		{Name: "the MCP server refuses the tokens", Why: "signing in was for nothing", Step: "initialize", Fails: everybody(), Fault: Fault{NoTokens: true}},
		{Name: "the MCP server does not know the oldest revision", Why: "a client ends a session of a revision that it does not know", Step: "initialize",
			Fails: only("sdk-2025-03-26"), Fault: Fault{In: forgetting("2025-03-26")}},
		{Name: "no revocation endpoint", Why: "no client uses it", Step: "revoke", Warns: everybody(), Fault: Fault{Edit: Set("server", "revocation_endpoint", nil)}},
	}
}

// forgetting makes the MCP server believe that it is asked for a revision that
// never was.
func forgetting(protocol string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, err := io.ReadAll(r.Body); err == nil {
				body = bytes.ReplaceAll(body, []byte(`"protocolVersion":"`+protocol+`"`), []byte(`"protocolVersion":"1999-01-01"`))
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			}
			next.ServeHTTP(w, r)
		})
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

func streamRows() []Row {
	quick := func(o *doctor.Options) { o.Patience = 2 * time.Second }
	long := func(o *doctor.Options) { o.Idle = time.Minute }
	return []Row{
		{Name: "a buffering proxy in front", Why: "the header of the stream comes when it ends; connectors open none", Step: "stream",
			Fault: Fault{In: streams(buffering)}, Tune: quick, Fails: streaming, Warns: everybody(streaming...)},
		{Name: "an idle stream is ended", Why: "as above", Step: "idle", Fault: Fault{In: streams(cutting)}, Tune: long, Fails: streaming, Warns: everybody(streaming...)},
		{Name: "an idle stream is lost", Why: "as above", Step: "idle", Fault: Fault{In: streams(losing)}, Tune: long, Fails: streaming, Warns: everybody(streaming...)},
		{Name: "no streams", Why: "405 is an answer", Step: "stream",
			Fault: Fault{In: streams(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { Status(405)(w, r) })}},
	}
}
