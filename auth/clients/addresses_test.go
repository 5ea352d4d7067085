package clients

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestGuard(t *testing.T) {
	for address, ok := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "160.79.104.10": true, "100.63.255.255": true, "100.128.0.1": true,
		"172.15.255.255": true, "172.32.0.1": true, "198.17.255.255": true, "198.20.0.1": true, "223.255.255.255": true,
		"2606:4700::1111": true, "2a00:1450:4001::1": true, "2003::1": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false,
		"127.0.0.1": false, "127.8.8.8": false, "169.254.169.254": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.0.0.192": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": false, "198.18.0.1": false, "198.19.255.255": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "239.255.255.250": false, "240.0.0.1": false, "255.255.255.255": false,
		"192.31.196.1": false, "192.52.193.1": false, "192.175.48.1": false,

		"::": false, "::1": false, "::8.8.8.8": false, "::ffff:127.0.0.1": false, "::ffff:8.8.8.8": false, "::ffff:0:7f00:1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::1": false, "100::1": false, "100:0:0:1::1": false,
		"2001::1": false, "2001:0:53aa:64c::1": false, "2001:2::1": false, "2001:10::1": false, "2001:20::1": false, "2001:db8::1": false,
		"2002:7f00:1::": false, "2002:a00:1::1": false, "2620:4f:8000::1": false, "3fff::1": false, "5f00::1": false,
		"fc00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "ff02::1": false, "2606:4700::1%eth0": true,
	} {
		t.Run("C10 "+address, func(t *testing.T) {
			if got := public(netip.MustParseAddr(address)); got != ok {
				t.Errorf("public: %v", got)
			}
			network, to := "tcp4", address+":443"
			if strings.Contains(address, ":") {
				network, to = "tcp6", "["+address+"]:443"
			}
			if err := guardDial(network, to, nil); (err == nil) != ok {
				t.Errorf("dial: %v", err)
			}
		})
	}
	for _, address := range []string{"", "1.1.1.1", "example.com:443", "[::1:443", "/run/docker.sock"} {
		if guardDial("tcp4", address, nil) == nil {
			t.Errorf("C10: %q passes", address)
		}
	}
	if guardDial("unix", "1.1.1.1:443", nil) == nil || guardDial("udp4", "1.1.1.1:443", nil) == nil {
		t.Error("C10: something else than TCP passes")
	}
	if public(netip.Addr{}) {
		t.Error("C10: no address passes")
	}
}

// nameServer answers every question for an IPv4 address with 127.0.0.1, and
// those for nowhere.example with "no such name".
func nameServer(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			answer, err := loopbackAnswer(buf[:n])
			if err == nil {
				_, err = conn.WriteTo(answer, from)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	var dialer net.Dialer
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}

func loopbackAnswer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	if strings.HasPrefix(q.Name.String(), "nowhere.") {
		m.RCode = dnsmessage.RCodeNameError
	} else if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 0},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	return m.Pack()
}

func TestGuardedClient(t *testing.T) {
	connected := make(chan struct{}, 10)
	inside := httptest.NewUnstartedServer(http.NotFoundHandler())
	inside.Config.ConnState = func(net.Conn, http.ConnState) { connected <- struct{}{} }
	inside.StartTLS()
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	t.Setenv("HTTPS_PROXY", inside.URL)

	client := guardedClient(nameServer(t))
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	r := newRegistry(t, func(o *Options) { o.Client = client })
	for name, host := range map[string]string{
		"C10 a name that resolves to loopback": "rebound.example",
		"C10 the address itself":               "127.0.0.1",
		"C10 the address in IPv6":              "[::ffff:127.0.0.1]",
		"C10 the unspecified address":          "0.0.0.0",
		"C10 localhost":                        "localhost",
		"C10 a name that does not exist":       "nowhere.example",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.Lookup(t.Context(), issuer, "https://"+host+":"+port+"/client.json")
			refusedWith(t, err, InvalidClient)
			var e *Error
			if errors.As(err, &e); e.Description != "the client's metadata document cannot be fetched" {
				t.Errorf("the answer tells inside from outside: %q", e.Description)
			}
		})
	}
	select {
	case <-connected:
		t.Error("C10: a connection was made")
	default:
	}
}

func TestGuardedClientAsksNoProxy(t *testing.T) {
	transport := guardedClient(nil).Transport.(*http.Transport)
	if transport.Proxy != nil || !transport.DisableKeepAlives {
		t.Error("C10: a proxy or an old connection would pass the guard")
	}
}
