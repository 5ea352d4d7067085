//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// parts is a folder with our scripts beside the packages they import.
var parts = sync.OnceValues(func() (string, error) {
	packages, err := npmPackages()
	if err != nil {
		return "", err
	}
	to, err := room()
	if err != nil {
		return "", err
	}
	if err := os.Symlink(packages, filepath.Join(to, "node_modules")); err != nil {
		return "", err
	}
	scripts, err := filepath.Glob("parts/*.mjs")
	if err != nil {
		return "", err
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(script)), text, 0o600); err != nil {
			return "", err
		}
	}
	return to, nil
})

// npmPackages installs what parts/package-lock.json pins, once for each lock
// file: the folder is named after it, and gets its name when it is whole.
func npmPackages() (string, error) {
	lock, err := os.ReadFile("parts/package-lock.json")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	whole := filepath.Join(cache, "mcp-oauth2-proxy-e2e", "npm-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(whole); err == nil {
		return filepath.Join(whole, "node_modules"), nil
	}
	if err := os.MkdirAll(filepath.Dir(whole), 0o700); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(filepath.Dir(whole), "partial-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(partial) }() // gone already, if all went well
	if err := os.CopyFS(partial, os.DirFS("parts")); err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "ci")
	cmd.Dir = partial
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	if err := os.Rename(partial, whole); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return filepath.Join(whole, "node_modules"), nil
}

// node is Node 22 from the parts, or the machine's own where npm has none for
// this kind of machine.
var node = sync.OnceValues(func() (string, error) {
	dir, err := parts()
	if err != nil {
		return "", err
	}
	arch := strings.Replace(runtime.GOARCH, "amd64", "x64", 1)
	bin := filepath.Join(dir, "node_modules", "node-"+runtime.GOOS+"-"+arch, "bin", "node")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	out, err := exec.Command("node", "--version").Output()
	if err != nil || !regexp.MustCompile(`^v(2[2-9]|[3-9]\d)\.`).Match(out) {
		return "", fmt.Errorf("node 22 or newer is needed; there is %q (%w)", out, err)
	}
	return exec.LookPath("node")
})

// nodeCommand runs a script of the parts with names of .test resolved.
func nodeCommand(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	dir := must(t, parts)
	argv := append([]string{"--import", filepath.Join(dir, "names.mjs"), filepath.Join(dir, script)}, args...)
	cmd := exec.Command(must(t, node), argv...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	return cmd
}
