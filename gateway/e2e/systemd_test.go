//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const unitFile = "../../deploy/systemd/mcp-oauth2-proxy.service"

func TestUnitsAreWhatSystemdUnderstands(t *testing.T) {
	// The programs that a unit names have to be there.
	root := t.TempDir()
	for to, from := range map[string]string{
		"usr/bin/mcp-oauth2-proxy":          "/bin/true",
		"bin/sh":                            "/bin/true",
		"etc/systemd/system/gw.service":     unitFile,
		"etc/systemd/system/gw.socket":      "../../deploy/systemd/mcp-oauth2-proxy.socket",
		"etc/systemd/system/sysinit.target": "/usr/lib/systemd/system/sysinit.target",
	} {
		file := filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.Contains(to, "bin/") {
			mode = 0o755
		}
		if err := os.WriteFile(file, slurp(t, from), mode); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--root="+root, "gw.service", "gw.socket").CombinedOutput()
	if err != nil || len(out) > 0 { // of an unknown key it only warns
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheSandboxIsRatedTight(t *testing.T) {
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unitFile).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Overall exposure level") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A service is the gateway on a machine, from the package, configured but not
// enabled.
type service struct {
	*machine
	hosts []settings
}

func newService(t *testing.T) *service {
	t.Helper()
	deb := pack(t, "deb")
	s := &service{machine: boot(t, filepath.Dir(deb))}
	s.does(t, "dpkg", "-i", "/share/"+filepath.Base(deb))
	s.writes(t, "/etc/mcp-oauth2-proxy/secrets/ada", "0600", s.does(t, "sh", "-c", "echo secret | mcp-oauth2-proxy hash-password"))
	s.writes(t, "/etc/mcp-oauth2-proxy/secrets/store-key", "0600", strings.Repeat("k", 32))
	s.hosts = []settings{{"host": "notes.test", "endpoint": s.greeter(t) + "/mcp", "public": true}}
	s.configure(t, nil)
	return s
}

func (s *service) configure(t *testing.T, more settings) {
	t.Helper()
	const credentials = "/run/credentials/mcp-oauth2-proxy.service/secret_"
	conf := settings{
		"provider": settings{"name": "local", "users": []settings{{"username": "ada", "passwordHashFile": credentials + "ada"}}},
		"proxy":    settings{"hosts": s.hosts},
		"tls":      settings{"mode": "selfsigned"},
		"store":    settings{"keyFile": credentials + "store-key"},
	}
	for key, value := range more {
		conf[key] = value
	}
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	s.writes(t, "/etc/mcp-oauth2-proxy/config/config.yaml", "0644", string(text))
}

// browser trusts the service, whose management commands root can use.
func (s *service) browser(t *testing.T) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if pem := s.does(t, "mcp-oauth2-proxy", "selfsigned-ca"); !roots.AppendCertsFromPEM([]byte(pem)) {
		t.Fatalf("selfsigned-ca says %q", pem)
	}
	return s.client(t, roots)
}

func (s *service) answers(t *testing.T, c *http.Client, host string) {
	t.Helper()
	if _, err := say(t.Context(), c, "https://"+host); err != nil {
		t.Errorf("%s: %v", host, err)
	}
}

// TestSystemd is the life of the service on a real machine, from the package to
// its removal.
func TestSystemd(t *testing.T) {
	s := newService(t)
	s.does(t, "systemctl", "enable", "--now", "mcp-oauth2-proxy.socket", "mcp-oauth2-proxy.service")
	c := s.browser(t)
	t.Run("it has started when systemd says so", func(t *testing.T) {
		s.answers(t, c, "notes.test")
		if got := s.property(t, "StatusText"); got != "serving 1 host" {
			t.Errorf("the status is %q", got)
		}
		uid := s.does(t, "stat", "-c", "%u", "/proc/"+s.property(t, "MainPID"))
		if uid == "0" || s.does(t, "stat", "-c", "%a %u", "/var/lib/private/mcp-oauth2-proxy") != "700 "+uid {
			t.Errorf("it runs as %s, and the state is not its alone", uid)
		}
	})
	t.Run("a reload is over when the new configuration is in force", func(t *testing.T) { s.reloads(t, c) })
	t.Run("a reload with a bad configuration says so and changes nothing", func(t *testing.T) { s.refuses(t, c) })
	t.Run("a restart refuses no connection", func(t *testing.T) { s.restarts(t) })
	t.Run("a process that hangs is replaced", func(t *testing.T) { s.hangs(t) })
	t.Run("without sockets it opens its ports itself", func(t *testing.T) {
		s.does(t, "systemctl", "disable", "--now", "mcp-oauth2-proxy.socket", "mcp-oauth2-proxy.service")
		if _, err := s.dial(t.Context(), "127.0.0.1:443"); err == nil {
			t.Error("somebody answers for a service that was stopped")
		}
		s.does(t, "systemctl", "start", "mcp-oauth2-proxy.service")
		s.answers(t, s.browser(t), "notes.test")
	})
	t.Run("the package goes and leaves the state", func(t *testing.T) {
		s.does(t, "dpkg", "-r", "mcp-oauth2-proxy")
		if _, err := s.dial(t.Context(), "127.0.0.1:443"); err == nil {
			t.Error("the service outlives its package")
		}
		s.does(t, "test", "-s", "/var/lib/private/mcp-oauth2-proxy/state.db")
	})
}

func (s *service) reloads(t *testing.T, c *http.Client) {
	pid := s.property(t, "MainPID")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://notes.test/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	more := s.hosts[0]
	s.hosts = append(s.hosts, settings{"host": "mail.test", "endpoint": more["endpoint"], "public": true})
	s.configure(t, nil)
	s.does(t, "systemctl", "reload", "mcp-oauth2-proxy.service")
	s.shows(t, func(status string) bool { return status == "serving 2 hosts" })
	s.answers(t, c, "mail.test")
	buffer := make([]byte, 64<<10)
	for range 5 { // more than was on its way
		if _, err := stream.Body.Read(buffer); err != nil {
			t.Fatalf("the reload ended a stream: %v", err)
		}
	}
	if now := s.property(t, "MainPID"); now != pid {
		t.Error("the reload was a restart")
	}
}

func (s *service) refuses(t *testing.T, c *http.Client) {
	s.configure(t, settings{"nonsense": true})
	s.does(t, "systemctl", "reload", "mcp-oauth2-proxy.service")
	s.shows(t, func(status string) bool {
		return strings.HasPrefix(status, "serving 2 hosts as before; refused: ") && strings.Contains(status, "nonsense: is not a key")
	})
	s.answers(t, c, "mail.test")
	s.configure(t, nil)
	s.does(t, "systemctl", "reload", "mcp-oauth2-proxy.service")
	s.shows(t, func(status string) bool { return status == "serving 2 hosts" })
}

// shows waits for a status: systemd 252 does not wait until a reload is over.
func (s *service) shows(t *testing.T, good func(status string) bool) {
	t.Helper()
	s.until(t, func() error {
		if got := s.property(t, "StatusText"); !good(got) {
			return fmt.Errorf("the status is %q", got)
		}
		return nil
	})
}

func (s *service) restarts(t *testing.T) {
	var load sync.WaitGroup
	var over atomic.Bool
	var sent atomic.Int64
	for range 4 {
		c := s.browser(t)
		c.Transport.(*http.Transport).DisableKeepAlives = true // each request is a connection
		load.Go(func() {
			for !over.Load() {
				if _, err := say(t.Context(), c, "https://notes.test"); err != nil {
					t.Error(err)
					return
				}
				sent.Add(1)
			}
		})
	}
	for range 3 {
		at := sent.Load()
		s.until(t, func() error {
			if n := sent.Load() - at; n < 40 && !t.Failed() {
				return fmt.Errorf("%d requests since the last restart", n)
			}
			return nil
		})
		s.does(t, "systemctl", "restart", "mcp-oauth2-proxy.service")
	}
	over.Store(true)
	load.Wait()
	t.Logf("%d requests, 3 restarts", sent.Load())
}

func (s *service) hangs(t *testing.T) {
	s.writes(t, "/etc/systemd/system/mcp-oauth2-proxy.service.d/quick.conf", "0644", "[Service]\nWatchdogSec=4s\n")
	s.does(t, "systemctl", "daemon-reload")
	s.does(t, "systemctl", "restart", "mcp-oauth2-proxy.service")
	pid := s.property(t, "MainPID")
	s.does(t, "sh", "-c", "kill -STOP "+pid) // /bin/kill is not there
	s.until(t, func() error {
		if now := s.property(t, "MainPID"); now == pid || now == "0" || s.property(t, "ActiveState") != "active" {
			return fmt.Errorf("the process is %s, as before", now)
		}
		return nil
	})
	if journal := s.does(t, "journalctl", "--no-pager", "-o", "cat", "-u", "mcp-oauth2-proxy"); !strings.Contains(journal, "Watchdog timeout") {
		t.Errorf("it was not the watchdog:\n%s", journal)
	}
	s.answers(t, s.browser(t), "notes.test")
}
