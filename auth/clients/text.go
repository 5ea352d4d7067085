package clients

import (
	"strings"
	"unicode"
)

// maxName is how many characters of a client's name people are shown.
const maxName = 100

// cleanName makes a name that a client gave itself fit to be shown: one line,
// without characters that cannot be seen or that reorder the others (a name
// that ends in U+202E turns the sentence after it around), and not endless.
func cleanName(name string) string {
	name = strings.Join(strings.Fields(strings.ToValidUTF8(name, "")), " ")
	runes := []rune(strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, name))
	if len(runes) > maxName {
		runes = runes[:maxName]
	}
	// Fields again: what was removed may have stood between two spaces.
	return strings.Join(strings.Fields(string(runes)), " ")
}

// invisible is every control, format, private-use and separator character but
// the two joiners, without which Persian, Hindi and many emoji cannot be spelled.
func invisible(r rune) bool {
	if r == '\u200c' || r == '\u200d' {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}
