package gateway

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedFile   = regexp.MustCompile("`([a-z0-9_/]+\\.go)`")
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`")
	namedMutant = regexp.MustCompile(`\*([a-zA-Z][^*|]*?: [^*|]+)\*`)
	mutantName  = regexp.MustCompile(`(?:one\(|^\t\{)"([^"]+)"`)
	testFunc    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
)

// TestTheThreatTableNamesWhatIsThere: every file and test of docs/security.md
// exists, and every mutant is in it.
func TestTheThreatTableNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range namedFile.FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
			t.Error(err)
		}
	}
	tests := map[string]bool{}
	err = filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := os.ReadFile(name)
		for _, m := range testFunc.FindAllStringSubmatch(string(source), -1) {
			tests[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range namedTest.FindAllStringSubmatch(string(text), -1) {
		if !tests[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
	source, err := os.ReadFile("e2e/attack/mutantlist_test.go")
	if err != nil {
		t.Fatal(err)
	}
	mutants, named := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(string(source)) {
		if m := mutantName.FindStringSubmatch(line); m != nil {
			mutants[m[1]] = true
		}
	}
	for _, m := range namedMutant.FindAllStringSubmatch(string(text), -1) {
		if named[m[1]] = true; !mutants[m[1]] {
			t.Errorf("there is no mutant %q", m[1])
		}
	}
	for name := range mutants {
		if !named[name] {
			t.Errorf("the mutant %q is not in the table", name)
		}
	}
	if len(mutants) < 50 {
		t.Errorf("%d mutants are found", len(mutants))
	}
}
