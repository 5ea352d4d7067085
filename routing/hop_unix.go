//go:build unix

package routing

import (
	"net"
	"syscall"
)

// canProbe tells whether a connection can be asked, without waiting, whether it
// is still there.
const canProbe = true

// A probe asks a connection whether it is idle.
type probe struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool // made once, for it is used for every request
	idle bool
}

func (p *probe) of(conn net.Conn) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	p.raw = raw
	p.look = func(fd uintptr) bool {
		var one [1]byte
		_, err := syscall.Read(int(fd), one[:])
		p.idle = err == syscall.EAGAIN
		return true
	}
	return err
}

// silent tells whether there is nothing to read, not even an end. Where it says
// no, a byte may be lost.
func (p *probe) silent() bool {
	p.idle = false
	return p.raw.Read(p.look) == nil && p.idle
}
