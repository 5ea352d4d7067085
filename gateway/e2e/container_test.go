//go:build e2e && linux

package e2e

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// imageLimit is how large the image may be, unpacked.
const imageLimit = 30 << 20

// containers is where buildah and podman keep what they make here: nothing of the
// machine's own is touched.
var containers = sync.OnceValues(room)

// onStore runs buildah or podman there.
func onStore(tool string, args ...string) *exec.Cmd {
	dir, err := containers()
	if err != nil {
		panic(err)
	}
	global := []string{"--root", filepath.Join(dir, "storage"), "--runroot", filepath.Join(dir, "run")}
	if tool == "podman" {
		global = append(global, "--runtime", "runc", "--cgroup-manager", "cgroupfs")
	}
	cmd := exec.Command(tool, append(global, args...)...)
	cmd.Env = append(os.Environ(), "STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot")
	return cmd
}

// quietly runs a command and returns what it prints.
func quietly(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s\n%s", cmd, err, out, &stderr)
	}
	return strings.TrimSpace(string(out)), nil
}

// image is built from the Dockerfile as it is. Its base has the name that the
// Dockerfile uses, and is a Debian with the Go of this machine, because CI cannot
// fetch images; what Go has downloaded and compiled is lent to it.
var image = sync.OnceValues(func() (string, error) {
	root, err := debian()
	if err != nil {
		return "", err
	}
	var goEnv struct{ GOROOT, GOMODCACHE, GOCACHE string }
	text, err := exec.Command("go", "env", "-json", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err == nil {
		err = json.Unmarshal(text, &goEnv)
	}
	if err != nil {
		return "", err
	}
	base, err := quietly(onStore("buildah", "from", "scratch"))
	if err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"copy", "-q", base, root, "/"},
		{"copy", "-q", base, goEnv.GOROOT, "/usr/local/go"},
		{"config", "--env", "PATH=/usr/local/go/bin:/usr/bin:/bin", "--env", "GOPATH=/go", "--env", "GOCACHE=/gocache",
			"--env", "GOPROXY=off", "--env", "GOTOOLCHAIN=local", "--env", "GOFLAGS=-mod=mod", base},
		{"commit", "-q", "--rm", base, "docker.io/library/golang:1.26"},
		{"bud", "--layers=false", "--format", "docker", "--pull-never", "--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=0123abc",
			"--volume", goEnv.GOMODCACHE + ":/go/pkg/mod", "--volume", goEnv.GOCACHE + ":/gocache", "-t", "localhost/mcp-oauth2-proxy:test", "../.."},
	} {
		if _, err := quietly(onStore("buildah", args...)); err != nil {
			return "", err
		}
	}
	return "localhost/mcp-oauth2-proxy:test", nil
})

// confined is how docs/docker.md runs the image.
func confined(name string, args ...string) []string {
	run := []string{
		"run", "--name", name, "--read-only", "--cap-drop=all", "--security-opt", "no-new-privileges",
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", // of the machine that tests
	}
	return append(run, args...)
}

// runContainer starts one that is gone at the end.
func runContainer(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := start(t, onStore("podman", confined(name, args...)...))
	t.Cleanup(func() {
		if out, err := onStore("podman", "rm", "-f", "-t", "0", "-v", name).CombinedOutput(); err != nil {
			t.Errorf("podman rm: %v\n%s", err, out)
		}
	})
	return p
}

func TestTheImageIsSmallAndSaysWhatItIs(t *testing.T) {
	out, err := quietly(onStore("podman", "image", "inspect", must(t, image)))
	if err != nil {
		t.Fatal(err)
	}
	var is []struct {
		Size   int64
		Labels map[string]string
		Config struct {
			User       string
			Entrypoint []string
		}
		HealthCheck struct{ Test []string } `json:"Healthcheck"`
	}
	if err := json.Unmarshal([]byte(out), &is); err != nil || len(is) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%d bytes", is[0].Size)
	if is[0].Size >= imageLimit {
		t.Errorf("the image has %d bytes", is[0].Size)
	}
	if l := is[0].Labels; l["org.opencontainers.image.version"] != "1.2.3" || l["org.opencontainers.image.revision"] != "0123abc" {
		t.Errorf("its labels are %v", l)
	}
	if is[0].Config.User != "65532:65532" || len(is[0].HealthCheck.Test) == 0 {
		t.Errorf("it runs as %q, and is healthy by %v", is[0].Config.User, is[0].HealthCheck.Test)
	}
}

// The demo is for loopback only, so the container shares the host's network.
func TestTheImageServesTheDemo(t *testing.T) {
	addr := freeAddr(t)
	p := runContainer(t, "demo-"+port(t, addr), "--network=host", must(t, image), "demo", "--addr", addr)
	p.accepts(t, addr)
	got := demoVisitor(t, nil).signIn(t, "http://"+addr)
	callTool(t, toolbox(t, "http://"+addr, got.Access), "list_resources", map[string]any{})
}

// As on a server, on the usual ports, but for the network, which is its own alone.
func TestTheImageServesWithNothingButAConfiguration(t *testing.T) {
	name := fmt.Sprint("serve-", os.Getpid())
	hash, code := runs(t, nil, "sh", "-c", `echo secret | "$0" hash-password`, must(t, release))
	if code != 0 {
		t.Fatal(hash)
	}
	conf := writeConfig(t, settings{
		"provider": settings{"name": "local", "users": []settings{{"username": "ada", "passwordHash": strings.TrimSpace(hash)}}},
		"proxy":    settings{"hosts": []settings{{"host": "notes.test", "endpoint": "http://127.0.0.1:3001/mcp"}}},
		"tls":      settings{"mode": "selfsigned"},
	})
	if err := os.Chmod(conf, 0o644); err != nil {
		t.Fatal(err)
	}
	p := runContainer(t, name, "--network=none", "--sysctl", "net.ipv4.ip_unprivileged_port_start=0",
		"-v", conf+":/etc/mcp-oauth2-proxy/config/config.yaml:ro", must(t, image))
	p.says(t, `"msg":"listening","address":"\[::\]:443"`)
	p.until(t, func() error {
		_, err := quietly(onStore("podman", "healthcheck", "run", name))
		return err
	})
	pid, err := quietly(onStore("podman", "inspect", "--format", "{{.State.Pid}}", name))
	if err != nil {
		t.Fatal(err)
	}
	n := netns{}
	if n.pid, err = strconv.Atoi(pid); err != nil {
		t.Fatal(err)
	}
	pem, err := quietly(onStore("podman", "exec", name, "/mcp-oauth2-proxy", "selfsigned-ca"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(pem)) {
		t.Fatalf("selfsigned-ca says %q", pem)
	}
	res, err := n.client(t, roots).Get("https://notes.test/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("metadata is answered %s", res.Status)
	}
	status := string(slurp(t, fmt.Sprintf("/proc/%d/status", n.pid)))
	for _, line := range []string{"Uid:\t65532", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, line) {
			t.Errorf("%q is not in\n%s", line, status)
		}
	}
	if out, err := onStore("podman", "exec", name, "/mcp-oauth2-proxy", "backup", "/copy.db").CombinedOutput(); err == nil || !strings.Contains(string(out), "read-only") {
		t.Errorf("the root can be written to: %v, %s", err, out)
	}
	if out, err := quietly(onStore("podman", "exec", name, "/mcp-oauth2-proxy", "version")); err != nil || !strings.HasPrefix(out, "mcp-oauth2-proxy 1.2.3 0123abc "+runtime.Version()) {
		t.Errorf("version says %q, %v", out, err)
	}
}
