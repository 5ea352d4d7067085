//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// room is where this run keeps what it builds.
var room = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "e2e-") })

// product is the program under test, built as the README says.
var product = sync.OnceValues(func() (string, error) { return build("../..", ".", "mcp-oauth2-proxy") })

// referenceServer is the Go SDK's own MCP server for conformance runs.
var referenceServer = tool("github.com/modelcontextprotocol/go-sdk/conformance/everything-server", "everything-server")

// tool is somebody else's program, pinned as a tool of this module.
func tool(pkg, name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) { return build(".", pkg, name) })
}

func TestMain(m *testing.M) {
	// pebble sleeps at random and reuses proofs at random unless told otherwise.
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	if dir, err := room(); err == nil {
		_ = exec.Command("umount", filepath.Join(dir, "storage", "overlay")).Run() // podman leaves its store mounted, if there is one
		_ = os.RemoveAll(dir)                                                      // it is temporary; what is left harms nobody
	}
	os.Exit(code)
}

func build(dir, pkg, name string) (string, error) {
	to, err := room()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(to, name)
	// Without -buildvcs: a tree owned by somebody else must build too.
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", bin, pkg)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return bin, nil
}

// must is for the parts above: a missing one fails the test, never skips it.
func must(t *testing.T, part func() (string, error)) string {
	t.Helper()
	path, err := part()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
