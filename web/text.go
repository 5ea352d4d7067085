package web

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// line makes a foreign text safe to show: one line of at most limit
// characters, and twice as many bytes of markup, without control characters, without the invisible ones that turn
// the reading direction or hide, and without towers of combining marks, which
// climb over the lines above.
func line(limit int, s string) string {
	var b strings.Builder
	b.Grow(min(len(s), limit+len("…")))
	count, bytes, marks, space := 0, 0, 0, false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			space = count > 0
			continue
		case r < 0x80: // most of it, and nothing below applies
			marks = 0
		case invisible(r):
			continue
		case unicode.Is(unicode.M, r):
			// Nor may one climb on what we wrote before the text.
			if marks++; marks > 3 || space || count == 0 {
				continue
			}
		default:
			marks = 0
		}
		if space {
			b.WriteByte(' ')
			count, space = count+1, false
		}
		if bytes += escaped(r); count >= limit || bytes > 2*limit {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
		count++
	}
	return b.String()
}

// escaped is how many bytes a character takes in a page.
func escaped(r rune) int {
	switch r {
	case '<', '>':
		return len("&lt;")
	case '&', '"', '\'':
		return len("&#34;")
	}
	return utf8.RuneLen(r)
}

// size is how many bytes a text takes in a page.
func size(s string) int {
	n := 0
	for _, r := range s {
		n += escaped(r)
	}
	return n
}

// invisible are format characters (bidirectional controls, zero widths, tags),
// but for the joiners, which scripts and emoji need, and fillers that look
// like nothing.
func invisible(r rune) bool {
	switch r {
	case '\u200c', '\u200d':
		return false
	case '\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\ufffd':
		return true
	}
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r)
}

// quotes would let a name end the quotation it is shown in.
var quotes = strings.NewReplacer(`"`, "'", "“", "'", "”", "'", "„", "'", "‟", "'", "«", "'", "»", "'", "＂", "'", "″", "'", "〝", "'", "〞", "'")

// claim is a name that somebody gave himself, to be shown between quotes.
func claim(s string) string { return quotes.Replace(line(100, s)) }

// host is a host name as people must be able to judge it: in ASCII, for look-
// alikes hide in other scripts, and never without its end, which says whose it is.
func host(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		if ascii, err := idna.ToASCII(s); err == nil {
			s = ascii
		}
	}
	const longest = 253 // of any name in the DNS
	if len(s) > longest {
		s = "…" + strings.ToValidUTF8(s[len(s)-longest:], "")
	}
	return line(longest+1, s)
}
