//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestMCPRemoteClient: the program that connects for clients which can only
// start programs. It speaks to one over its standard streams, and here that one
// is the Go SDK's.
func TestMCPRemoteClient(t *testing.T) {
	w := newWorld(t)
	c := errands["notes"]
	cmd := nodeCommand(t, filepath.Join("node_modules", "mcp-remote", "dist", "proxy.js"), w.notes+"/mcp")
	cmd.Env = append(cmd.Env, "NODE_EXTRA_CA_CERTS="+w.file, "MCP_REMOTE_CONFIG_DIR="+t.TempDir(),
		"PATH="+desktop(t)+string(os.PathListSeparator)+os.Getenv("PATH"))
	says := &output{changed: make(chan struct{})}
	cmd.Stderr = says
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- mcp-remote says\n%s", says)
		}
	})
	session := make(chan *mcp.ClientSession, 1)
	failed := make(chan error, 1)
	go func() {
		s, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
		if err != nil {
			failed <- err
			return
		}
		session <- s
	}()
	asks := (&process{cmd: cmd, out: says, done: make(chan struct{})}).says(t, `visiting:\s+(https://\S+)`)[1]
	browse(t, w.authority).consents(t, asks, "MCP CLI Proxy", names["notes"])
	select {
	case s := <-session:
		t.Cleanup(func() { _ = s.Close() }) // the test is over
		if got := callTool(t, s, c.tool, c.arguments); got != c.answer {
			t.Errorf("%s answers %q, want %q", c.tool, got, c.answer)
		}
	case err := <-failed:
		t.Fatal(err)
	}
}

// desktop is a folder with the command that opens a browser on a desktop, which
// opens none: mcp-remote prints the address as well.
func desktop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
