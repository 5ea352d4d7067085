//go:build e2e

package attack

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A move is something that somebody can do at any time.
type move struct {
	name   string
	weight int
	do     func()
}

func (w *world) moves() []move {
	return []move{
		{"begin", 11, w.begin}, {"go on", 55, w.goOn}, {"go back", 2, w.goBack}, {"use", 6, w.use}, {"refresh", 5, w.refreshes},
		{"disconnect", 2, w.disconnects}, {"visit account", 1, w.visitAccount}, {"act on account", 3, w.acts}, {"lure", 5, w.lures},
		{"see URL", 4, w.seesURL}, {"redeem", 10, w.redeems}, {"take over", 5, w.takesOver}, {"refresh elsewhere", 5, w.refreshesElsewhere},
		{"show elsewhere", 5, w.showsElsewhere}, {"forge", 4, w.forges}, {"anonymous", 1, w.anonymous}, {"spoof", 4, w.spoofs}, {"name host", 2, w.namesHost},
		{"smuggle tools", 4, w.smugglesTools}, {"stray", 3, w.strays}, {"provoke", 2, w.provokes}, {"join", 3, w.joins},
		{"send forms", 3, w.sendsForms}, {"plant", 2, w.plants}, {"rename", 3, w.renames}, {"return", 5, w.returns}, {"plot", 4, w.plots},
		{"deceive", 7, w.deceives}, {"ask badly", 4, w.asksBadly}, {"bait", 2, w.baits}, {"register", 1, w.registers}, {"intercept", 2, w.intercepts},
		{"publish", 2, w.publishes}, {"pose", 4, w.poses}, {"speak for", 3, w.speaksFor}, {"assert", 3, w.asserts}, {"ask for itself", 1, w.asksForItself},
		{"dig", 1, w.digs}, {"change tool", 2, w.changesTool}, {"switch tool", 2, w.switchesTool}, {"overstep", 3, w.oversteps},
	}
}

// A trace is what came of an exploration.
type trace struct {
	steps    int
	states   map[uint64]bool
	edges    map[uint64]bool // state, move, state
	breached *breach
	last     string // the move that broke
}

// forgetAfter is how long a walk goes on before browsers begin anew.
const forgetAfter = 150

// explore takes at most so many steps, and stops at the first breach.
func (w *world) explore(steps int) *trace {
	k := &trace{states: map[uint64]bool{}, edges: map[uint64]bool{}}
	moves := w.moves()
	total := 0
	for _, m := range moves {
		total += m.weight
	}
	from := w.state()
	for k.steps < steps {
		if k.steps%forgetAfter == forgetAfter-1 {
			w.forget()
			from = w.state()
		}
		m := weighted(moves, w.rng.IntN(total))
		m.do()
		k.steps++
		to := w.state()
		k.states[to] = true
		k.edges[mix(from, m.name, to)] = true
		from = to
		if k.breached = w.breach(); k.breached != nil {
			k.last = m.name
			return k
		}
		select {
		case <-w.done:
			k.breached, k.last = &breach{"the gateway lives", w.out.String()}, m.name
			return k
		default:
		}
	}
	return k
}

func weighted(moves []move, n int) move {
	for _, m := range moves {
		if n -= m.weight; n < 0 {
			return m
		}
	}
	return moves[0]
}

func mix(from uint64, name string, to uint64) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, from, name, to)
	return h.Sum64()
}

// state is where everybody is, as far as it decides what is possible: which
// requests and sessions the browsers carry, where their tabs are, which codes
// are unspent, which grants live, what the rogue provider does.
func (w *world) state() uint64 {
	h := fnv.New64a()
	for _, b := range []*browser{w.victim, w.attacker} {
		for _, s := range w.sites {
			carried := 0
			for _, c := range b.ownCookies("r") {
				if c.host == s.host {
					carried++
				}
			}
			_, _ = fmt.Fprint(h, b.name, s.name, min(carried, 2), b.signedIn[s], ";")
		}
		var at []string
		for _, t := range b.tabs {
			at = append(at, place(t.at)+">"+place(t.next))
		}
		slices.Sort(at)
		_, _ = fmt.Fprint(h, slices.Compact(at))
		alive := map[string]bool{}
		for _, held := range w.holdings(b) {
			f := w.familyOf(held.refresh)
			alive[fmt.Sprint(held.client.name, held.site.name, f != nil && f.ended)] = true
		}
		_, _ = fmt.Fprint(h, slices.Sorted(maps.Keys(alive)))
	}
	unspent := map[string]int{}
	for _, c := range w.codes.of {
		if !c.spent {
			unspent[c.browser.name]++
		}
	}
	w.rogue.mu.Lock()
	defer w.rogue.mu.Unlock()
	_, _ = fmt.Fprint(h, min(unspent["victim"], 2), min(unspent["attacker"], 2), w.rogue.spoil, w.rogue.mixes, w.attacker.person)
	return h.Sum64()
}

// place is an address without what is different each time.
func place(address string) string {
	head, _, _ := strings.Cut(address, "?")
	return head
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func long() bool { return os.Getenv("LONG") != "" }

// TestNoMixtureOfStepsBreaksAnInvariant lets everybody do anything, in any
// order: half of the steps where each host has its own callback, half where all
// share one.
func TestNoMixtureOfStepsBreaksAnInvariant(t *testing.T) {
	steps := 6000
	if long() {
		steps = 200000
	}
	steps = number("ATTACK_STEPS", steps)
	seed := uint64(number("ATTACK_SEED", int(rand.Uint32())))
	happened := map[string]int{}
	for name, oneCallback := range map[string]bool{"a callback for each": false, "one callback for all": true} {
		t.Run(name, func(t *testing.T) {
			for what, times := range walks(t, seed, steps/2, oneCallback) {
				happened[what] += times
			}
		})
	}
	if steps >= 6000 && !t.Failed() {
		everythingHappened(t, happened)
	}
}

// walks explores the program as it is, and says what happened.
func walks(t *testing.T, seed uint64, steps int, oneCallback bool) map[string]int {
	t.Helper()
	w := newWorld(t, must(t, product), seed, oneCallback)
	k := w.explore(steps)
	t.Logf("seed %d: %d steps, %d distinct states, %d distinct transitions", seed, k.steps, len(k.states), len(k.edges))
	for _, what := range slices.Sorted(maps.Keys(w.said)) {
		t.Logf("%7d × %s", w.said[what], what)
	}
	if k.breached != nil {
		if b, err := os.ReadFile(w.audit); err == nil {
			lines := strings.Split(string(b), "\n")
			t.Logf("the audit log ends\n%s", strings.Join(lines[max(0, len(lines)-30):], "\n"))
		}
		t.Fatalf("after %q: %s: %s", k.last, k.breached.invariant, k.breached.what)
	}
	for _, s := range w.sites {
		if steps >= 3000 && s.upstream.count() == 0 {
			t.Errorf("nothing reached the MCP server of %s", s.name)
		}
	}
	w.keepsSecrets(t)
	return w.said
}

// everythingHappened: a walk in which nobody gets anywhere proves nothing.
func everythingHappened(t *testing.T, happened map[string]int) {
	t.Helper()
	for _, what := range []string{"a code is issued", "tokens are issued", "a tool is called", "a replay ends a grant", "a client ends a grant",
		"a person ends a grant", "a client refuses a callback", "at the honest provider", "at the rogue provider", "a race for a code", "a session of somebody else is tried",
		"a person signs in with a password", "a document is not whole", "a relic is shown", "a tool that has changed is refused", "an argument is refused",
		"an assertion is redeemed", "an answer is handed over", "a handoff is intercepted"} {
		if happened[what] == 0 {
			t.Errorf("it never happened that %s", what)
		}
	}
}

// keepsSecrets: what was logged and audited on the way tells nobody a secret.
func (w *world) keepsSecrets(t *testing.T) {
	t.Helper()
	audited, err := os.ReadFile(w.audit)
	if err != nil {
		t.Fatal(err)
	}
	all := w.out.String() + string(audited)
	if len(audited) == 0 || !strings.Contains(all, "request refused") {
		t.Error("nothing was logged or audited")
	}
	lines := strings.Split(all, "\n")
	secret := map[string]bool{}
	for _, s := range w.secrets {
		if len(s) > 20 {
			secret[s] = true
		}
	}
	word := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.~", r)
	}
	for _, line := range lines {
		for _, part := range strings.FieldsFunc(line, word) {
			if secret[part] {
				t.Fatalf("a secret is in the log: %s", line)
			}
		}
	}
	t.Logf("%d secrets are in none of %d lines", len(secret), len(lines))
}
