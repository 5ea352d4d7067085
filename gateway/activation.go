package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstHandedOver is the first descriptor that systemd hands over
// (sd_listen_fds(3)).
const firstHandedOver = 3

// handedOver are listeners that whoever started us has opened, and keeps open
// while we restart: connections wait in them meanwhile.
type handedOver []net.Listener

// HandedOver takes over the sockets of systemd's socket activation; none if there
// are none, or if they were meant for another process. It can be done once:
// descriptors are the process's own.
func HandedOver(getenv func(string) string, pid int) ([]net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 64 {
		return nil, fmt.Errorf("socket activation: LISTEN_FDS is %q, not a small number", getenv("LISTEN_FDS"))
	}
	var all handedOver
	for fd := firstHandedOver; fd < firstHandedOver+n; fd++ {
		l, err := inherit(fd)
		if err != nil {
			all.close()
			return nil, fmt.Errorf("socket activation: descriptor %d: %w", fd, err)
		}
		all = append(all, l)
	}
	return all, nil
}

// inherit makes a listener of a descriptor. The listener has a copy that no
// child inherits; the original goes.
func inherit(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "socket")
	if f == nil {
		return nil, errors.New("is not open")
	}
	l, err := net.FileListener(f)
	return l, errors.Join(err, f.Close())
}

// take removes and returns the listeners for an address: those on its port, and
// on its host if it names one. There can be two, for IPv4 and IPv6.
func (h *handedOver) take(addr string) []net.Listener {
	var mine, rest []net.Listener
	for _, l := range *h {
		if serves(l.Addr(), addr) {
			mine = append(mine, l)
		} else {
			rest = append(rest, l)
		}
	}
	*h = rest
	return mine
}

// serves tells whether a socket is one for a configured address. A socket on
// every address serves an address of one interface too: systemd decides there.
func serves(socket net.Addr, addr string) bool {
	tcp, ok := socket.(*net.TCPAddr)
	host, port, err := net.SplitHostPort(addr)
	if !ok || err != nil || strconv.Itoa(tcp.Port) != port {
		return false
	}
	want := net.ParseIP(host)
	return want == nil || want.IsUnspecified() || tcp.IP.IsUnspecified() || want.Equal(tcp.IP)
}

// unused says which sockets nothing is configured for.
func (h handedOver) unused() error {
	var all []error
	for _, l := range h {
		all = append(all, fmt.Errorf("socket activation: %s was handed over, but nothing is served there: compare with server.addr, server.httpAddr and server.adminAddr", l.Addr()))
	}
	return errors.Join(all...)
}

func (h handedOver) close() {
	for _, l := range h {
		_ = l.Close()
	}
}
