//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// releaseFlags are those of .github/workflows/release.yml and of the Dockerfile.
func releaseFlags(version, revision string) []string {
	return []string{
		"build", "-trimpath", "-buildvcs=false", "-tags", "timetzdata,nopgxregisterdefaulttypes",
		"-ldflags", "-s -w -X main.version=" + version + " -X main.revision=" + revision,
	}
}

// release is the program as releases have it; fipsRelease is its FIPS 140-3 build.
var (
	release     = sync.OnceValues(func() (string, error) { return buildRelease("../..", "release") })
	fipsRelease = sync.OnceValues(func() (string, error) { return buildRelease("../..", "fips", "GOFIPS140=v1.0.0") })
)

func buildRelease(tree, name string, env ...string) (string, error) {
	to, err := room()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(to, name)
	cmd := exec.Command("go", append(releaseFlags("1.2.3", "0123abc"), "-o", bin, ".")...)
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return bin, nil
}

// sources are what the program is built from.
func sources(t *testing.T, to string) {
	t.Helper()
	list, err := exec.Command("git", "-c", "safe.directory=*", "-C", "../..", "ls-files", "-co", "--exclude-standard", "-z").Output()
	if err != nil {
		t.Fatalf("list the sources: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The same sources make the same program, wherever they lie. LONG compiles
// everything twice, as on two machines.
func TestTheSameSourcesMakeTheSameBytes(t *testing.T) {
	var sums [][32]byte
	for _, place := range []string{"a", "somewhere/else/entirely"} {
		dir := filepath.Join(t.TempDir(), place)
		sources(t, dir)
		var env []string
		if long() {
			env = append(env, "GOCACHE="+t.TempDir())
		}
		bin, err := buildRelease(dir, "twice", env...)
		if err != nil {
			t.Fatal(err)
		}
		program := slurp(t, bin)
		if bytes.Contains(program, []byte(dir)) {
			t.Errorf("the program names the folder it was built in, %s", dir)
		}
		sums = append(sums, sha256.Sum256(program))
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ: %x, %x", sums[0], sums[1])
	}
}

// runs starts the program and returns what it prints and its exit code.
func runs(t *testing.T, env []string, bin string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), env...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestVersionSaysWhatTheReleaseIs(t *testing.T) {
	want := fmt.Sprintf("mcp-oauth2-proxy 1.2.3 0123abc %s %s/%s (FIPS 140-3: off)\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if out, code := runs(t, nil, must(t, release), "version"); out != want || code != 0 {
		t.Errorf("%d: %q, want %q", code, out, want)
	}
}

func TestAFIPSBuildDoesNotStartWithoutFIPS(t *testing.T) {
	bin, off := must(t, fipsRelease), []string{"GODEBUG=fips140=off"}
	if out, code := runs(t, nil, bin, "version"); code != 0 || !strings.Contains(out, "(FIPS 140-3: on, module v1.0.0") {
		t.Errorf("version: %d, %q", code, out)
	}
	if out, code := runs(t, off, bin, "version"); code != 0 || !strings.Contains(out, "(FIPS 140-3: off, module v1.0.0") {
		t.Errorf("version, turned off: %d, %q", code, out)
	}
	for _, args := range [][]string{{"serve"}, {}, {"check"}, {"demo"}} {
		if out, code := runs(t, off, bin, args...); code != 1 || !strings.HasPrefix(out, "this is a FIPS 140-3 build") {
			t.Errorf("%v, turned off: %d, %q", args, code, out)
		}
	}
}

// A whole connection, with a local user's argon2id hash, cookies, keys and tokens.
func TestEverythingWorksUnderFIPS(t *testing.T) {
	addr := freeAddr(t)
	p := start(t, exec.Command(must(t, fipsRelease), "demo", "--addr", addr))
	p.accepts(t, addr)
	v := demoVisitor(t, nil)
	got := v.signIn(t, "http://"+addr)
	callTool(t, toolbox(t, "http://"+addr, got.Access), "list_resources", map[string]any{})
}

var nfpm = installed("nfpm", "v2.43.0")

// packages is a folder with the deb and the rpm of the release.
var packages = sync.OnceValues(func() (string, error) {
	tool, err := nfpm()
	if err != nil {
		return "", err
	}
	bin, err := release()
	if err != nil {
		return "", err
	}
	to, err := room()
	if err != nil {
		return "", err
	}
	tree, dist := filepath.Join(to, "tree"), filepath.Join(to, "dist")
	for _, dir := range []string{"deploy", "docs"} {
		if err := os.CopyFS(filepath.Join(tree, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			return "", err
		}
	}
	for from, name := range map[string]string{"../../LICENSE": "LICENSE", "../../config.example.yaml": "config.example.yaml", bin: "mcp-oauth2-proxy"} {
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(tree, name), text, 0o755); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dist, 0o755); err != nil {
		return "", err
	}
	for _, kind := range []string{"deb", "rpm"} {
		cmd := exec.Command(tool, "package", "--config", "deploy/nfpm.yaml", "--packager", kind, "--target", dist)
		cmd.Dir = tree
		cmd.Env = append(os.Environ(), "VERSION=1.2.3", "ARCH="+runtime.GOARCH, "SOURCE_DATE_EPOCH=1767225600")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("nfpm: %w\n%s", err, out)
		}
	}
	return dist, nil
})

// pack is the one package of a kind.
func pack(t *testing.T, kind string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(must(t, packages), "*."+kind))
	if err != nil || len(found) != 1 {
		t.Fatalf("the packages of kind %s are %v, %v", kind, found, err)
	}
	return found[0]
}

func TestPackagesHoldTheProgramTheUnitAndTheGuides(t *testing.T) {
	want := []string{
		"/etc/mcp-oauth2-proxy/config", "/etc/mcp-oauth2-proxy/secrets", "/usr/bin/mcp-oauth2-proxy",
		"/usr/lib/systemd/system/mcp-oauth2-proxy.service", "/usr/lib/systemd/system/mcp-oauth2-proxy.socket",
		"/usr/share/doc/mcp-oauth2-proxy/config.example.yaml", "/usr/share/doc/mcp-oauth2-proxy/copyright",
		"/usr/share/doc/mcp-oauth2-proxy/docs/operations.md",
	}
	for kind, list := range map[string][]string{"deb": {"dpkg-deb", "-c"}, "rpm": {"rpm", "-qlp"}} {
		t.Run(kind, func(t *testing.T) {
			out, err := exec.Command(list[0], append(list[1:], pack(t, kind))...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var files []string
			for line := range strings.Lines(string(out)) {
				fields := strings.Fields(line)
				files = append(files, strings.TrimRight(strings.TrimPrefix(fields[len(fields)-1], "."), "/"))
			}
			for _, file := range want {
				if !slices.Contains(files, file) {
					t.Errorf("%s is not in\n%s", file, out)
				}
			}
		})
	}
}
