package web

import (
	"golang.org/x/text/language"
)

// Languages are those the pages are written in. The first is for whoever
// reads none of them.
var Languages = []string{"en", "de", "fr", "es", "ja"}

var matcher = language.NewMatcher(tags(Languages))

// maxAccept bounds what is read of a header that anybody may write.
const maxAccept = 256

// Language picks the language for a reader whose browser sends accept
// (RFC 9110 §12.5.4): the one they weigh most, or one that its readers
// understand, as German for Swiss German.
func Language(accept string) string {
	if accept == "" || len(accept) > maxAccept {
		return Languages[0]
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(wanted) == 0 {
		return Languages[0]
	}
	_, i, how := matcher.Match(wanted...)
	if how == language.No {
		return Languages[0]
	}
	return Languages[i]
}

func tags(names []string) []language.Tag {
	var out []language.Tag
	for _, name := range names {
		out = append(out, language.MustParse(name))
	}
	return out
}
