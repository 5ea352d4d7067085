package web

// accountRoom is how much of the account page is left to what a person has:
// first the passkeys, which are few, then attempts, then connections, which go
// on to another page.
const (
	accountRoom = 14_000
	maxAttempts = 5
	roomForOne  = 2_500 // connection
)

// What the markup of each takes, its words in the longest of our languages
// included.
const (
	passkeyMarkup    = 560
	attemptMarkup    = 450
	connectionMarkup = 1_350
)

// accountView is what of the account is on this page.
type accountView struct {
	Connections []Connection
	Attempts    []Attempt
	Newer       bool // there are some before these
	Older       int  // the next page begins after so many; 0: there is none
}

// view is the part of the account that this page shows.
func (a Account) view() accountView {
	room := accountRoom
	if a.Passkeys != nil {
		room -= size(a.Passkeys.Ask) // bounded where it is made
		for _, k := range a.Passkeys.List {
			room -= passkeyMarkup + size(line(60, k.Name)) + size(k.ID)
		}
	}
	from := min(max(a.From, 0), len(a.Connections))
	v := accountView{Newer: from > 0}
	for _, t := range a.Attempts[:min(len(a.Attempts), maxAttempts)] {
		if room -= t.size(); from == 0 && room > roomForOne {
			v.Attempts = append(v.Attempts, t)
		}
	}
	for _, c := range a.Connections[from:] {
		if room -= c.size(); room < 0 && len(v.Connections) > 0 {
			v.Older = from + len(v.Connections)
			break
		}
		v.Connections = append(v.Connections, c)
	}
	return v
}

func (t Attempt) size() int {
	return attemptMarkup + size(claim(t.Client)) + size(line(60, t.Step)) + size(line(240, t.Reason)) + size(line(240, t.Fix)) + size(line(120, t.Reference))
}

// maxListed bounds the names of scopes of one connection, in bytes.
const maxListed = 300

// listed are the scopes that the page names.
func (c Connection) listed() []string {
	var out []string
	room := maxListed
	for _, s := range c.Scopes {
		s = line(120, s)
		if room -= itemMarkup + size(s); room < 0 && len(out) > 0 {
			break
		}
		out = append(out, s)
	}
	return out
}

// more is how many scopes are not named.
func (c Connection) more() int { return len(c.Scopes) - len(c.listed()) }

func (c Connection) size() int {
	n := connectionMarkup + size(claim(c.Client)) + size(host(c.RedirectHost)) + size(c.Grant) + size(line(120, c.GivenFrom)) + size(line(120, c.UsedFrom))
	for _, s := range c.listed() {
		n += itemMarkup + size(s)
	}
	return n
}
