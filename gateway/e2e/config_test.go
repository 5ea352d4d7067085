//go:build e2e

package e2e

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// sound is a configuration without a fault, whose ports are taken.
func sound(t *testing.T) settings {
	t.Helper()
	// Whoever tried to listen here would say so: that is how the test knows that
	// nobody tried.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	taken := l.Addr().String()
	return settings{
		"server":   settings{"addr": taken, "httpAddr": taken, "adminAddr": taken},
		"tls":      settings{"mode": "selfsigned"},
		"store":    settings{"url": "memory:"},
		"provider": settings{"name": "oidc", "issuerURL": "https://id.example.test", "clientID": "gateway", "clientSecret": clientSecret, "allowedUsers": []string{"ada@example.com"}},
		"proxy":    settings{"hosts": []settings{{"host": "notes.example.test", "endpoint": "http://127.0.0.1:3001/mcp"}}},
	}
}

func TestWrongConfigIsRefusedBeforeAnyPortOpens(t *testing.T) {
	at := func(s settings, key string) settings { return s[key].(settings) }
	host := func(s settings) settings { return at(s, "proxy")["hosts"].([]settings)[0] }
	typo := func(s settings) { at(s, "server")["addrs"] = ":443" }
	badURL := func(s settings) { host(s)["endpoint"] = "127.0.0.1:3001" }
	noSecret := func(s settings) { delete(at(s, "provider"), "clientSecret") }
	twice := func(s settings) {
		p := at(s, "proxy")
		p["hosts"] = append(p["hosts"].([]settings), settings{"host": "NOTES.example.test", "endpoint": "http://127.0.0.1:3002/mcp"})
	}
	nobody := func(s settings) { delete(at(s, "provider"), "allowedUsers") }
	for name, tc := range map[string]struct {
		faults []func(settings)
		keys   []string
	}{
		"a key with a typo":                                  {[]func(settings){typo}, []string{"addrs"}},
		"a URL that is none":                                 {[]func(settings){badURL}, []string{"proxy.hosts[0].endpoint"}},
		"a secret that is missing":                           {[]func(settings){noSecret}, []string{"provider.clientSecret"}},
		"two spellings of one host":                          {[]func(settings){twice}, []string{"proxy.hosts[1].host"}},
		"a provider that lets nobody in and does not say so": {[]func(settings){nobody}, []string{"allowedUsers"}},
		"four at once, each named": {[]func(settings){badURL, noSecret, twice, nobody},
			[]string{"proxy.hosts[0].endpoint", "provider.clientSecret", "proxy.hosts[1].host", "allowedUsers"}},
	} {
		t.Run(name, func(t *testing.T) {
			conf := sound(t)
			for _, spoil := range tc.faults {
				spoil(conf)
			}
			refused(t, writeConfig(t, conf), tc.keys)
		})
	}
}

// refused: both serve and check say every key, and end with 1.
func refused(t *testing.T, file string, keys []string) {
	t.Helper()
	for _, command := range []string{"serve", "check"} {
		p := start(t, exec.Command(must(t, product), command, "--config", file))
		p.wait(t)
		var exit *exec.ExitError
		if !errors.As(p.err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("%s ends with %v, want exit status 1", command, p.err)
		}
		said := p.out.String()
		for _, key := range keys {
			if !strings.Contains(said, key) {
				t.Errorf("%s does not name %s:\n%s", command, key, said)
			}
		}
		if strings.Contains(said, "address already in use") {
			t.Errorf("%s tried to open a port:\n%s", command, said)
		}
	}
}

// TestSoundConfigIsNotRefused keeps the test above honest.
func TestSoundConfigIsNotRefused(t *testing.T) {
	p := start(t, exec.Command(must(t, product), "check", "--config", writeConfig(t, sound(t))))
	if p.wait(t); p.err != nil {
		t.Errorf("check ends with %v:\n%s", p.err, p.out)
	}
}
