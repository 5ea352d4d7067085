//go:build e2e

package attack

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// apply writes the changed copies of a mutant's files, and the overlay that
// puts them in the place of the originals.
func (m mutant) apply(dir string) (overlay string, err error) {
	changed := map[string]string{}
	for _, e := range m.edits {
		text, done := changed[e.file]
		if !done {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return "", err
			}
			text = string(b)
		}
		if n := strings.Count(text, e.before); n != 1 {
			return "", fmt.Errorf("%s: %s has this %d times, not once: %s", m.name, e.file, n, e.before)
		}
		changed[e.file] = strings.Replace(text, e.before, e.after, 1)
	}
	replace := map[string]string{}
	for file, text := range changed {
		original, err := filepath.Abs(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		replace[original] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replace[original], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

// TestEveryMutantFitsTheSource: a check that was moved or rewritten takes its
// mutant along.
func TestEveryMutantFitsTheSource(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutants {
		if _, err := m.apply(t.TempDir()); err != nil {
			t.Error(err)
		}
		if names[m.name] {
			t.Errorf("%s is there twice", m.name)
		}
		names[m.name] = true
	}
	t.Logf("%d mutants", len(mutants))
}

// chosen are the mutants of this run: all of them, those that are asked for, or
// a few.
func chosen(rng *rand.Rand) []mutant {
	if asked := os.Getenv("MUTANT"); asked != "" {
		re := regexp.MustCompile(asked)
		return slices.DeleteFunc(slices.Clone(mutants), func(m mutant) bool { return !re.MatchString(m.name) })
	}
	if long() {
		return mutants
	}
	const sample = 4
	var few []mutant
	for _, i := range rng.Perm(len(mutants))[:sample] {
		few = append(few, mutants[i])
	}
	return few
}

// worlds are what the attacker has at most for a mutant.
const worlds = 4

// TestTheAttackerBreaksEveryMutant measures the attacker: who does not notice
// that a check is gone, does not prove that it is there.
func TestTheAttackerBreaksEveryMutant(t *testing.T) {
	seed := uint64(number("ATTACK_SEED", int(rand.Uint32())))
	few := chosen(rand.New(rand.NewPCG(seed, 12)))
	if len(few) == 0 {
		t.Fatal("no such mutant")
	}
	var all time.Duration
	table := make([]string, len(few))
	for i, m := range few {
		t.Run(m.name, func(t *testing.T) {
			overlay, err := m.apply(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			name := fmt.Sprint("mutant-", i)
			bin, err := build(name, overlay)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.Remove(bin) }() // they are large
			var k *trace
			// Where luck fails for long the same is tried in another world: some of
			// it, such as whose hash stands in for a name that nobody has, is decided
			// once for each.
			for n := range uint64(worlds) {
				t.Run(fmt.Sprint("seed ", seed+n), func(t *testing.T) {
					k = newWorld(t, bin, seed+n, strings.HasPrefix(m.name, "handoff:")).explore(number("ATTACK_STEPS", 20000))
				})
				if t.Failed() {
					return // there was no world
				}
				if k.breached != nil {
					break
				}
			}
			if k.breached == nil {
				t.Fatalf("it lives in %d worlds, in the last after %d steps, %d states (seed %d)", worlds, k.steps, len(k.states), seed)
			}
			took := time.Since(began)
			all += took
			table[i] = fmt.Sprintf("| %s | %s | %s | %d | %.1f |", m.name, k.breached.invariant, k.last, k.steps, took.Seconds())
			t.Logf("%s: %s (by %q, after %d steps)", k.breached.invariant, k.breached.what, k.last, k.steps)
		})
	}
	report := fmt.Sprintf("| mutant | what breaks | by | after steps | seconds |\n|---|---|---|---|---|\n%s\n\n%d of %d mutants, seed %d, %.1f s each",
		strings.Join(table, "\n"), len(few), len(mutants), seed, all.Seconds()/float64(len(few)))
	t.Log("\n" + report)
	if file := os.Getenv("MUTANT_REPORT"); file != "" {
		if err := os.WriteFile(file, []byte(report+"\n"), 0o600); err != nil {
			t.Error(err)
		}
	}
}
