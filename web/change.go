package web

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What of changes is shown: so many tools, so many characters around what is
// another and of it.
const (
	maxChanges = 10
	around     = 50
	maxDiffers = 300
)

// told are the changes of tools as the page shows them.
type told struct{ all []Change }

// Told is nil where nothing has changed.
func (c Consent) Told() *told { //nolint:revive // for the template
	if len(c.Changes) == 0 {
		return nil
	}
	return &told{c.Changes}
}

// Shown are the changes that are shown.
func (t *told) Shown() []Change { return t.all[:min(len(t.all), maxChanges)] }

// More is how many are not.
func (t *told) More() int { return len(t.all) - len(t.Shown()) }

// Said is the kind in words.
func (c Change) Said() string {
	switch c.Kind {
	case ToolNew:
		return "new"
	case ToolGone:
		return "no longer among what you allowed"
	}
	return "changed"
}

// Unshown says that there is a change of which no text is known.
func (c Change) Unshown() bool { return c.Kind == ToolChanged }

// difference is a text that became another: what stands before, what went,
// what came, and what stands after.
type difference struct {
	Name, Lead, Removed, Added, Tail string
	Cut                              bool // it lies beyond what was kept
}

// Compared are the differences of a tool.
func (c Change) Compared() []difference { //nolint:revive // for the template
	var out []difference
	for _, p := range c.Parts[:min(len(c.Parts), 3)] {
		out = append(out, p.compare())
	}
	return out
}

// compare finds the one stretch outside of which both texts are the same.
func (p Part) compare() difference {
	before, after := []rune(p.Before), []rune(p.After)
	lead := 0
	for lead < len(before) && lead < len(after) && before[lead] == after[lead] {
		lead++
	}
	tail := 0
	for tail < len(before)-lead && tail < len(after)-lead && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	d := difference{Name: line(20, p.Name), Cut: p.Before == p.After}
	d.Lead = visible(around, string(before[max(0, lead-around):lead]))
	if lead > around {
		d.Lead = "…" + d.Lead
	}
	d.Removed = visible(maxDiffers, string(before[lead:len(before)-tail]))
	d.Added = visible(maxDiffers, string(after[lead:len(after)-tail]))
	rest := before[len(before)-tail:]
	d.Tail = visible(around, string(rest[:min(len(rest), around)]))
	if len(rest) > around {
		d.Tail += "…"
	}
	return d
}

// visible writes a text so that every character of it can be seen: what turns
// the direction of reading, hides or looks like nothing is a number. A change
// that cannot be seen is the one that matters.
func visible(limit int, s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > limit {
			fmt.Fprintf(&b, "… (%d characters more)", utf8.RuneCountInString(s)-limit)
			break
		}
		if r != ' ' && r != '\n' && (!unicode.IsGraphic(r) || unicode.IsSpace(r) || invisible(r) || unicode.Is(unicode.M, r) || r == '\u200c' || r == '\u200d') {
			fmt.Fprintf(&b, "[U+%04X]", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
