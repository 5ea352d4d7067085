package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// supervisor is the socket on which systemd would listen.
type supervisor struct {
	*net.UnixConn
	env map[string]string
}

func newSupervisor(t *testing.T, name string) supervisor {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("windows has no datagram sockets in the file system")
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return supervisor{conn, map[string]string{"NOTIFY_SOCKET": name}}
}

// newSupervisorInFiles listens in a directory whose path is short enough.
func newSupervisorInFiles(t *testing.T) supervisor {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw-") //nolint:usetesting // the path of t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return newSupervisor(t, filepath.Join(dir, "notify"))
}

func (s supervisor) getenv(key string) string { return s.env[key] }

// hears is the next message.
func (s supervisor) hears(t *testing.T) string {
	t.Helper()
	if err := s.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 4096)
	n, err := s.Read(message)
	if err != nil {
		t.Fatal(err)
	}
	return string(message[:n])
}

func TestSupervisedBy(t *testing.T) {
	for name, tc := range map[string]struct {
		env      map[string]string
		watchdog time.Duration
		nobody   bool
		fault    string
	}{
		"nobody listens":               {nil, 0, true, ""},
		"a path":                       {map[string]string{"NOTIFY_SOCKET": "/run/systemd/notify"}, 0, false, ""},
		"an abstract socket":           {map[string]string{"NOTIFY_SOCKET": "@notify"}, 0, false, ""},
		"a watchdog":                   {map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "42"}, 3 * time.Second, false, ""},
		"a watchdog for whoever":       {map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "3000000"}, 3 * time.Second, false, ""},
		"a watchdog for somebody else": {map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0, false, ""},
		"a relative path":              {map[string]string{"NOTIFY_SOCKET": "run/notify"}, 0, false, "NOTIFY_SOCKET"},
		"another family":               {map[string]string{"NOTIFY_SOCKET": "vsock:2:1234"}, 0, false, "NOTIFY_SOCKET"},
		"no number":                    {map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "3s"}, 0, false, "WATCHDOG_USEC"},
		"no time":                      {map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "0"}, 0, false, "WATCHDOG_USEC"},
		"a time that overflows":        {map[string]string{"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "9223372036854775807"}, 0, false, "WATCHDOG_USEC"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := SupervisedBy(func(key string) string { return tc.env[key] }, 42)
			switch {
			case tc.fault != "":
				if err == nil || !strings.Contains(err.Error(), tc.fault) {
					t.Errorf("the error is %v, want one about %s", err, tc.fault)
				}
			case err != nil:
				t.Error(err)
			case (s == nil) != tc.nobody || s != nil && s.watchdog != tc.watchdog:
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestAbstractSocketsAreTold(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only linux has abstract sockets")
	}
	listens := newSupervisor(t, fmt.Sprintf("@mcp-oauth2-proxy-test-%d", os.Getpid()))
	s, err := SupervisedBy(listens.getenv, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.tell(t.Context(), "READY=1", statusLine("one\nline:\n\ttwo\x00")); err != nil {
		t.Fatal(err)
	}
	if got := listens.hears(t); got != "READY=1\nSTATUS=one; line: two" {
		t.Errorf("heard %q", got)
	}
}

func TestNobodyIsTold(t *testing.T) {
	var nobody *Supervisor
	if err := nobody.tell(t.Context(), "READY=1"); err != nil {
		t.Error(err)
	}
}

// supervisedConfig is for a gateway on ports that are open already.
func supervisedConfig(public, admin net.Listener, socket string) string {
	return fmt.Sprintf(`
provider: {name: local, users: [{username: ada, passwordHash: "$2a$04$EFbNeaQw46l4kbL8.5xVS.9n1pZ.2X3kAzLbkKxVtg4yQ4F5p8o1u"}]}
server: {addr: %q, httpAddr: "", adminAddr: %q, adminSocket: %q, shutdownGrace: 7s}
tls: {mode: selfsigned}
store: {url: "memory:"}
proxy:
  hosts:
    - {host: notes.example.com, endpoint: "http://127.0.0.1:1/mcp", public: true}
`, public.Addr(), admin.Addr(), socket)
}

// supervised is a gateway that runs and tells s how it fares. It ends with stop.
func supervised(t *testing.T, s supervisor) (g *Gateway, path string, stop func()) {
	t.Helper()
	var ports []net.Listener
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, l)
	}
	path = filepath.Join(t.TempDir(), "config.yaml")
	writeStandIn(t, path, supervisedConfig(ports[0], ports[1], filepath.Join(filepath.Dir(s.LocalAddr().String()), "admin")))
	config, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	told, err := SupervisedBy(s.getenv, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	g, err = New(t.Context(), config, Options{
		Log: slog.New(slog.DiscardHandler), Audit: io.Discard, Listeners: ports, Supervisor: told,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	return g, path, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		g.Close()
	})
}

func TestTheSupervisorHearsOfEveryTurn(t *testing.T) {
	s := newSupervisorInFiles(t)
	g, path, stop := supervised(t, s)
	defer stop()
	if got := s.hears(t); got != "READY=1\nSTATUS=serving 1 host" {
		t.Errorf("after the start it hears %q", got)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text string) string {
		writeStandIn(t, path, text)
		g.ReloadFrom(t.Context(), path, nil)
		want := `^RELOADING=1$`
		if runtime.GOOS == "linux" {
			want = `^RELOADING=1\nMONOTONIC_USEC=[1-9]\d+$`
		}
		if got := s.hears(t); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("when a reload begins it hears %q", got)
		}
		return s.hears(t)
	}
	more := string(good) + "    - {host: more.example.com, endpoint: \"http://127.0.0.1:1/mcp\", public: true}\n"
	if got := reload(more); got != "READY=1\nSTATUS=serving 2 hosts" {
		t.Errorf("when a reload is over it hears %q", got)
	}
	if got := reload(more + "nonsense: 1\n"); !strings.HasPrefix(got, "READY=1\nSTATUS=serving 2 hosts as before; refused: ") ||
		!strings.Contains(got, "nonsense") || strings.Count(got, "\n") != 1 {
		t.Errorf("when a reload is refused it hears %q", got)
	}
	if got := reload(strings.Replace(more, "7s", "8s", 1)); !strings.Contains(got, "server: a change needs a restart") {
		t.Errorf("when a reload cannot be done it hears %q", got)
	}
	stop()
	if got := s.hears(t); got != "STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000\nSTATUS=stopping; calls are given 7s" {
		t.Errorf("at the end it hears %q", got)
	}
}

// What the watchdog hears is proof: it hears of a process that serves, again and
// again, and nothing of one with a dead port.
func TestTheWatchdogHearsOnlyOfPortsThatAreServed(t *testing.T) {
	s := newSupervisorInFiles(t)
	s.env["WATCHDOG_USEC"] = "400000"
	_, _, stop := supervised(t, s)
	defer stop()
	heard := map[string]int{}
	for heard["WATCHDOG=1"] < 3 {
		heard[s.hears(t)]++
	}
	stop()
	last := ""
	for !strings.HasPrefix(last, "STOPPING=1") {
		last = s.hears(t)
	}
	if !strings.Contains(last, "\nWATCHDOG_USEC=12000000") {
		t.Errorf("at the end the watchdog is not asked for time: %q", last)
	}
}

func TestAPortThatIsNotServedIsNoticed(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepted by the kernel, and by nobody else
	if err != nil {
		t.Fatal(err)
	}
	if err := allAnswer(t.Context(), []listener{{Listener: silent}}, 100*time.Millisecond); err == nil {
		t.Error("a port where nobody reads passes for served")
	}
	_ = silent.Close()
	if err := allAnswer(t.Context(), []listener{{Listener: silent}}, time.Minute); err == nil {
		t.Error("a closed port passes for served")
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	go func() {
		for {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("220 mail\r\n"))
			_ = conn.Close()
		}
	}()
	if err := allAnswer(t.Context(), []listener{{Listener: other}}, time.Minute); err == nil {
		t.Error("what is not HTTP passes for served")
	}
}
