package doctor

import (
	"reflect"
	"testing"
)

func TestChallengesAreParsed(t *testing.T) {
	type params = map[string]string
	for name, tc := range map[string]struct {
		values []string
		want   []authChallenge
		bad    bool
	}{
		"quoted and bare":         {[]string{`Bearer realm="a, b", scope=x`}, []authChallenge{{"Bearer", params{"realm": "a, b", "scope": "x"}}}, false},
		"no space after a comma":  {[]string{`Bearer a="1",b="2"`}, []authChallenge{{"Bearer", params{"a": "1", "b": "2"}}}, false},
		"names in capitals":       {[]string{`bearer Scope="x"`}, []authChallenge{{"bearer", params{"scope": "x"}}}, false},
		"an escaped quote":        {[]string{`Bearer a="say \"x\""`}, []authChallenge{{"Bearer", params{"a": `say "x"`}}}, false},
		"a scheme alone":          {[]string{`Negotiate`}, []authChallenge{{"Negotiate", params{}}}, false},
		"two in one value":        {[]string{`Basic realm="x", Bearer scope="y"`}, []authChallenge{{"Basic", params{"realm": "x"}}, {"Bearer", params{"scope": "y"}}}, false},
		"two values":              {[]string{`Negotiate`, `Bearer scope="y"`}, []authChallenge{{"Negotiate", params{}}, {"Bearer", params{"scope": "y"}}}, false},
		"a scheme and another":    {[]string{`Negotiate, Bearer scope="y"`}, []authChallenge{{"Negotiate", params{}}, {"Bearer", params{"scope": "y"}}}, false},
		"a parameter alone":       {[]string{`scope="x"`}, nil, true},
		"a quote that never ends": {[]string{`Bearer a="x`}, []authChallenge{{"Bearer", params{}}}, true},
		"twice the same":          {[]string{`Bearer a="x", a="y"`}, []authChallenge{{"Bearer", params{"a": "x"}}}, true},
	} {
		got, err := parseChallenges(tc.values)
		if !reflect.DeepEqual(got, tc.want) || (err != nil) != tc.bad {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

// FuzzChallenges: whatever a server sends, reading ends, and a Bearer challenge
// of ours is read the same with and without a parser.
func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="a"`, "https://a.example/x", "read write")
	f.Add(`, ,=`, "x", "")
	f.Fuzz(func(t *testing.T, header, metadata, scope string) {
		_, _ = parseChallenges([]string{header})
		_ = matchChallenge(header)
		for _, r := range metadata + scope {
			if r < '!' && r != ' ' || r > '~' || r == '"' || r == '\\' {
				return
			}
		}
		if metadata == "" || scope == "" {
			return
		}
		ours := `Bearer resource_metadata="` + metadata + `", scope="` + scope + `"`
		all, err := parseChallenges([]string{ours})
		want := challenge{metadata: metadata, scope: scope}
		if err != nil || pickChallenge(all) != want {
			t.Errorf("parsed %q as %+v %v", ours, all, err)
		}
	})
}
