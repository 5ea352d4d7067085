package doctor

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Result says how a step ended.
type Result string

// The results, from the best to the worst; skipped is no judgement.
const (
	Skipped Result = "skipped"
	OK      Result = "ok"
	Warning Result = "warning"
	Wrong   Result = "wrong"
)

// rank orders results.
func (r Result) rank() int { return slices.Index([]Result{Skipped, OK, Warning, Wrong}, r) }

// A Report is what a run found. Its JSON is described in docs/doctor.md.
type Report struct {
	URL      string    `json:"url"`
	Clients  []string  `json:"clients"`
	Steps    []Step    `json:"steps"`
	Outcomes []Outcome `json:"outcomes"`
}

// A Step is one question, with an answer for each client.
type Step struct {
	Name     string    `json:"name"`   // stable
	Title    string    `json:"title"`  // for people
	Result   Result    `json:"result"` // the worst of the findings
	Findings []Finding `json:"findings"`
}

// A Finding is an answer and the clients it is true for. A wrong one without
// clients breaks none of them, and endangers all.
type Finding struct {
	Result  Result   `json:"result"`
	Clients []string `json:"clients"`
	Seen    string   `json:"seen"`
	Rule    string   `json:"rule,omitempty"` // the specification or document that says so
	Fix     string   `json:"fix,omitempty"`
}

// An Outcome is what one client can expect: ok if it works, warning if it works
// with a remark, wrong if it fails at the step.
type Outcome struct {
	Client  string `json:"client"`
	Result  Result `json:"result"`
	Step    string `json:"step,omitempty"` // the first that is worth a word
	Because string `json:"because,omitempty"`
}

// Failed says whether anything is wrong.
func (r *Report) Failed() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Result == Wrong })
}

// conclude sums up each client: it fails where the first thing is wrong for it.
func (r *Report) conclude() {
	for _, name := range r.Clients {
		o := Outcome{Client: name, Result: OK}
		for _, s := range r.Steps {
			for _, f := range s.Findings {
				if slices.Contains(f.Clients, name) && f.Result.rank() > o.Result.rank() {
					o = Outcome{Client: name, Result: f.Result, Step: s.Name, Because: f.Seen}
				}
			}
		}
		r.Outcomes = append(r.Outcomes, o)
	}
}

// maxSeen bounds what is repeated of somebody else's words.
const maxSeen = 400

// plain makes somebody else's words fit for a terminal: one line, bounded, no
// control or direction characters.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > maxSeen {
		s = string(runes[:maxSeen]) + "…"
	}
	return strings.TrimSpace(s)
}
