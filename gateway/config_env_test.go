package gateway

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/gateway/demo"
	"mcp-oauth2-proxy/tls"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sampleOf is the text of a variable for a key of the type, and what the field
// is then.
func sampleOf(t *testing.T, typ reflect.Type) (string, any) {
	t.Helper()
	switch typ {
	case reflect.TypeFor[string]():
		return "sample", "sample"
	case reflect.TypeFor[time.Duration]():
		return "77s", 77 * time.Second
	case reflect.TypeFor[[]string]():
		return "one, two", []string{"one", "two"}
	case reflect.TypeFor[[]netip.Prefix]():
		return "10.0.0.0/8", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	case reflect.TypeFor[float64]():
		return "0.77", 0.77
	case reflect.TypeFor[int](), reflect.TypeFor[int64]():
		return "77", reflect.ValueOf(77).Convert(typ).Interface()
	}
	if isList(typ) {
		v := reflect.New(typ.Elem()).Elem()
		first := configKeys(typ.Elem())[0]
		v.Field(0).SetString("sample")
		return fmt.Sprintf(`[{%q: "sample"}]`, first.name), reflect.Append(reflect.Zero(typ), v).Interface()
	}
	t.Fatalf("no sample for %s", typ)
	return "", nil
}

// field is what a configuration has at a path.
func field(c *Config, path []string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for _, name := range path {
		if isList(v.Type()) {
			v = v.Index(0)
		}
		t := v.Type()
		for i := range t.NumField() {
			if t.Field(i).IsExported() && keyName(t.Field(i)) == name {
				v = v.Field(i)
				break
			}
		}
	}
	return v
}

func TestEveryKeyCanBeSetByItsVariable(t *testing.T) {
	keys := envKeys()
	if len(keys) < 60 {
		t.Fatalf("there are %d keys only", len(keys))
	}
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			path := key.path
			var before, after Config
			if err := unmarshal(map[string]any{}, &before); err != nil {
				t.Fatal(err)
			}
			var text string
			var want any
			if key.typ.Kind() == reflect.Bool {
				b := !field(&before, path).Bool()
				text, want = fmt.Sprint(b), b
			} else {
				text, want = sampleOf(t, key.typ)
			}
			if last := path[len(path)-1]; strings.HasSuffix(last, "File") && last != "keyFile" && last != "caFile" {
				file := filepath.Join(t.TempDir(), "secret")
				if err := os.WriteFile(file, []byte("sample\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				text, path = file, append(path[:len(path)-1:len(path)-1], strings.TrimSuffix(last, "File"))
			}
			f := &configFaults{blind: map[string]bool{}}
			tree := map[string]any{}
			overlay(tree, map[string]string{name: text}, f)
			readSecrets(tree, f)
			defaultHosts(tree)
			if err := unmarshal(tree, &after); err != nil || len(f.lines) > 0 {
				t.Fatalf("%v %v", err, f.lines)
			}
			got := field(&after, path).Interface()
			if hosts, ok := got.([]HostConfig); ok {
				got = []HostConfig{{Host: hosts[0].Host}}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s=%s makes it %v", name, text, got)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	c := loads(t, sound,
		"MCP_OAUTH2_PROXY_PROVIDER_CLIENTSECRET=from-env", "MCP_OAUTH2_PROXY_PROVIDER_ALLOWEDUSERS=ada@example.com, bob@example.com",
		`MCP_OAUTH2_PROXY_PROXY_HOSTS=[{"host":"other.example.com","endpoint":"http://127.0.0.1:1/mcp"}]`,
		`MCP_OAUTH2_PROXY_PROXY_ALLOWEDREDIRECTURLS=["https://a,b/"]`,
		"MCP_OAUTH2_PROXY_SERVER_HTTPADDR=", "LOG_LEVEL=DEBUG", "UNRELATED=x",
		// What Kubernetes sets beside a service of our name.
		"MCP_OAUTH2_PROXY_SERVICE_HOST=10.0.0.1", "MCP_OAUTH2_PROXY_SERVICE_PORT_HTTPS=443", "MCP_OAUTH2_PROXY_PORT=tcp://10.0.0.1:443",
		"MCP_OAUTH2_PROXY_PORT_443_TCP_ADDR=10.0.0.1", "MCP_OAUTH2_PROXY_PORT_443_TCP=tcp://10.0.0.1:443", "MCP_OAUTH2_PROXY_CONFIG=/x")
	p := c.Providers[0]
	if p.ClientSecret != "from-env" || len(p.AllowedUsers) != 2 || p.AllowedUsers[1] != "bob@example.com" || p.Name != "google" {
		t.Errorf("the provider is %+v", p)
	}
	if c.Proxy.Hosts[0].Host != "other.example.com" || !c.Proxy.Hosts[0].EnforceScopes || c.Proxy.AllowedRedirectURLs[0] != "https://a,b/" {
		t.Errorf("the proxy is %+v", c.Proxy)
	}
	if c.Server.HTTPAddr != "" || c.Logging.Level != "debug" {
		t.Errorf("the server is %+v, the log %+v", c.Server, c.Logging)
	}
	if c := loads(t, sound, "LOG_LEVEL=debug", "MCP_OAUTH2_PROXY_LOGGING_LEVEL=warn"); c.Logging.Level != "warn" {
		t.Errorf("the level is %s", c.Logging.Level)
	}
}

func TestEnvironmentAloneIsEnough(t *testing.T) {
	loads(t, "", "MCP_OAUTH2_PROXY_PROVIDER_NAME=google", "MCP_OAUTH2_PROXY_PROVIDER_CLIENTID=a", "MCP_OAUTH2_PROXY_PROVIDER_CLIENTSECRET=b",
		"MCP_OAUTH2_PROXY_PROVIDER_ALLOWANYONE=true", `MCP_OAUTH2_PROXY_PROXY_HOSTS=[{"host":"a.example","endpoint":"http://b/mcp"}]`,
		"MCP_OAUTH2_PROXY_TLS_MODE=off")
}

func TestFaultsOfTheEnvironment(t *testing.T) {
	for variable, want := range map[string]string{
		"MCP_OAUTH2_PROXY_SERVER_PORT=443":                     "MCP_OAUTH2_PROXY_SERVER_PORT: is not the variable of a key",
		"MCP_OAUTH2_PROXY_SERVER_ADR=:443":                     "MCP_OAUTH2_PROXY_SERVER_ADR: is not the variable of a key; the nearest is MCP_OAUTH2_PROXY_SERVER_ADDR",
		"MCP_OAUTH2_PROXY_PROXY=x":                             "MCP_OAUTH2_PROXY_PROXY: is not the variable of a key",
		"MCP_OAUTH2_PROXY_PROXY_CORS=maybe":                    "proxy.cors: is a text; it takes true or false (in MCP_OAUTH2_PROXY_PROXY_CORS)",
		"MCP_OAUTH2_PROXY_SESSION_TTL=1":                       `session.ttl: "1" is not a duration such as 30s, 10m or 12h (in MCP_OAUTH2_PROXY_SESSION_TTL)`,
		"MCP_OAUTH2_PROXY_SERVER_MAXBODYBYTES=10MB":            "server.maxBodyBytes: is a text; it takes a whole number",
		"MCP_OAUTH2_PROXY_PROXY_HOSTS=a.example":               "proxy.hosts: is a text; it takes a list (in MCP_OAUTH2_PROXY_PROXY_HOSTS)",
		"MCP_OAUTH2_PROXY_PROXY_CLIENTS=[{":                    "proxy.clients: is not JSON: ",
		`MCP_OAUTH2_PROXY_PROVIDERS=[{"nam":"x"}]`:             "providers[0].nam: is not a key; the nearest is name (in MCP_OAUTH2_PROXY_PROVIDERS)",
		"MCP_OAUTH2_PROXY_SERVER_TRUSTEDPROXIES=10.0.0.0/8, x": `server.trustedProxies[1]: "x" is not a network`,
		"LOG_LEVEL=loud":                                       `logging.level: "loud" is not one of debug, info, warn, error`,
	} {
		t.Run(variable, func(t *testing.T) {
			got := faultsOf(t, sound, variable)
			if len(got) == 0 || !strings.HasPrefix(got[0], want) {
				t.Errorf("got %v, want %s", got, want)
			}
		})
	}
}

func TestOnePairOfFilesFromTheEnvironment(t *testing.T) {
	for text, want := range map[string][]tls.Pair{
		"": {{Cert: "/env.crt", Key: "/env.key"}},
		"tls: {files: {cert: /a.crt, key: /a.key}}":                                  {{Cert: "/env.crt", Key: "/env.key"}},
		"tls: {files: [{cert: /a.crt, key: /a.key}, {cert: /b.crt, key: /b.key}]}\n": {{Cert: "/env.crt", Key: "/env.key"}, {Cert: "/b.crt", Key: "/b.key"}},
	} {
		f := &configFaults{blind: map[string]bool{}}
		tree, _ := readYAML([]byte(text), f)
		overlay(tree, map[string]string{"MCP_OAUTH2_PROXY_TLS_FILES_CERT": "/env.crt", "MCP_OAUTH2_PROXY_TLS_FILES_KEY": "/env.key"}, f)
		var c Config
		if err := unmarshal(tree, &c); err != nil || len(f.lines) > 0 || !reflect.DeepEqual(c.TLS.Files, want) {
			t.Errorf("%q: %v %v %v", text, c.TLS.Files, err, f.lines)
		}
	}
}

func TestSecretsInFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	replace := func(old, replacement string) string { return spoil(t, old, replacement) }
	for text, want := range map[string]string{"s3cret": "s3cret", "s3cret\n": "s3cret", "s3cret\r\n": "s3cret", " s3cret ": " s3cret "} {
		c := loads(t, replace("clientSecret: secret", "clientSecretFile: "+write("good", text)))
		if got := c.Providers[0].ClientSecret; got != want {
			t.Errorf("%q is read as %q", text, got)
		}
	}
	host := loads(t, replace("{host", "{authorizationFile: "+write("bearer", "Bearer x\n")+", headers: [{name: A, valueFile: "+write("value", "v")+"}], host")).Proxy.Hosts[0]
	if host.Authorization != "Bearer x" || host.Headers[0].Value != "v" {
		t.Errorf("the host is %+v", host)
	}
	for name, tc := range map[string]struct{ secret, want string }{
		"that is not there":      {"clientSecretFile: /none", "provider.clientSecretFile: open /none: "},
		"that is empty":          {"clientSecretFile: " + write("empty", "\n"), "provider.clientSecretFile: " + dir + "/empty is empty"},
		"of several lines":       {"clientSecretFile: " + write("lines", "a\nb\n"), "provider.clientSecretFile: " + dir + "/lines holds more than one line"},
		"that is a folder":       {"clientSecretFile: " + dir, "provider.clientSecretFile: " + dir + " is not a regular file"},
		"that is endless":        {"clientSecretFile: /dev/zero", "provider.clientSecretFile: /dev/zero is not a regular file"},
		"that is long":           {"clientSecretFile: " + write("long", strings.Repeat("x", maxSecret+1)), "provider.clientSecretFile: " + dir + "/long is longer than"},
		"beside the secret":      {"clientSecret: a, clientSecretFile: /x", "provider.clientSecret: is given twice, here and as clientSecretFile"},
		"without the file's key": {"clientSecret: ''", "provider.clientSecret: is missing (or clientSecretFile)"},
	} {
		t.Run("a file "+name, func(t *testing.T) {
			wantFaults(t, faultsOf(t, replace("clientSecret: secret", tc.secret)), tc.want)
		})
	}
}

func TestDemoConfigurationIsGood(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:8080", "localhost:80", "[::1]:8080", "127.0.0.2:1"} {
		c := loads(t, demo.Config(addr, "http://127.0.0.1:3001/mcp"))
		if w := c.Warnings(); len(w) > 0 {
			t.Errorf("it warns: %v", w)
		}
	}
}
