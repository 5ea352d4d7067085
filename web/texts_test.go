package web

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTheReaderChoosesTheLanguage(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                  "en",
		"de":                                "de",
		"de-AT,de;q=0.9,en;q=0.8":           "de",
		"gsw":                               "de",
		"en;q=0.3, fr;q=0.9":                "fr",
		"fr;q=0, en":                        "en",
		"nl, es;q=0.5":                      "es",
		"ja-JP":                             "ja",
		"pt-BR;q=0.9, ja;q=0.1":             "ja",
		"tlh":                               "en",
		"*":                                 "en",
		"en-US,en;q=0.9,de;q=0.8":           "en",
		"ES-419":                            "es",
		"de;q=nonsense":                     "en",
		"<script>":                          "en",
		strings.Repeat("de-", 10_000) + "x": "en",
	} {
		if got := Language(accept); got != want {
			t.Errorf("%.40q: %s, want %s", accept, got, want)
		}
	}
}

func FuzzLanguage(f *testing.F) {
	f.Add("de-AT,de;q=0.9,*;q=0.1")
	f.Fuzz(func(t *testing.T, accept string) {
		if got := Language(accept); !slices.Contains(Languages, got) {
			t.Errorf("%q is answered in %q", accept, got)
		}
	})
}

func texts(t *testing.T, lang string) map[string]string {
	t.Helper()
	raw, err := files.ReadFile("texts/" + lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]string
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryLanguageSaysEverything(t *testing.T) {
	english := texts(t, "en")
	hole := regexp.MustCompile(`\{\d\}`)
	for _, lang := range Languages {
		other := texts(t, lang)
		for key := range other {
			if _, ok := english[key]; !ok {
				t.Errorf("%s: %s is said in no other language", lang, key)
			}
		}
		for key, text := range english {
			a, b := hole.FindAllString(text, -1), hole.FindAllString(other[key], -1)
			slices.Sort(a)
			slices.Sort(b)
			if other[key] == "" || !slices.Equal(a, b) {
				t.Errorf("%s: %s is %q, in English %q", lang, key, other[key], text)
			}
		}
	}
}

// sources are the files that pages are written in.
func sources(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.templ")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %v", names, err)
	}
	out := map[string]string{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(raw)
	}
	return out
}

// used are the keys that pages and constants name.
func used(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{"time": true}
	for _, source := range sources(t) {
		for _, m := range regexp.MustCompile(`\b(say|plain|count)\("([^"]+[^".])"`).FindAllStringSubmatch(source, -1) {
			if m[1] == "count" {
				out[m[2]+".one"], out[m[2]+".many"] = true, true
			} else {
				out[m[2]] = true
			}
		}
	}
	for kind, values := range constants(t) {
		for _, v := range values {
			switch {
			case kind == "Fault":
				out["fault."+v+".title"], out["fault."+v+".happened"], out["fault."+v+".advice"] = true, true, true
			case kind == "ChangeKind":
				out["change."+v] = true
			case kind == "Key" && !strings.Contains(v, "."):
				out["part."+v] = true
			case kind == "Key":
				out[v] = true
			}
		}
	}
	for _, unit := range []string{"minutes", "hours", "days"} {
		out[unit+".one"], out[unit+".many"] = true, true
	}
	return out
}

// constants are the values of this package's constants, by their type.
func constants(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, name := range []string{"texts.go", "pages.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 {
				return true
			}
			kind, isName := spec.Type.(*ast.Ident)
			lit, isText := spec.Values[0].(*ast.BasicLit)
			if isName && isText {
				v, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				out[kind.Name] = append(out[kind.Name], v)
			}
			return true
		})
	}
	return out
}

func TestEveryTextIsUsedAndEveryUsedTextIsThere(t *testing.T) {
	english, used := texts(t, "en"), used(t)
	for _, key := range slices.Sorted(maps.Keys(used)) {
		if _, ok := english[key]; !ok {
			t.Errorf("%s is not in the catalogue", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(english)) {
		if !used[key] {
			t.Errorf("%s is said nowhere", key)
		}
	}
}

// A page in another language has no English left in it but names.
func TestEveryPageIsInItsLanguage(t *testing.T) {
	p := pages(t)
	for _, lang := range Languages[1:] {
		for name, page := range samples() {
			got, err := p.Render(lang, page)
			if err != nil {
				t.Fatal(err)
			}
			if attr(elements(t, got, "html")[0], "lang") != lang {
				t.Errorf("%s in %s says it is in %q", name, lang, attr(elements(t, got, "html")[0], "lang"))
			}
			for _, english := range []string{"MCP server ", "Sign in", "You ", "The ", "Allow", "Last used", "has expired"} {
				// Samples of foreign texts aside, which stand in <bdi> and elements with a language.
				foreign := regexp.MustCompile(`(?s)<(bdi|p|code)[^>]*( lang="en")?>[^<]*</(bdi|code)>|<p[^>]* lang="en">[^<]*</p>`)
				if strings.Contains(string(foreign.ReplaceAll(got, nil)), english) {
					t.Errorf("%s in %s says %q", name, lang, english)
				}
			}
		}
	}
}

func TestAMessageShowsForeignTextsAsText(t *testing.T) {
	c, err := readTexts("en")
	if err != nil {
		t.Fatal(err)
	}
	got := c.message(Say(LimitUnusable, "<b>repo</b>", "write\u202e"))
	if want := "A value for <bdi>&lt;b&gt;repo&lt;/b&gt;</bdi> of <bdi>write</bdi> cannot be used. Please look again."; got.err != nil || got.html != want {
		t.Errorf("%+v", got)
	}
	for _, m := range []Message{Say("problem.unheard-of"), Say(LimitUnusable, "one")} {
		if got := c.message(m); got.err == nil || got.Render(t.Context(), io.Discard) == nil {
			t.Errorf("%v became %q", m, got.html)
		}
	}
}

func TestAnAttributeIsGivenTextsWithoutHoles(t *testing.T) {
	c, err := readTexts("en")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.plain("limit.any"); got != "any" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, key := range []Key{"more", "limit.unheard-of"} {
		if got, err := c.plain(key); err == nil {
			t.Errorf("%s became %q", key, got)
		}
	}
}
