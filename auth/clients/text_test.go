package clients

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanName(t *testing.T) {
	for name, tc := range map[string]struct{ name, want string }{
		"D7 an ordinary name":              {"Claude Code", "Claude Code"},
		"D7 markup is left to the page":    {`<b>"A" & B</b>`, `<b>"A" & B</b>`},
		"D7 line breaks":                   {"Claude\r\n\tCode", "Claude Code"},
		"D7 control characters":            {"Cl\x00au\x1bde\u0085 \x7fCode", "Claude Code"},
		"D7 right-to-left override":        {"Claude \u202eedoC", "Claude edoC"},
		"D7 every bidirectional character": {"\u061c\u200e\u200fA\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", "A"},
		"D7 characters nobody sees":        {"Cla\u200bu\u00adde\ufeff\u2060\U000e0041", "Claude"},
		"D7 private-use characters":        {"A\ue000", "A"},
		"D7 paragraph separators":          {"A\u2028B\u2029C", "A B C"},
		"D7 joiners spell words":           {"می\u200cخواهم 👩\u200d💻", "می\u200cخواهم 👩\u200d💻"},
		"D7 broken UTF-8":                  {"A\xffB", "AB"},
		"D7 spaces only":                   {" \u00a0\u3000 ", ""},
		"D7 cut at a hundred, not inside":  {strings.Repeat("ß", 99) + " x", strings.Repeat("ß", 99)},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cleanName(tc.name); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzCleanName(f *testing.F) {
	f.Add("Claude\u202e Code")
	f.Add(strings.Repeat("\u200b a", 40))
	f.Fuzz(func(t *testing.T, name string) {
		clean := cleanName(name)
		if utf8.RuneCountInString(clean) > maxName || strings.ContainsFunc(clean, invisible) || !utf8.ValidString(clean) {
			t.Errorf("%q is not clean", clean)
		}
		if again := cleanName(clean); again != clean {
			t.Errorf("%q, cleaned again, is %q", clean, again)
		}
	})
}
