// Package demo is what the command demo shows: a small MCP server that keeps
// notes in memory and says which scopes it has, and the configuration of a
// gateway in front of it.
//
// It promises that nobody but this machine can reach it, and that nothing it is
// told outlives it or fills the memory. It knows nothing of the gateway: main
// is given a handler and a configuration as text.
package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

const (
	username = "demo"
	password = "demo"
	// passwordHash is that of the password above, which is printed for all to
	// see: it protects nothing.
	passwordHash = "$argon2id$v=19$m=19456,t=2,p=1$5aGilPggSGqMmxv8Rl8SSA$+WECAUMF0P+dQDTLnt4ET1BZ2DAxz/BxzRlctu0WBpA"
)

// Account is the one user of the demo.
func Account() (user, pass string) { return username, password }

// CheckAddr refuses an address that other machines could reach, because
// everybody knows the password.
func CheckAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--addr: %q is not an address such as 127.0.0.1:8080", addr)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.Unmap().IsLoopback() || ip.Zone() != "") {
		return fmt.Errorf("--addr: %q is not on loopback; the demo's password is no secret, so it stays on this machine", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("--addr: name a port from 1 to 65535; it is part of the URL that clients are given")
	}
	return nil
}

// hosts are the authorities the demo answers as, the one in its URL first.
// Clients and browsers mean the same machine by all of them.
func hosts(addr string) []string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return []string{addr}
	}
	all := []string{addr}
	for _, other := range []string{"localhost", "127.0.0.1"} {
		if other != host {
			all = append(all, net.JoinHostPort(other, port))
		}
	}
	return all
}

// Config is the configuration of the demo's gateway: addr is where it listens,
// upstream the URL of the toolbox. JSON is YAML.
func Config(addr, upstream string) string {
	type group map[string]any
	var list []group
	for _, host := range hosts(addr) {
		list = append(list, group{"host": host, "endpoint": upstream, "name": "Toolbox (demo)"})
	}
	text, err := json.MarshalIndent(group{
		"provider": group{
			"name":  "local",
			"users": []group{{"username": username, "passwordHash": passwordHash, "email": "demo@example.com"}},
		},
		"proxy":   group{"hosts": list},
		"server":  group{"addr": addr, "httpAddr": "", "adminAddr": "", "adminSocket": socket(addr), "scheme": "http"},
		"tls":     group{"mode": "off"},
		"store":   group{"url": "memory:"},
		"logging": group{"level": "warn", "format": "text"},
	}, "", "  ")
	if err != nil {
		panic(err) // maps of text, and nothing else
	}
	return string(text)
}

// socket is where the demo's management commands go: several demos, and a
// gateway beside them, do not share one.
func socket(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return filepath.Join(os.TempDir(), "mcp-oauth2-proxy-demo-"+port+".sock")
}
