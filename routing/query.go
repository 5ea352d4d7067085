package routing

import (
	"net/url"
	"strings"
)

// eachSession calls fn for every parameter of a query that names a session, with
// its value as written and decoded, and puts what fn returns in place of it.
func eachSession(query string, fn func(written, value string) string) string {
	if !mayNameSession(query) {
		return query
	}
	var b strings.Builder
	for rest := query; rest != ""; {
		end := strings.IndexAny(rest, "&;")
		sep := ""
		part := rest
		if end >= 0 {
			part, sep, rest = rest[:end], rest[end:end+1], rest[end+1:]
		} else {
			rest = ""
		}
		name, written, _ := strings.Cut(part, "=")
		b.WriteString(name)
		if isSession(decoded(name)) && written != "" {
			written = fn(written, decoded(written))
		}
		if len(part) > len(name) {
			b.WriteByte('=')
		}
		b.WriteString(written)
		b.WriteString(sep)
	}
	return b.String()
}

// namesSession tells whether any parameter does.
func namesSession(query string) bool {
	named := false
	eachSession(query, func(written, _ string) string {
		named = true
		return written
	})
	return named
}

// mayNameSession is quick, for it is asked of every request.
func mayNameSession(query string) bool {
	return query != "" && (strings.Contains(query, "%") || strings.Contains(strings.ToLower(query), "session"))
}

// isSession knows the names that the SDKs give the parameter, sessionId,
// session_id and sessionid, in every spelling that some server reads as one of
// them: in another case, with other marks in between, as the element of a list.
func isSession(name string) bool {
	name, _, _ = strings.Cut(name, "[")
	name = strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		if c < 'a' || c > 'z' {
			return -1
		}
		return c
	}, name)
	return name == "sessionid"
}

// decoded is a part of a query as a server reads it; what cannot be decoded is
// itself.
func decoded(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}
