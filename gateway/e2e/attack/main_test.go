//go:build e2e

package attack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// room is where this run keeps what it builds.
var room = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "attack-") })

// root is the module of the product.
const root = "../../.."

// product is the program under test, built as the README says.
var product = sync.OnceValues(func() (string, error) { return build("mcp-oauth2-proxy", "") })

// build builds the program; overlay is a file for go build -overlay, or empty.
func build(name, overlay string) (string, error) {
	to, err := room()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(to, name)
	// Without -buildvcs: a tree owned by somebody else must build too.
	args := []string{"build", "-buildvcs=false", "-o", bin}
	if overlay != "" { // nobody will debug it, and it links sooner
		args = append(args, "-ldflags=-w", "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return bin, nil
}

func TestMain(m *testing.M) {
	if os.Getenv(within) == "" {
		code, err := enter()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	if err := settle(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if dir, err := room(); err == nil {
		_ = os.RemoveAll(dir) // it is temporary; what is left harms nobody
	}
	os.Exit(code)
}

// must is for what is built: a missing part fails the test.
func must(t *testing.T, part func() (string, error)) string {
	t.Helper()
	path, err := part()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
