package gateway

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	ruleRow  = regexp.MustCompile(`^\| ([A-Z])([0-9]+) \| ([^|]+) \| [^|]* \| ([^|]+) \|$`)
	citation = regexp.MustCompile(`(?:Test|_|\b)([A-Z][0-9]{1,2})(?:_|\b)`)
)

// TestEveryRuleIsCitedByATest holds docs/protocol.md and the tests together: a
// rule of the authorization server that binds us, and is kept, has a test that
// names it.
func TestEveryRuleIsCitedByATest(t *testing.T) {
	cited := map[string]bool{}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, m := range citation.FindAllStringSubmatch(strings.ReplaceAll(string(text), "_", "__"), -1) {
			cited[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	server := strings.Split("PRMCDUZTS", "")
	last := map[string]int{}
	for line := range strings.Lines(string(text)) {
		m := ruleRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		family, rule, level := m[1], m[1]+m[2], m[3]
		last[family]++
		optional := level == "MAY" || strings.Contains(level, "(client)") || strings.Contains(m[4], "**not yet**")
		if slices.Contains(server, family) && !optional && !cited[rule] {
			t.Errorf("%s: no test names it", rule)
		}
	}
	for family, want := range map[string]int{"A": 8, "P": 12, "R": 19, "M": 10, "C": 19, "D": 15, "U": 10, "Z": 17, "T": 20, "S": 18, "X": 26, "H": 10, "G": 20} {
		if last[family] != want {
			t.Errorf("%s: %d rules are listed, want %d", family, last[family], want)
		}
	}
}
