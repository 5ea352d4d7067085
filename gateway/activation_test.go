package gateway

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestSocketsServeTheAddressTheyFit(t *testing.T) {
	for name, tc := range map[string]struct {
		socket net.Addr
		addr   string
		want   bool
	}{
		"every address, every address":      {&net.TCPAddr{IP: net.IPv6unspecified, Port: 443}, ":443", true},
		"one address, every address":        {&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, ":443", true},
		"every address, one address":        {&net.TCPAddr{IP: net.IPv6unspecified, Port: 443}, "192.0.2.1:443", true},
		"the same address":                  {&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9090}, "127.0.0.1:9090", true},
		"another address":                   {&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9090}, "127.0.0.1:9090", false},
		"another port":                      {&net.TCPAddr{IP: net.IPv6unspecified, Port: 80}, ":443", false},
		"a socket in the file system":       {&net.UnixAddr{Name: "/run/x.sock"}, ":443", false},
		"an address that is turned off":     {&net.TCPAddr{Port: 80}, "", false},
		"every IPv4 address, every address": {&net.TCPAddr{IP: net.IPv4zero, Port: 443}, "0.0.0.0:443", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := serves(tc.socket, tc.addr); got != tc.want {
				t.Errorf("%s for %q: %v", tc.socket, tc.addr, got)
			}
		})
	}
}

func TestHandedOverIgnoresWhatIsNotMeantForUs(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing":           {},
		"another process":   {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
		"no sockets at all": {"LISTEN_PID": "42", "LISTEN_FDS": "0"},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := HandedOver(func(key string) string { return env[key] }, 42)
			if err != nil || len(all) != 0 {
				t.Errorf("%v, %v", all, err)
			}
		})
	}
	for _, fds := range []string{"", "-1", "x", "1000"} {
		t.Run("a number of sockets of "+strconv.Quote(fds)+" is refused", func(t *testing.T) {
			env := map[string]string{"LISTEN_PID": "42", "LISTEN_FDS": fds}
			if _, err := HandedOver(func(key string) string { return env[key] }, 42); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// TestHandedOver runs this test again as a process that gets a socket, as
// systemd would start it.
func TestHandedOver(t *testing.T) {
	if os.Getenv("GATEWAY_TEST_HANDED_OVER") != "" {
		greetOnHandedOver(t)
		return
	}
	if runtime.GOOS == "windows" {
		t.Skip("no descriptors are handed over on windows")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	// The shell knows the process id that the program will have.
	child := exec.CommandContext(t.Context(), "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestHandedOver$'`, os.Args[0])
	child.Env = append(os.Environ(), "LISTEN_FDS=1", "GATEWAY_TEST_HANDED_OVER="+l.Addr().String())
	child.ExtraFiles = []*os.File{file}
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil { // only the child listens
		t.Fatal(err)
	}
	_ = file.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := conn.Read(b); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	_ = conn.Close()
	if err := child.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
}

func greetOnHandedOver(t *testing.T) {
	all, err := HandedOver(os.Getenv, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	given := handedOver(all)
	if err := given.unused(); err == nil || !strings.Contains(err.Error(), os.Getenv("GATEWAY_TEST_HANDED_OVER")) {
		t.Errorf("unused: %v", err)
	}
	mine := given.take(os.Getenv("GATEWAY_TEST_HANDED_OVER"))
	if len(mine) != 1 || given.unused() != nil {
		t.Fatalf("took %v", mine)
	}
	conn, err := mine[0].Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
}
