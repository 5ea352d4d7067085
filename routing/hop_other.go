//go:build !unix

package routing

import "net"

// canProbe is false where an idle connection cannot be asked whether it is still
// there: what is sent to one that is not would be lost.
const canProbe = false

type probe struct{}

func (probe) of(net.Conn) error { return nil }

func (probe) silent() bool { return false }
