package tls

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// sightLimit bounds each look at a port.
const sightLimit = 3 * time.Second

// sight says what an address that DNS has for the name looks like from here; ""
// if nothing is wrong with it.
func (a *Automatic) sight(ctx context.Context, name string, addrs []string) string {
	for _, addr := range addrs {
		open443 := a.open(ctx, addr)
		answer80 := a.answer(ctx, name, addr)
		switch {
		case answer80 == otherAnswer:
			return fmt.Sprintf("DNS does not point here: at %s, the address of %s, another server answers; ", addr, name)
		case !open443 && answer80 == noAnswer:
			return fmt.Sprintf("ports 443 and 80 of %s, the address of %s, are closed: open them, or forward them to this machine; ", addr, name)
		case !open443:
			return fmt.Sprintf("port 443 of %s, the address of %s, is closed; ", addr, name)
		case answer80 == noAnswer && a.port80.Load():
			return fmt.Sprintf("port 80 of %s, the address of %s, is closed; ", addr, name)
		}
	}
	return ""
}

func (a *Automatic) open(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, sightLimit)
	defer cancel()
	conn, err := a.o.Dial(ctx, "tcp", net.JoinHostPort(addr, "443"))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

type answer int

const (
	noAnswer answer = iota
	ourAnswer
	otherAnswer
)

// answer tells who answers at port 80: we, or a replica, would know a challenge
// that nobody else can.
func (a *Automatic) answer(ctx context.Context, name, addr string) answer {
	ctx, cancel := context.WithTimeout(ctx, sightLimit)
	defer cancel()
	token := rand.Text()
	key := token + "+http-01"
	if err := a.o.Cache.Put(ctx, key, []byte(token)); err != nil {
		return noAnswer
	}
	defer func() { _ = a.o.Cache.Delete(context.WithoutCancel(ctx), key) }()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return a.o.Dial(ctx, network, net.JoinHostPort(addr, "80"))
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+"/.well-known/acme-challenge/"+token, nil)
	if err != nil {
		return noAnswer
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return noAnswer
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 64))
	if strings.TrimSpace(string(body)) == token {
		return ourAnswer
	}
	return otherAnswer
}
