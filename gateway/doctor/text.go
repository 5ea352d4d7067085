package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteStep writes what a step found, for people: one line, and what to do
// where something is not as it should be. What was skipped is left out, but for
// the sign-in.
func WriteStep(w io.Writer, s Step) {
	if s.Result == Skipped && s.Name != "sign-in" {
		return
	}
	written := false
	for _, f := range s.Findings {
		if f.Result.rank() < Warning.rank() && written {
			continue
		}
		fmt.Fprintf(w, "%-8s %-24s %s\n", f.Result, s.Name, f.Seen)
		written = true
		if f.Result.rank() >= Warning.rank() {
			writeDetails(w, f)
		}
	}
}

func writeDetails(w io.Writer, f Finding) {
	who := strings.Join(f.Clients, ", ")
	if who == "" {
		who = "no client fails by it, and everybody is in danger"
	}
	for _, d := range []struct{ name, text string }{{"for", who}, {"rule", f.Rule}, {"fix", f.Fix}} {
		if d.text != "" {
			fmt.Fprintf(w, "%8s %-24s %-4s %s\n", "", "", d.name, d.text)
		}
	}
}

// WriteOutcomes writes what each client can expect.
func (r *Report) WriteOutcomes(w io.Writer) {
	works := "works"
	if !r.signedIn() {
		works = "nothing wrong before the sign-in"
	}
	for _, o := range r.Outcomes {
		switch o.Result {
		case Wrong:
			fmt.Fprintf(w, "%-16s fails at %s: %s\n", o.Client, o.Step, o.Because)
		case Warning:
			fmt.Fprintf(w, "%-16s %s; a remark at %s\n", o.Client, works, o.Step)
		default:
			fmt.Fprintf(w, "%-16s %s\n", o.Client, works)
		}
	}
}

// signedIn says whether the walk went past the sign-in.
func (r *Report) signedIn() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Name == "token" && s.Result.rank() >= OK.rank() })
}
