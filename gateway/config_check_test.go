package gateway

import (
	"slices"
	"strings"
	"testing"
)

func TestEveryFaultIsNamedAtOnce(t *testing.T) {
	wantFaults(t, faultsOf(t, `
server: {addr: ":443", adress: x, limit: {}, shutdownGrace: 3, limits: {streamsPerUser: -1}}
hosts: []
proxy:
  hosts:
    - 5
    - {host: a.example, endpont: http://x}
    - {host: b.example, endpoint: "b:80"}
  clients: [{clientID: x, grants: [a]}]
tls: {mode: acmee}
provider: {name: oidc, allowedUsers: x, clientID: 5, Scopes: ["a b"]}
token: {accessTTL: 25h, refreshTTL: 1x}
logging: {level: loud}
`),
		"server.adress: is not a key", "server.limit: is not a key; the nearest is limits", "server.shutdownGrace: is a number; it takes a duration",
		"server.limits.streamsPerUser: -1 is less than 0", "hosts: is not a key here; there is proxy.hosts",
		"proxy.hosts[0]: is a number; it takes keys below it", "proxy.hosts[1].endpont: is not a key; the nearest is endpoint",
		`proxy.hosts[2].endpoint: "b:80" is not an http or https URL`, `proxy.clients[0].grants[0]: "a" is not a grant type`,
		`tls.mode: "acmee" is not one of acme, files, selfsigned, off`, "provider.allowedUsers: is a text; it takes a list",
		"provider.clientID: is a number; it takes a text; put it in quotes", "provider.clientSecret: is missing", "provider.issuerURL: is missing",
		"provider.allowedEmailDomains: there is no rule", `provider.scopes[0]: "a b" is not one scope`,
		"token.accessTTL: 25h0m0s is not between 1s and 24h0m0s", `token.refreshTTL: "1x" is not a duration`, `logging.level: "loud" is not one of`)
}

func TestKeysThatAreThereTwice(t *testing.T) {
	wantFaults(t, faultsOf(t, sound+`
session: {ttl: 1h, TTL: 2h}
token:
  accessTTL: 1h
audit: {toolCalls: true}
token: {accessTTL: 2h}
providers: [{name: github, clientID: a, clientId: b, clientSecret: c, allowAnyone: true}]
`),
		"session.TTL: is there twice, on line 8 and on line 8", "token: is there twice, on line 9 and on line 12",
		"providers[0].clientId: is there twice")
}

func TestSecretsAreNeverShown(t *testing.T) {
	text := strings.Join(faultsOf(t, `
provider: {name: google, clientID: id, clientSecret: [hunter2], users: hunter2}
proxy:
  hosts:
    - {host: a.example, endpoint: "http://ada:hunter2@b", authorization: hunter2, headers: [{name: A, value: "hunter2\n"}]}
    - {host: b.example, endpoint: "ftp://ada:hunter2@b", authorization: {Bearer: hunter2}}
tls: {mode: "off", acme: {eabMACKey: 5}}
store: {url: "redis://:hunter2@b"}
`, `MCP_OAUTH2_PROXY_PROXY_CLIENTS=[{clientID: x, clientSecret: hunter2`, "MCP_OAUTH2_PROXY_PROXY_CORS=hunter2"), "\n")
	if strings.Contains(text, "hunter2") || len(strings.Split(text, "\n")) < 9 {
		t.Errorf("the faults are:\n%s", text)
	}
}

// spoil changes a part of the sound configuration.
func spoil(t *testing.T, old, replacement string) string {
	t.Helper()
	if !strings.Contains(sound, old) {
		t.Fatalf("%q is not there", old)
	}
	return strings.Replace(sound, old, replacement, 1)
}

func TestFaultsOfHosts(t *testing.T) {
	host := func(keys string) string {
		return spoil(t, "{host: notes.example.com, endpoint: http://127.0.0.1:3001/mcp}", keys)
	}
	at := "proxy.hosts[0]."
	for text, want := range map[string]string{
		"{endpoint: http://a/mcp}":                                    at + "host: is missing",
		"{host: https://a.example}":                                   at + `host: "https://a.example" is not a host; leave out the scheme`,
		"{host: a.example/mcp}":                                       at + `host: "a.example/mcp" is not a host; leave out`,
		"{host: '*.example.com'}":                                     at + `host: "*.example.com" is not a host`,
		"{host: 'a b'}":                                               at + `host: "a b" is not a host`,
		"{host: a..example}":                                          at + `host: "a..example" is not a host`,
		"{host: bücher.example}":                                      at + `host: "bücher.example" is spelled xn--bcher-kva.example`,
		"{host: 'a.example:70000'}":                                   at + `host: "a.example:70000" has no valid port`,
		"{host: 'ada@a.example'}":                                     at + `host: "ada@a.example" is not a host`,
		"{host: a.example, endpoint: /mcp}":                           at + `endpoint: "/mcp" is not an http or https URL`,
		"{host: a.example, endpoint: 'http://'}":                      at + "endpoint: ",
		"{host: a.example, endpoint: 'http://a/mcp?x=1'}":             at + "endpoint: \"http://a/mcp?x=1\" has a query",
		"{host: a.example, endpoint: 'http://a/mcp#x'}":               at + "endpoint: \"http://a/mcp#x\" has a query or a fragment",
		"{host: a.example, endpoint: 'http://u:p@a/mcp'}":             at + "endpoint: \"http://u:xxxxx@a/mcp\" holds a username",
		"{host: a.example, endpoint: 'http://a:99999/'}":              at + "endpoint: ",
		"{host: a.example, endpoint: 'http://a/token'}":               at + `endpoint: "http://a/token": the path /token is the gateway's own`,
		"{host: a.example, public: true}":                             at + "endpoint: is missing; a public host",
		"{host: a.example, endpoint: http://a, toolsList: some}":      at + `toolsList: "some" is not one of all, granted`,
		"{host: a.example, endpoint: http://a, unscopedTools: ask}":   at + `unscopedTools: "ask" is not one of allow, deny`,
		"{host: a.example, endpoint: http://a, authorization: token}": at + "authorization: is neither",
		"{host: a.example, endpoint: http://a, paths: [mcp]}":         at + `paths[0]: "mcp" is not a plain path`,
		"{host: a.example, endpoint: http://a, paths: [/a/../b]}":     at + `paths[0]: "/a/../b" is not a plain path`,
		"{host: a.example, allow: {emailDomains: ['(']}}":             at + `allow.emailDomains[0]: "(" is not a regular expression`,
		"{host: a.example, allow: {users: ['']}}":                     at + "allow.users[0]: is empty",
		"{host: a.example, headers: [{name: 'a b', value: x}]}":       at + `headers[0].name: "a b" is not the name of a header`,
		"{host: a.example, headers: [{name: Authorization, value: x}]}": at +
			"headers[0].name: use proxy.hosts[0].authorization",
		"{host: a.example, headers: [{name: X-Forwarded-User, value: x}]}":         at + "headers[0].name: X-Forwarded-User is the gateway's",
		"{host: a.example, headers: [{name: A}]}":                                  at + "headers[0].value: is missing (or valueFile)",
		"{host: a.example, scopes: [{name: 'a b'}]}":                               at + `scopes[0].name: "a b" is not a scope`,
		"{host: a.example, scopes: [{name: openid}]}":                              at + `scopes[0].name: "openid" has a meaning`,
		"{host: a.example, scopes: [{name: a}, {name: a}]}":                        at + `scopes[1].name: "a" is listed twice`,
		"{host: a.example, endpoint: http://a, public: true, allow: {users: [a]}}": at + "public: nobody is asked",
	} {
		t.Run(text, func(t *testing.T) { wantFaults(t, faultsOf(t, host(text)), want) })
	}
}

func TestTwoSpellingsOfOneHost(t *testing.T) {
	for _, other := range []string{"notes.example.com", "NOTES.example.com", "notes.example.com.", "notes.example.com:443", "Notes.Example.COM.:0443"} {
		text := spoil(t, "    - {host", "    - {host: '"+other+"', endpoint: http://127.0.0.1:3002/mcp}\n    - {host")
		wantFaults(t, faultsOf(t, text), `proxy.hosts[1].host: "notes.example.com" is proxy.hosts[0].host already`)
	}
	loads(t, spoil(t, "    - {host", "    - {host: 'notes.example.com:8443'}\n    - {host: '[::1]:8443'}\n    - {host"))
}

func TestPlainHTTPIsForLoopback(t *testing.T) {
	text := strings.Replace(spoil(t, "notes.example.com", "HOST"), "tls: {mode: \"off\"}", "tls: {mode: MODE}\nserver: {scheme: http}", 1)
	for _, tc := range []struct {
		host, mode string
		good       bool
	}{
		{"localhost:8080", "off", true}, {"127.0.0.1:8080", "off", true}, {"'[::1]:8080'", "off", true}, {"app.localhost", "off", true},
		{"notes.example.com", "off", false}, {"192.168.1.2", "off", false}, {"localhost.example.com", "off", false},
		{"localhost:8080", "selfsigned", false},
	} {
		got := faultsOf(t, strings.NewReplacer("HOST", tc.host, "MODE", "'"+tc.mode+"'").Replace(text))
		if tc.good != (got == nil) {
			t.Errorf("%s with tls.mode %s: %v", tc.host, tc.mode, got)
		}
	}
}

func TestFaultsOfTheRest(t *testing.T) {
	for text, want := range map[string]string{
		"server: {addr: ''}":                                    "server.addr: is empty",
		"server: {addr: '443'}":                                 `server.addr: "443" is not an address`,
		"server: {adminAddr: ':https'}":                         `server.adminAddr: ":https" does not end in a port`,
		"server: {scheme: ftp}":                                 `server.scheme: "ftp" is not one of https, http`,
		"server: {trustedProxies: [10.0.0.0/33]}":               `server.trustedProxies[0]: "10.0.0.0/33" is not a network`,
		"server: {maxBodyBytes: 0}":                             "server.maxBodyBytes: 0 is not between",
		"server: {shutdownGrace: -1s}":                          "server.shutdownGrace: -1s is not between",
		"token: {refreshIdleTTL: 3000h}":                        "token.refreshIdleTTL: 3000h0m0s is longer than token.refreshTTL",
		"token: {algorithm: HS256}":                             `token.algorithm: "HS256" is not one of RS256, ES256`,
		"token: {keyRotation: 0s}":                              "token.keyRotation: 0s is not between",
		"session: {ttl: 0s}":                                    "session.ttl: 0s is not between",
		"store: {url: 'bolt://state.db'}":                       "store.url: is not memory:",
		"store: {url: 'bolt:///'}":                              "store.url: is not memory:",
		"store: {url: 'postgres://u:s3c ret@h/db'}":             "store.url: is not a URL such as postgres://user@host/database",
		"store: {url: 'postgres://u@h/db?sslmode=sometimes'}":   "store.url: read the database's URL: ",
		"store: {url: 'postgres://u@h/db?pool_max_conns=many'}": "store.url: read the database's URL: ",
		"store: {staleAfter: 1s}":                               "store.staleAfter: 1s is not between",
		"store: {connectTimeout: -1s}":                          "store.connectTimeout: -1s is not between",
		"store: {url: ''}":                                      "store.url: is not memory:",
		"store: {keyFile: /nonexistent}":                        "store.keyFile: ",
		"logging: {format: xml}":                                `logging.format: "xml" is not one of json, text`,
		"audit: {toolCalls: 'yes'}":                             "audit.toolCalls: is a text; it takes true or false",
		"provider2: {}":                                         "provider2: is not a key; the nearest is provider",
		"Proxy.Cors: true":                                      "Proxy.Cors: is not a key",
		"1: 2":                                                  "1: is not a key",
		"audit: {path: 2024-01-01}":                             "audit.path: is a date; it takes a text; put it in quotes",
		"store: null\naudit: {1: 2}":                            "audit.1: is not a key",
		"audit: {? {a: b} : c}":                                 "yaml: invalid map key",
	} {
		t.Run(text, func(t *testing.T) { wantFaults(t, faultsOf(t, sound+text), want) })
	}
}

func TestFaultsOfTheProxy(t *testing.T) {
	for text, want := range map[string][]string{
		"disableConsentScreen: true":                         {"proxy.disableConsentScreen: needs proxy.allowedRedirectURLs"},
		"allowedRedirectURLs: ['(', '']":                     {`proxy.allowedRedirectURLs[0]: "(" is not a regular`, "proxy.allowedRedirectURLs[1]: is empty"},
		"allowedRedirectURLs: ['a)|(b']":                     {`proxy.allowedRedirectURLs[0]: "a)|(b" is not a regular`},
		"allowedOrigins: ['https://a.example/']":             {`proxy.allowedOrigins[0]: "https://a.example/" is not an origin`},
		"allowedOrigins: ['https://A.example']":              {`proxy.allowedOrigins[0]: "https://A.example": browsers send`},
		"clients: [{clientID: a, redirectURIs: ['data:x']}]": {"proxy.clients[0].redirectURIs[0]: "},
		"clients: [{redirectURIs: ['https://a/b']}]":         {"proxy.clients[0].clientID: "},
		"clients: [{clientID: a, redirectURIs: ['https://a/b']}, {clientID: a, redirectURIs: ['https://a/b']}]": {
			"proxy.clients[1].clientID: another client has it"},
	} {
		t.Run(text, func(t *testing.T) { wantFaults(t, faultsOf(t, spoil(t, "proxy:\n", "proxy:\n  "+text+"\n")), want...) })
	}
}

func TestAutomaticCertificatesNeedConsentAndNames(t *testing.T) {
	text := spoil(t, `{mode: "off"}`, "{mode: acme}")
	wantFaults(t, faultsOf(t, text), "tls.acme.acceptTOS: must be true")
	loads(t, strings.Replace(text, "acme}", "acme, acme: {acceptTOS: true}}", 1))
	text = strings.Replace(text, "notes.example.com", "localhost", 1)
	wantFaults(t, faultsOf(t, text), "tls.acme.acceptTOS: ", `proxy.hosts: "localhost" is no full domain name`)
}

func TestCertificateFilesHaveToBeThere(t *testing.T) {
	wantFaults(t, faultsOf(t, spoil(t, `{mode: "off"}`, "{mode: files}")), "tls.files: name at least one pair")
	wantFaults(t, faultsOf(t, spoil(t, `{mode: "off"}`, "{mode: files, files: {cert: /none.crt, key: /none.key}}")), "tls.files.cert: ", "tls.files.key: ")
	wantFaults(t, faultsOf(t, spoil(t, `{mode: "off"}`, "{mode: files, files: {crt: /none.crt}}")),
		"tls.files.crt: is not a key; the nearest is cert", "tls.files.cert: ", "tls.files.key: ")
}

func TestAllHostsPublicNeedNoProvider(t *testing.T) {
	loads(t, "proxy: {hosts: [{host: a.example, endpoint: http://a, public: true}]}\ntls: {mode: selfsigned}\n")
	wantFaults(t, faultsOf(t, "proxy: {hosts: [{host: a.example, endpoint: http://a}]}\ntls: {mode: selfsigned}\n"), "provider: is missing")
}

func TestWarnings(t *testing.T) {
	for endpoint, warned := range map[string]bool{
		"http://127.0.0.1:3001/mcp": false, "http://[::1]:3001/mcp": false, "http://10.1.2.3/mcp": false, "http://notes/mcp": false,
		"http://notes.default.svc.cluster.local/mcp": false, "https://notes.example.com/mcp": false,
		"http://notes.example.com/mcp": true, "http://8.8.8.8/mcp": true, "http://[2001:db8::1]/mcp": true,
	} {
		text := spoil(t, "http://127.0.0.1:3001/mcp", "'"+endpoint+"'") + "session: {ttl: 1h}\n"
		got := loads(t, text).Warnings()
		if warned != (len(got) == 1 && strings.HasPrefix(got[0], "proxy.hosts[0].endpoint: access tokens would travel in clear to ")) || !warned && len(got) > 0 {
			t.Errorf("%s: %v", endpoint, got)
		}
		if got := loads(t, strings.Replace(text, "endpoint:", "authorization: none, endpoint:", 1)).Warnings(); len(got) > 0 {
			t.Errorf("%s without the token: %v", endpoint, got)
		}
	}
	open := spoil(t, "proxy:\n", "proxy:\n  disableConsentScreen: true\n  allowedRedirectURLs: ['.*']\n") + "session: {ttl: 1h}\n"
	if got := loads(t, open).Warnings(); len(got) != 1 || !strings.HasPrefix(got[0], "proxy.allowedRedirectURLs[0]: matches any URL") {
		t.Errorf("a pattern for everything: %v", got)
	}
}

func TestOriginalConfiguration(t *testing.T) {
	want := []string{
		"tls.mode: is missing; say acme, files, selfsigned, or off behind another proxy (tls: {mode: off})",
		"provider.usernameAsSubject: sub is the provider's stable id now",
		`provider.allowedEmailDomains[0]: "example.com" matches the whole domain now`,
		`proxy.allowedRedirectURLs[0]: "https://claude\\.ai/" matches the whole URL now`,
		"proxy.allowedOrigins: cors no longer lets pages of every origin call",
	}
	text := read(t, "testdata/original.yaml")
	wantFaults(t, faultsOf(t, text), want...)
	text += "tls: {mode: off}\n" // YAML 1.2: no boolean
	c := loads(t, text)
	wantFaults(t, c.Warnings(), want[1:]...)
	if c.Providers[0].AllowedEmailDomains[0] != "example.com" || len(c.Proxy.Hosts) != 2 || !c.Proxy.DisableConsentScreen || c.Server.Addr != ":8080" {
		t.Errorf("it means %+v", c)
	}
	for _, fix := range [][2]string{
		{"name: google", "name: google\n  usernameAsSubject: true"},
		{"- example.com", "- '^(example.com)$'"},
		{`- https://claude\.ai/`, `- '^.*(https://claude\.ai/).*$'`},
		{"cors: true", "cors: true\n  allowedOrigins: [https://app.example.com]"},
	} {
		text = strings.Replace(text, fix[0], fix[1], 1)
	}
	if got := loads(t, text).Warnings(); len(got) > 0 {
		t.Errorf("with every change said: %v", got)
	}
}

func TestOriginalConfigurationThatLetEverybodyIn(t *testing.T) {
	text := read(t, "testdata/original-open.yaml")
	wantFaults(t, faultsOf(t, text),
		"provider.allowedEmailDomains: there is no rule who may enter; set allowedEmailDomains, allowedUsers, allowedGroups, organization, or allowAnyone: true",
		"proxy.disableConsentScreen: needs proxy.allowedRedirectURLs", "tls.mode: is missing",
		"provider.usernameAsSubject: ", `server.addr: the default is :443 now, it was :8080 (addr: ":8080")`)
	text = strings.Replace(text, "name: github", "name: github\n  allowAnyone: true", 1)
	text = strings.Replace(text, "disableConsentScreen: true", `allowedRedirectURLs: ['https://claude\.ai/api/mcp/auth_callback']`, 1)
	loads(t, text+"tls: {mode: off}\n")
}

func TestNewConfigurationsAreNotToldOfTheOriginal(t *testing.T) {
	got := loads(t, sound+"store: {url: 'memory:'}\n").Warnings()
	if slices.ContainsFunc(got, func(w string) bool { return strings.Contains(w, "now") }) {
		t.Errorf("the warnings are %v", got)
	}
}

func TestAnchored(t *testing.T) {
	for pattern, want := range map[string]bool{
		`^a$`: true, `^(a|b)$`: true, `^a|b$`: false, `a`: false, `^a`: false, `a$`: false, `^a\$`: false, `(`: false, ``: false,
	} {
		if anchored(pattern) != want {
			t.Errorf("%q: %v", pattern, !want)
		}
	}
}

func TestWarningsOfADatabase(t *testing.T) {
	for url, warned := range map[string]bool{
		"postgres://db.example.com/state":                       true,
		"postgres://db.example.com/state?sslmode=prefer":        true,
		"postgres://db.example.com/state?sslmode=verify-full":   false,
		"postgresql://db.example.com/state?sslmode=verify-full": false,
		"postgres://10.0.0.5/state":                             false,
		"postgres://db/state":                                   false,
		"postgres:///state?host=/run/postgresql":                false,
	} {
		got := loads(t, sound+"store: {url: '"+url+"'}\n").Warnings()
		if (len(got) == 1 && strings.HasPrefix(got[0], "store.url: the connection to db.example.com")) != warned || !warned && len(got) > 0 {
			t.Errorf("%s: %v", url, got)
		}
	}
}
