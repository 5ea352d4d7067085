package routing

import (
	"net/http"
	"slices"
	"strings"
)

// dropCookies takes the gateway's own out of a request. The others stay as they
// were written.
func (r *Route) dropCookies(h http.Header) {
	lines := h["Cookie"]
	for i, line := range lines {
		if kept := r.keepCookies(line); kept != line {
			lines = slices.Clone(lines)
			lines[i] = kept
			h["Cookie"] = lines
		}
	}
	if lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return l == "" }); len(lines) == 0 {
		delete(h, "Cookie")
	} else {
		h["Cookie"] = lines
	}
}

func (r *Route) keepCookies(line string) string {
	var kept []string
	all := true
	for pair := range strings.SplitSeq(line, ";") {
		if r.ownPair(pair) {
			all = false
			continue
		}
		kept = append(kept, strings.TrimLeft(pair, " \t"))
	}
	if all {
		return line
	}
	return strings.Join(kept, "; ")
}

// ownPair judges a cookie by its name. One without a name is judged by its
// value: browsers send it as if the value were a pair.
func (r *Route) ownPair(pair string) bool {
	for {
		name, value, found := strings.Cut(pair, "=")
		if name = strings.Trim(name, " \t"); name != "" {
			return r.options.OwnCookie(name)
		}
		if !found {
			return false
		}
		pair = value
	}
}

// ownSetCookie is ownPair for an answer's header.
func (r *Route) ownSetCookie(line string) bool {
	pair, _, _ := strings.Cut(line, ";")
	return r.ownPair(pair)
}
