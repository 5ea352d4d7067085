//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// settings is a piece of configuration; JSON is YAML.
type settings map[string]any

// A gateway is the built program, serving.
type gateway struct {
	*process
	addr, admin string
}

// serve starts the program with the configuration, and env besides its own
// environment, and waits until it is ready.
func serve(t *testing.T, addr string, conf settings, env ...string) *gateway {
	t.Helper()
	admin := freeAddr(t)
	server, _ := conf["server"].(settings)
	if server == nil {
		server = settings{}
	}
	dir, err := os.MkdirTemp("", "gw-") //nolint:usetesting // the path of t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server["addr"], server["adminAddr"] = addr, admin
	if _, given := server["httpAddr"]; !given {
		server["httpAddr"] = ""
	}
	conf["server"] = server
	if _, given := conf["store"]; !given {
		conf["store"] = settings{"url": "bolt://" + filepath.Join(dir, "state.db")}
	}
	cmd := exec.Command(must(t, product), "serve", "--config", writeConfig(t, conf))
	cmd.Env = append(os.Environ(), env...)
	p := start(t, cmd)
	p.answers(t, "http://"+admin+"/readyz")
	return &gateway{process: p, addr: addr, admin: admin}
}

// answers waits until the URL answers 200.
func (p *process) answers(t *testing.T, url string) {
	t.Helper()
	p.until(t, func() error {
		res, err := http.Get(url)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, res.Status)
		}
		return nil
	})
}

// accepts waits until somebody listens at the address.
func (p *process) accepts(t *testing.T, addr string) {
	t.Helper()
	p.until(t, func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// until tries until there is no error, or the process ends.
func (p *process) until(t *testing.T, try func() error) {
	t.Helper()
	again, late := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s ended: %v", p.cmd, p.err)
		case <-late:
			t.Fatalf("%s: %v", p.cmd, err)
		case <-again.C:
		}
	}
}

func writeConfig(t *testing.T, conf settings) string {
	t.Helper()
	text, err := json.MarshalIndent(conf, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// freeAddr is an address of this machine on which nobody listens. Its port is
// none that the system gives to outgoing connections: they would keep a program
// from coming back to it.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 12000+rand.IntN(20000)))
		if err == nil {
			defer func() { _ = l.Close() }()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func port(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
