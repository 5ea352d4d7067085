package gateway

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
)

// sound is a configuration that says no more than it has to.
const sound = `
provider: {name: google, clientID: id, clientSecret: secret, allowedUsers: [ada@example.com]}
proxy:
  hosts:
    - {host: notes.example.com, endpoint: http://127.0.0.1:3001/mcp}
tls: {mode: "off"}
`

// loads parses a configuration that has to be good.
func loads(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, err := Parse([]byte(text), environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// faultsOf are the lines of what is wrong with a configuration.
func faultsOf(t *testing.T, text string, environ ...string) []string {
	t.Helper()
	c, err := Parse([]byte(text), environ)
	if err == nil {
		return nil
	}
	if c != nil {
		t.Error("there is a configuration as well as an error")
	}
	head, rest, _ := strings.Cut(err.Error(), "\n")
	if head != "gateway: configuration:" {
		t.Errorf("the error begins with %q", head)
	}
	return strings.Split(rest, "\n")
}

// wantFaults compares lines with what each has to begin with, in any order.
func wantFaults(t *testing.T, got []string, want ...string) {
	t.Helper()
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(line string) bool { return strings.HasPrefix(line, w) })
		if i < 0 {
			t.Errorf("no fault begins with %q in\n%s", w, strings.Join(got, "\n"))
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		t.Errorf("these faults were not expected:\n%s", strings.Join(left, "\n"))
	}
}

func TestDefaults(t *testing.T) {
	c := loads(t, sound)
	h := c.Proxy.Hosts[0]
	for what, ok := range map[string]bool{
		"server":  c.Server.Addr == ":443" && c.Server.HTTPAddr == ":80" && c.Server.AdminAddr == "127.0.0.1:9090" && c.Server.Scheme == "https",
		"grace":   c.Server.ShutdownGrace == 30*time.Second && c.Server.MaxBodyBytes == 10485760,
		"limits":  c.Server.Limits == LimitsConfig{60, 60, 10, 100, 0},
		"proxy":   c.Proxy.CORS && c.Proxy.Registration == RegistrationConfig{true, true} && !c.Proxy.DisableConsentScreen,
		"host":    h.Name == "notes.example.com" && h.Authorization == "forward" && h.IdentityHeaders && h.EnforceScopes && !h.PreserveHost,
		"tools":   h.ToolsList == "all" && h.UnscopedTools == "allow" && h.Scopes == nil && !h.Public,
		"streams": h.SSEKeepAlive == 25*time.Second && h.trust() == routing.TLS{},
		"token":   c.Token == TokenConfig{time.Hour, 720 * time.Hour, 2160 * time.Hour, time.Hour, "RS256"},
		"session": c.Session.TTL == 12*time.Hour,
		"store":   c.Store == StoreConfig{URL: "bolt:///var/lib/mcp-oauth2-proxy/state.db", ConnectTimeout: 30 * time.Second, StaleAfter: 30 * time.Second},
		"audit":   c.Audit == AuditConfig{ToolCalls: true, KeyTTL: 9600 * time.Hour},
		"logging": c.Logging == LoggingConfig{"info", "json"},
		"one who": len(c.Providers) == 1 && c.Providers[0].ClientSecret == "secret",
	} {
		if !ok {
			t.Errorf("%s: the default is another: %+v", what, c)
		}
	}
}

func TestWhatIsWrittenWins(t *testing.T) {
	c := loads(t, `
providers:
  - {name: google, clientID: a, clientSecret: b, allowAnyone: true}
  - {name: github, id: hub, clientID: a, clientSecret: b, organization: acme}
proxy:
  Hosts:
    - host: NOTES.example.com.:443
      endpoint: https://10.0.0.1/mcp
      identityHeaders: false
      enforceScopes: false
      scopes: []
      authorization: Bearer x
      headers: [{name: X-Api-Key, value: k}]
  allowedRedirectURLs: ['https://claude\.ai/cb']
server: {trustedProxies: [10.1.2.3/8, "::1"], shutdownGrace: 1m30s, adminAddr: "", httpAddr: ""}
tls: {mode: "off"}
store: {url: "memory:"}
`)
	h := c.Proxy.Hosts[0]
	if h.Host != "notes.example.com" || h.IdentityHeaders || h.EnforceScopes || h.Scopes == nil || h.Authorization != "Bearer x" || h.Headers[0].Value != "k" {
		t.Errorf("the host is %+v", h)
	}
	if s := c.Server; s.AdminAddr != "" || s.HTTPAddr != "" || s.ShutdownGrace != 90*time.Second ||
		s.TrustedProxies[0].String() != "10.0.0.0/8" || s.TrustedProxies[1].String() != "::1/128" {
		t.Errorf("the server is %+v", s)
	}
	if len(c.Providers) != 2 || c.Providers[1].Organization != "acme" {
		t.Errorf("the providers are %+v", c.Providers)
	}
	for url, want := range map[string]bool{
		"https://claude.ai/cb": true, "https://claude.ai/cbx": false, "https://evil/?https://claude.ai/cb": false, "https://claude.ai/cb\n": false,
	} {
		if c.redirectURLs[0].MatchString(url) != want {
			t.Errorf("%q matches: %v", url, !want)
		}
	}
}

func TestProviderAndProvidersAreOneChoice(t *testing.T) {
	c := loads(t, sound+"providers: [{name: github, clientID: a, clientSecret: b, allowAnyone: true}]\n")
	if len(c.Providers) != 2 || c.Providers[0].Name != "google" || c.Providers[1].Name != "github" {
		t.Errorf("the providers are %+v", c.Providers)
	}
	wantFaults(t, faultsOf(t, sound+"providers: [{name: google, clientID: a, clientSecret: b}]\n"),
		"providers[0].allowedEmailDomains: ", `providers[0].id: "google" is the id of provider already`)
}

func TestFilesThatAreNoTree(t *testing.T) {
	for text, want := range map[string]string{
		"a: [b":                    "yaml: ",
		"- a":                      "is a list; it takes keys below it",
		"text":                     "is a text; it takes keys below it",
		sound + "---\n" + sound:    "yaml: there is more than one document",
		"a: &a [*a]":               "yaml: ",
		`{"tls": {"mode": "off",}`: "yaml: ",
		"\x00":                     "yaml: ",
	} {
		wantFaults(t, faultsOf(t, text), want)
	}
	wantFaults(t, faultsOf(t, "# nothing\n"), "provider: is missing", "proxy.hosts: list at least one", "tls.mode: is missing")
}

func TestPath(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(sound), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file, nil); err != nil {
		t.Error(err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml"), []string{"MCP_OAUTH2_PROXY_TLS_MODE=off"}); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
	for path, environ := range map[string][]string{
		"/etc/mcp-oauth2-proxy/config/config.yaml": {"HOME=/root"},
		"/elsewhere.yaml":                          {"MCP_OAUTH2_PROXY_CONFIG=/elsewhere.yaml"},
	} {
		if got := DefaultPath(environ); got != path {
			t.Errorf("with %v the path is %s", environ, got)
		}
	}
}

func TestTheErrorNamesFileAndKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	text := strings.Replace(sound, `"off"`, "acmee", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file, nil)
	if want := "gateway: " + file + ":\ntls.mode: \"acmee\" is not one of acme, files, selfsigned, off"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func FuzzConfig(f *testing.F) {
	for _, file := range []string{"../config.example.yaml", "testdata/original.yaml", "testdata/original-open.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(regexp.MustCompile(`(?im)^.*file.*\n`).ReplaceAll(text, nil), "MCP_OAUTH2_PROXY_TLS_ACME_ACCEPTTOS=true")
	}
	f.Add([]byte(sound), "MCP_OAUTH2_PROXY_PROXY_HOSTS=[{host: a.example, endpoint: http://b}]")
	f.Add([]byte(sound), "MCP_OAUTH2_PROXY_TLS_FILES_CERT=x")
	f.Add([]byte("<<: &a {tls: {mode: off}}\nproxy: *a\nserver: {limits: [null, ~]}\n"), "LOG_LEVEL=loud")
	f.Fuzz(func(t *testing.T, text []byte, variable string) {
		if strings.Contains(strings.ToLower(string(text)+variable), "file") {
			return // what the machine has is not the input's
		}
		c, err := Parse(text, []string{variable})
		if (c == nil) == (err == nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if err != nil {
			return
		}
		// Whatever was written: who is let in was said, and no two hosts are one.
		hosts := map[string]bool{}
		public := true
		for _, h := range c.Proxy.Hosts {
			hosts[canonicalHost(h.Host, c.Server.Scheme)] = true
			public = public && h.Public
		}
		if len(hosts) == 0 || len(hosts) != len(c.Proxy.Hosts) {
			t.Errorf("%d hosts are %v", len(c.Proxy.Hosts), slices.Sorted(maps.Keys(hosts)))
		}
		if len(c.Providers) == 0 && !public {
			t.Error("nobody signs people in")
		}
		for _, p := range c.Providers {
			if len(p.AllowedUsers)+len(p.AllowedEmailDomains)+len(p.AllowedGroups)+len(p.Users) == 0 && p.Organization == "" && !p.AllowAnyone {
				t.Errorf("%s has no rule", p.Name)
			}
		}
	})
}
