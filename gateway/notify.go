package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Supervisor is who started the process and wants to hear how it fares: systemd,
// or whoever else speaks sd_notify(3). None of its methods does anything on nil,
// where nobody listens.
type Supervisor struct {
	socket   string
	watchdog time.Duration // for so long it hears nothing before it ends the process; 0: for ever
	ready    atomic.Bool   // it knows that we serve
}

// SupervisedBy reads who listens from the environment; nil if nobody does.
func SupervisedBy(getenv func(string) string, pid int) (*Supervisor, error) {
	s := &Supervisor{socket: getenv("NOTIFY_SOCKET")}
	if s.socket == "" {
		return nil, nil
	}
	// net takes a leading @ for an abstract socket, as systemd writes it.
	if s.socket[0] != '/' && s.socket[0] != '@' {
		return nil, fmt.Errorf("notification: NOTIFY_SOCKET is %q, neither a path nor an abstract socket", s.socket)
	}
	if wanted := getenv("WATCHDOG_PID"); wanted != "" && wanted != strconv.Itoa(pid) {
		return s, nil // another process is watched
	}
	if text := getenv("WATCHDOG_USEC"); text != "" {
		usec, err := strconv.ParseInt(text, 10, 64)
		if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
			return nil, fmt.Errorf("notification: WATCHDOG_USEC is %q, not the microseconds of a day or less", text)
		}
		s.watchdog = time.Duration(usec) * time.Microsecond
	}
	return s, nil
}

// tell sends assignments such as READY=1, all in one message.
func (s *Supervisor) tell(ctx context.Context, assignments ...string) error {
	if s == nil {
		return nil
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unixgram", s.socket)
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte(strings.Join(assignments, "\n")))
	return errors.Join(err, conn.Close())
}

// statusLine is what `systemctl status` shows. It is one line, whatever the text.
func statusLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r < ' ' })
	return "STATUS=" + strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}

// notify tells the supervisor. What cannot be told changes nothing here; how it
// ends, the supervisor decides.
func (g *Gateway) notify(ctx context.Context, assignments ...string) {
	if err := g.o.Supervisor.tell(ctx, assignments...); err != nil {
		g.log.WarnContext(ctx, "the supervisor cannot be told", "cause", err)
	}
}

// serving is the status of a process that has no trouble.
func (g *Gateway) serving() string {
	n := len(g.site.Load().table.Routes())
	if n == 1 {
		return "serving 1 host"
	}
	return fmt.Sprintf("serving %d hosts", n)
}

func (g *Gateway) notifyReady(ctx context.Context) {
	g.notify(ctx, "READY=1", statusLine(g.serving()))
	if g.o.Supervisor != nil {
		g.o.Supervisor.ready.Store(true)
	}
}

// reloadable: a reload before the start is over would end with READY=1 too early.
func (s *Supervisor) reloadable() bool { return s != nil && s.ready.Load() }

// notifyReloading names the time too, from which Type=notify-reload knows that
// this reload is the one it asked for.
func (g *Gateway) notifyReloading(ctx context.Context) {
	if !g.o.Supervisor.reloadable() {
		return
	}
	message := []string{"RELOADING=1"}
	if at := monotonic(); at > 0 {
		message = append(message, fmt.Sprint("MONOTONIC_USEC=", at.Microseconds()))
	}
	g.notify(ctx, message...)
}

// notifyReloaded ends a reload. A refused one is over as well, and seen in the
// status until the next.
func (g *Gateway) notifyReloaded(ctx context.Context, refused error) {
	if !g.o.Supervisor.reloadable() {
		return
	}
	status := g.serving()
	if refused != nil {
		status += " as before; refused: " + refused.Error()
	}
	g.notify(ctx, "READY=1", statusLine(status))
}

// notifyStopping asks for as much time as calls are given, also of the watchdog:
// ports that are closed prove nothing.
func (g *Gateway) notifyStopping(ctx context.Context, grace time.Duration) {
	const closing = 5 * time.Second // for the store
	usec := (grace + closing).Microseconds()
	message := []string{"STOPPING=1", fmt.Sprint("EXTEND_TIMEOUT_USEC=", usec), statusLine("stopping; calls are given " + grace.String())}
	if s := g.o.Supervisor; s != nil && s.watchdog > 0 {
		message = append(message, fmt.Sprint("WATCHDOG_USEC=", usec))
	}
	g.notify(ctx, message...)
}

// keepAlive tells a watching supervisor twice within its time that every port is
// served, as long as that is so.
func (g *Gateway) keepAlive(ctx context.Context, open []listener) {
	if g.o.Supervisor == nil || g.o.Supervisor.watchdog == 0 {
		return
	}
	every := g.o.Supervisor.watchdog / 2
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := allAnswer(ctx, open, every/2); err == nil {
			g.notify(ctx, "WATCHDOG=1")
		} else if ctx.Err() == nil {
			g.log.ErrorContext(ctx, "a port is not served; the supervisor will end the process", "cause", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func allAnswer(ctx context.Context, open []listener, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, l := range open {
		if err := answers(ctx, l.Addr()); err != nil {
			return fmt.Errorf("%s: %w", l.Addr(), err)
		}
	}
	return nil
}

// answers proves that somebody accepts connections at an address, reads, and
// writes. It is net/http that answers this question, with an error where it
// expects TLS: neither a certificate nor a handler is needed, and none of our
// metrics counts it.
func answers(ctx context.Context, addr net.Addr) error {
	conn, err := dialSelf(ctx, addr)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() { stop(); _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "OPTIONS * HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", addr); err != nil {
		return err
	}
	const start = "HTTP/1."
	got := make([]byte, len(start))
	n, err := conn.Read(got)
	if string(got[:n]) != start {
		return errors.Join(fmt.Errorf("answers %q", got[:n]), err)
	}
	return nil
}

// dialSelf connects to a listener of this process. One on every address may be
// for IPv6 alone.
func dialSelf(ctx context.Context, addr net.Addr) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, addr.Network(), reachable(addr.String()))
	if tcp, ok := addr.(*net.TCPAddr); ok && err != nil && tcp.IP.IsUnspecified() {
		return dialer.DialContext(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(tcp.Port)))
	}
	return conn, err
}
