package web

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLineMakesForeignTextHarmless(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"plain text stays":                 {"Claude Code", "Claude Code"},
		"lines become one":                 {" a\n\tb\r\n c ", "a b c"},
		"reading direction is not turned":  {"a\u202ebc\u2066d\u200f\u061c", "abcd"},
		"nothing hides":                    {"a\u200b\ufeff\u2060\u00ad\U000e0041b\u3164", "ab"},
		"emoji and scripts stay":           {"👩\u200d💻 नमस्ते क\u200dष", "👩\u200d💻 नमस्ते क\u200dष"},
		"towers of marks are low":          {"Z" + strings.Repeat("\u0301", 50) + "y", "Z\u0301\u0301\u0301y"},
		"no mark climbs on what we wrote":  {"\u0301x", "x"},
		"control characters become spaces": {"a\x00b\x1b[31mc", "a b [31mc"},
		"bytes that are no text are left":  {"a\xff\xfeb", "ab"},
		"long text is cut":                 {strings.Repeat("é", 50), strings.Repeat("é", 20) + "…"},
		"only blanks are nothing":          {" \u200b\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := line(20, tc.in); got != tc.want {
				t.Errorf("line(%q) = %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\u202eb\u0301\u0301\u0301\u0301 \x00")
	f.Fuzz(func(t *testing.T, s string) {
		got := line(50, s)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 50*4+1 || strings.ContainsAny(got, "\n\r\x00\u202e\u2066\u200b") {
			t.Errorf("line(%q) = %q", s, got)
		}
		if again := line(1000, got); again != got {
			t.Errorf("twice is not once: %q, then %q", got, again)
		}
	})
}

func TestClaimStaysInItsQuotes(t *testing.T) {
	if got := claim("Claude” is verified. “"); strings.ContainsAny(got, `“”"„«»`) {
		t.Errorf("claim = %q", got)
	}
}

func TestHostIsJudgedByItsEnd(t *testing.T) {
	long := "claude.ai." + strings.Repeat("a.", 200) + "evil.example"
	for name, tc := range map[string]struct{ in, has, not string }{
		"C13 a long one keeps its end":              {long, "evil.example", "claude.ai"},
		"C13 another script is shown as it is sent": {"clаude.ai", "xn--", "а"},
		"a plain one stays":                         {"claude.ai:8443", "claude.ai:8443", "…"},
		"what is no host name stays":                {"cursor: app", "cursor: app", "…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := host(tc.in); !strings.Contains(got, tc.has) || strings.Contains(got, tc.not) {
				t.Errorf("host(%q) = %q", tc.in, got)
			}
		})
	}
}

func TestLinkLeadsOnlyToTheWebOrToThisHost(t *testing.T) {
	for in, want := range map[string]bool{
		"https://claude.ai/cb?x=1": true, "http://localhost:1/": true, "/account": true, "/consent?r=1": true,
		"": false, "javascript:alert(1)": false, "data:text/html,x": false, "//evil.example": false, "///evil.example": false, "/\\evil.example": false,
		"https:evil": false, "https://user@evil.example/": false, "account": false, "cursor://x": false, "\thttps://x": false,
		"https://x/\"": false, "https://x/<b>": false, "https://x/a b": false, "https://x/ü": false, "/a\n": false, "https://x/a'b": true,
	} {
		if got := link(in); (got == in && in != "") != want {
			t.Errorf("link(%q) = %q", in, got)
		}
	}
}
