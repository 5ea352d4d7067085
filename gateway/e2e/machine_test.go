//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// debian is the folder with a Debian 12 that can be booted. It is made once and
// never written to afterwards.
var debian = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	whole := filepath.Join(cache, "mcp-oauth2-proxy-e2e", "bookworm")
	if _, err := os.Stat(whole); err == nil {
		return whole, nil
	}
	if err := os.MkdirAll(filepath.Dir(whole), 0o700); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(filepath.Dir(whole), "partial-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(partial) }() // gone already, if all went well
	if err := os.Chmod(partial, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("debootstrap", "--variant=minbase", "--include=systemd,ca-certificates", "bookworm", partial)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("debootstrap: %w\n%s", err, out)
	}
	if err := os.Rename(partial, whole); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return whole, nil
})

// A netns is the network of another process, which is no other than ours to
// connect to and to listen in.
type netns struct{ pid int }

// in runs f in that network. The thread has it for good, so it ends with f.
func (n netns) in(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", n.pid))
		if err == nil {
			err = errors.Join(unix.Setns(int(file.Fd()), unix.CLONE_NEWNET), file.Close())
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

func (n netns) dial(ctx context.Context, addr string) (conn net.Conn, err error) {
	err = n.in(func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		return err
	})
	return conn, err
}

// greeter serves greetings there.
func (n netns) greeter(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	_ = server.Listener.Close()
	err := n.in(func() (err error) {
		server.Listener, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	greet(t, server)
	return server.URL
}

// client reaches every name there, and trusts roots.
func (n netns) client(t *testing.T, roots *x509.CertPool) *http.Client {
	t.Helper()
	c := clientThatTrusts(t, roots)
	c.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return n.dial(ctx, net.JoinHostPort("127.0.0.1", port))
	}
	return c
}

// A machine has a booted systemd, files that vanish with it, and a network of its
// own.
type machine struct {
	*process
	netns
}

// boot starts a machine in which share, a folder of ours, is at /share.
func boot(t *testing.T, share string) *machine {
	t.Helper()
	// Without a terminal systemd-nspawn does not boot; script has one to give.
	nspawn := "exec systemd-nspawn -q --register=no --keep-unit --private-network --volatile=overlay" +
		" --bind-ro=" + share + ":/share -D " + must(t, debian) + " -b systemd.show_status=0"
	m := &machine{process: start(t, exec.Command("script", "-qec", nspawn, "/dev/null"))}
	m.until(t, func() error {
		var err error
		m.pid, err = childNamed(m.cmd.Process.Pid, "systemd")
		return err
	})
	t.Cleanup(func() { // script dies alone; the first process of a machine takes all others along
		_ = unix.Kill(m.pid, unix.SIGKILL)
		m.wait(t)
	})
	m.until(t, func() error {
		out, err := m.command("systemctl", "is-system-running").Output()
		if state := strings.TrimSpace(string(out)); state != "running" && state != "degraded" {
			return fmt.Errorf("systemd is %q: %w", state, err)
		}
		return nil
	})
	return m
}

// childNamed finds a process of that name among the descendants of another.
func childNamed(pid int, name string) (int, error) {
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0, fmt.Errorf("process %d has no children: %w", pid, err)
	}
	for field := range strings.FieldsSeq(string(out)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child))
		if err == nil && strings.TrimSpace(string(comm)) == name {
			return child, nil
		}
		if found, err := childNamed(child, name); err == nil {
			return found, nil
		}
	}
	return 0, fmt.Errorf("process %d has no child %s", pid, name)
}

// command is one that runs on the machine.
func (m *machine) command(args ...string) *exec.Cmd {
	all := []string{"-t", strconv.Itoa(m.pid), "-m", "-u", "-i", "-n", "-p", "--"}
	return exec.Command("nsenter", append(all, args...)...)
}

// does runs a command on the machine, which has to succeed.
func (m *machine) does(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.command(args...).CombinedOutput()
	if err != nil {
		journal, _ := m.command("journalctl", "-b", "--no-pager", "-o", "cat", "-u", "mcp-oauth2-proxy", "-n", "40").CombinedOutput()
		t.Fatalf("%v: %v\n%s\n--- journal\n%s", args, err, out, journal)
	}
	return strings.TrimSpace(string(out))
}

// writes makes a file on the machine.
func (m *machine) writes(t *testing.T, path, mode, text string) {
	t.Helper()
	cmd := m.command("sh", "-c", `mkdir -p "$(dirname "$1")" && cat >"$1" && chmod "$2" "$1"`, "sh", path, mode)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("write %s: %v\n%s", path, err, out)
	}
}

// property is what systemctl show says of the service.
func (m *machine) property(t *testing.T, name string) string {
	t.Helper()
	return m.does(t, "systemctl", "show", "--value", "-p", name, "mcp-oauth2-proxy.service")
}
