package web

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What of changes is shown: so many bytes of the page, and so many of each
// text, around what is another and of it.
const (
	changesRoom = 5_000
	around      = 50
	maxDiffers  = 300
)

// told are the changes of tools as the page shows them.
type told struct {
	Shown []Change
	More  int // are not shown
	size  int // in bytes of the page
}

// told is nil where nothing has changed.
func (c Consent) told() *told {
	if len(c.Changes) == 0 {
		return nil
	}
	t := &told{size: changeMarkup}
	for i, change := range c.Changes {
		if t.size += change.size(); i > 0 && t.size > changesRoom {
			t.size -= change.size()
			break
		}
		t.Shown = append(t.Shown, change)
	}
	t.More = len(c.Changes) - len(t.Shown)
	return t
}

// What the markup of a change and of each of its texts takes.
const (
	changeMarkup = 300
	partMarkup   = 240
)

func (c Change) size() int {
	n := changeMarkup + size(visible(120, c.Tool))
	for _, d := range c.compared() {
		n += partMarkup + size(d.Lead) + size(d.Removed) + size(d.Added) + size(d.Tail)
	}
	return n
}

// unshown says that there is a change of which no text is known.
func (c Change) unshown() bool { return c.Kind == ToolChanged }

// difference is a text that became another: what stands before, what went,
// what came, and what stands after.
type difference struct {
	Name                       Key
	Lead, Removed, Added, Tail string
	Cut                        bool // it lies beyond what was kept
}

// compared are the differences of a tool.
func (c Change) compared() []difference {
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
	d := difference{Name: p.Name, Cut: p.Before == p.After}
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
// that cannot be seen is the one that matters. It ends after limit
// characters, or three times as many bytes, and says how many follow.
func visible(limit int, s string) string {
	var b strings.Builder
	n := 0 // characters that are there already
	for _, r := range s {
		if n == limit || size(b.String()) >= 3*limit {
			fmt.Fprintf(&b, "… (+%d)", utf8.RuneCountInString(s)-n)
			break
		}
		n++
		if r != ' ' && r != '\n' && (!unicode.IsGraphic(r) || unicode.IsSpace(r) || invisible(r) || unicode.Is(unicode.M, r) || r == '\u200c' || r == '\u200d') {
			fmt.Fprintf(&b, "[U+%04X]", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
