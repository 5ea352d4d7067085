package web

import "slices"

// What a page may be, with its stylesheet and script, and how much of the
// consent page is left to foreign texts: what is ours takes no more than the
// rest, in any language.
const (
	maxPage  = 30_000
	listRoom = 16_300
)

// flatList is how many scopes are a list that nobody has to fold.
const flatList = 12

// A menu is the scopes of a consent page as they are shown.
type menu struct {
	First    list // in the open
	Rest     list // folded: not asked for, and so many that they would bury the others
	Withheld int  // not on offer, because nobody allows what they were not shown
}

// A list is scopes as they are shown: each by itself or, where they are too
// many for that, their names in groups of the same effect.
type list struct {
	Each   []scopeView
	Groups []group
}

// Len is how many scopes there are in the list.
func (l list) Len() int {
	n := len(l.Each)
	for _, g := range l.Groups {
		n += len(g.Scopes)
	}
	return n
}

type group struct {
	Effect string
	Scopes []Scope
}

// scopeView is a scope as it is shown: its texts cut, its lists bounded.
type scopeView struct {
	Name, Description     string
	Ticked, Marked        bool // Marked: as asked for
	Effect                string
	Covers                []string
	Tools                 []toolView
	MoreCovers, MoreTools int
	ToolCount             int
}

type toolView struct {
	Name, Description, Effect string
	Limits                    []Limit
}

// detail is how much is said of a scope: characters of texts, lengths of lists.
type detail struct{ description, tools, toolText, covers, limits int }

// details are what is tried, in order, until the page is small enough. A server
// with a few permissions is shown in full; one with a hundred long ones is
// still shown whole, in fewer words.
var details = []detail{
	{240, 40, 240, 40, 5},
	{240, 40, 100, 40, 5},
	{200, 40, 0, 20, 5},
	{140, 15, 0, 10, 3},
	{100, 6, 0, 5, 2},
	{80, 3, 0, 3, 0},
	{60, 0, 0, 1, 0},
	{30, 0, 0, 0, 0},
}

// menu is what of the scopes is shown.
func (c Consent) menu() menu {
	var first, rest []Scope
	for _, s := range c.Scopes {
		switch {
		case !usable(s.Name):
		case len(c.Scopes) <= flatList || s.Asked || s.Ticked:
			first = append(first, s)
		default:
			rest = append(rest, s)
		}
	}
	if len(first) == 0 {
		first, rest = rest, nil
	}
	room := listRoom - c.claimed()
	if told := c.told(); told != nil {
		room -= told.size
	}
	return fit(first, rest, c.mixed(), room)
}

// claimed is how many bytes the texts take that are in no list.
func (c Consent) claimed() int {
	n := size(claim(c.Client.Name)) + 3*size(line(60, c.Server)) + 2*size(host(c.Host)) + size(host(c.Client.Host)) + size(host(c.Client.RedirectHost)) +
		size(line(120, c.User)) + size(c.Request) + size(c.Seen) + size(line(300, c.Client.ID)) + size(line(300, c.Client.RedirectURI)) + size(line(300, c.Resource))
	for _, w := range c.ways() {
		n += size(line(60, w.Name))
	}
	return n
}

// fit finds the most that can be said within room: of what was asked for what
// still leaves room to name the others; if that is nothing, a little, and in half the room.
func fit(first, rest []Scope, mixed bool, room int) menu {
	var m menu
	_, easy := brief(rest, room)
	l, left := fitted(details, first, mixed, easy, room)
	if l.Groups != nil {
		l, left = fitted(details[len(details)-4:], first, mixed, max(easy, room/2), room)
	}
	m.First = l
	m.Rest, _ = fitted(details, rest, false, left, left)
	m.Withheld = len(first) + len(rest) - m.First.Len() - m.Rest.Len()
	return m
}

// fitted is a list of the scopes in the most detail that leaves something over of
// easy, or as many of their names as there is room for, and the room left.
func fitted(details []detail, scopes []Scope, mixed bool, easy, room int) (list, int) {
	for _, d := range details {
		if len(scopes)*scopeMarkup > easy {
			break // whatever is left out of them
		}
		var each []scopeView
		used := 0
		for _, s := range scopes {
			v := d.of(s, mixed)
			if used += v.size(); used > easy {
				break
			}
			each = append(each, v)
		}
		if len(each) == len(scopes) {
			return list{Each: each}, room - used
		}
	}
	var l list
	for _, s := range scopes {
		if v := details[len(details)-1].of(s, mixed); s.pinned() && v.size() <= room {
			l.Each = append(l.Each, v)
			room -= v.size()
		}
	}
	l.Groups, room = brief(scopes, room)
	return l, room
}

// brief is as many names of scopes as there is room for. What somebody pinned
// has a field of its own, which is not in a name.
func brief(scopes []Scope, room int) (groups []group, left int) {
	groups = []group{{Effect: "deletes"}, {Effect: "changes"}, {Effect: "reads"}, {}}
	for _, s := range scopes {
		if n := briefMarkup + 2*size(s.Name); n <= room && !s.pinned() {
			room -= n
			i := slices.IndexFunc(groups, func(g group) bool { return g.Effect == s.effect() })
			groups[i].Scopes = append(groups[i].Scopes, s)
		}
	}
	return slices.DeleteFunc(groups, func(g group) bool { return g.Scopes == nil }), room
}

func (s Scope) effect() string { return effect(s.ReadOnly, s.Destructive, len(s.Tools) > 0) }

// pinned says that somebody pinned an argument of a tool behind it.
func (s Scope) pinned() bool {
	return slices.ContainsFunc(s.Tools, func(t Tool) bool {
		return slices.ContainsFunc(t.Limits, func(l Limit) bool { return l.Value != "" })
	})
}

// of is a scope in this much detail.
func (d detail) of(s Scope, mixed bool) scopeView {
	v := scopeView{
		Name: s.Name, Ticked: s.Ticked, Marked: mixed && s.Asked,
		Effect: s.effect(), ToolCount: len(s.Tools),
	}
	v.Description = cut(d.description, s.Description)
	for _, name := range s.Covers {
		if usable(name) && len(v.Covers) < d.covers {
			v.Covers = append(v.Covers, name)
		}
	}
	if v.Covers != nil {
		v.MoreCovers = len(s.Covers) - len(v.Covers)
	}
	for _, t := range s.Tools {
		limits := d.limitsOf(t)
		// A value that was pinned once must be seen, or it would be given up unseen.
		if len(v.Tools) < d.tools || len(limits) > 0 {
			v.Tools = append(v.Tools, toolView{line(120, t.Name), cut(d.toolText, t.Description), effect(t.ReadOnly, t.Destructive, true), limits})
		}
	}
	v.MoreTools = len(s.Tools) - len(v.Tools)
	return v
}

func (d detail) limitsOf(t Tool) []Limit {
	var out []Limit
	for _, l := range t.Limits {
		if len(out) < d.limits || l.Value != "" {
			out = append(out, l)
		}
	}
	return out
}

func cut(limit int, s string) string {
	if limit == 0 {
		return ""
	}
	return line(limit, s)
}

// What the markup of each thing takes, its words in the longest of our
// languages included.
const (
	scopeMarkup  = 117
	briefMarkup  = 68
	effectMarkup = 105
	markMarkup   = 32
	listMarkup   = 110 // of a list of tools, or of what is covered
	itemMarkup   = 30
	limitMarkup  = 260
	choiceMarkup = 30
)

// size is how many bytes it takes on the page at most.
func (v scopeView) size() int {
	n := scopeMarkup + 2*size(v.Name) + size(v.Description)
	if v.Effect != "" {
		n += effectMarkup
	}
	if v.Marked {
		n += markMarkup
	}
	if len(v.Covers) > 0 {
		n += listMarkup
	}
	for _, name := range v.Covers {
		n += itemMarkup + size(name)
	}
	if len(v.Tools) > 0 {
		n += listMarkup
	}
	for _, t := range v.Tools {
		n += 2*itemMarkup + effectMarkup + size(t.Name) + size(t.Description)
		for _, l := range t.Limits {
			n += l.size()
		}
	}
	return n
}

func (l Limit) size() int {
	n := limitMarkup + size(l.Field) + size(line(120, l.Argument)) + size(l.Value)
	for _, choice := range l.Choices {
		n += choiceMarkup + size(choice)
	}
	return n
}
