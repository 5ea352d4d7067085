package web

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/sync/errgroup"
)

var (
	update = flag.Bool("update", false, "write the golden files")
	shots  = flag.String("shots", "", "directory to write the sample pages to, for looking at")
)

func pages(t testing.TB) *Pages {
	t.Helper()
	p, err := New(Brand{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// paragraph is where a line begins in the golden files, for those who read them:
// white space that browsers do not show.
var paragraph = regexp.MustCompile(`<(?:/?(?:head|body|main|form|fieldset|section|ul|dl)|meta|title|link|style|header|h[1-3]|p|div|dt|li|details|select|footer|script|/html)\b`)

func TestPagesAreAsReviewed(t *testing.T) {
	p := pages(t)
	for name, page := range samples() {
		t.Run(name, func(t *testing.T) {
			got, err := p.Render("en", page)
			if err != nil {
				t.Fatal(err)
			}
			if *shots != "" {
				if err := os.WriteFile(filepath.Join(*shots, name+".html"), got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got = paragraph.ReplaceAll(got, []byte("\n$0"))
			golden := filepath.Join("testdata", name+".golden.html")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%s differs from %s; look at it, then go test ./web -update", name, golden)
			}
		})
	}
}

func TestEveryPageIsShownInEveryLanguage(t *testing.T) {
	p, shown := pages(t), map[string]bool{}
	for name, page := range samples() {
		shown[reflect.TypeOf(page).Name()] = true
		for _, lang := range Languages {
			if _, err := p.Render(lang, page); err != nil {
				t.Errorf("%s in %s: %v", name, lang, err)
			}
		}
	}
	for file, source := range sources(t) {
		for _, m := range regexp.MustCompile(`(?m)^templ \((?:\w+ )?(\w+)\) page\(`).FindAllStringSubmatch(source, -1) {
			if !shown[m[1]] {
				t.Errorf("%s in %s is shown by no sample", m[1], file)
			}
			delete(shown, m[1])
		}
	}
	if len(shown) > 0 {
		t.Errorf("not looked for in the sources: %v", shown)
	}
	if got, err := p.Render("tlh", SignedOut{}); err == nil {
		t.Errorf("a page in no language of ours: %s", got)
	}
}

// A text that is missing is found in the middle of a page.
func TestHalfAPageIsNeverShown(t *testing.T) {
	w := httptest.NewRecorder()
	broken := Account{Server: "Toolbox", Notice: Say("notice.unheard-of")}
	if err := pages(t).Show(w, httptest.NewRequest(http.MethodGet, "/", nil), http.StatusOK, broken); err == nil || !strings.Contains(err.Error(), "notice.unheard-of") {
		t.Errorf("%v", err)
	}
	if w.Body.Len() > 0 || len(w.Header()) > 0 {
		t.Errorf("%v, %s", w.Header(), w.Body)
	}
}

// The first readers may come at once.
func TestTextsAreReadOnceForAll(t *testing.T) {
	p, page := pages(t), samples()["signin"]
	want, err := pages(t).Render("de", page)
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			if got, err := p.Render("de", page); err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("%s, %w", got, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func parse(t testing.TB, page []byte) *html.Node {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func attr(n *html.Node, key string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}

// elements are the elements of a page in order.
func elements(t testing.TB, page []byte, name string) []*html.Node {
	t.Helper()
	var all []*html.Node
	for n := range parse(t, page).Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			all = append(all, n)
		}
	}
	return all
}

func TestEveryPage(t *testing.T) {
	p := pages(t)
	for name, page := range samples() {
		got, err := p.Render("en", page)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name+" has one h1, a main, a language and a title", func(t *testing.T) {
			for _, element := range []string{"h1", "main", "title"} {
				if n := len(elements(t, got, element)); n != 1 {
					t.Errorf("%d <%s>", n, element)
				}
			}
			if lang := attr(elements(t, got, "html")[0], "lang"); lang != "en" {
				t.Errorf("lang %q", lang)
			}
		})
		t.Run(name+" is under 30 kB", func(t *testing.T) {
			if n := whole(t, p, got); n >= maxPage {
				t.Errorf("%d bytes", n)
			}
		})
		t.Run(name+" is styled by what the policy lets in", func(t *testing.T) {
			styles := elements(t, got, "style")
			if len(styles) != 1 || !strings.Contains(p.policy(), "'sha256-"+digest(styles[0].FirstChild.Data)+"'") {
				t.Error("S13: the browser would refuse the stylesheet")
			}
			if bytes.Contains(got, []byte(` style="`)) {
				t.Error("S13: the browser would refuse a style attribute")
			}
		})
		t.Run(name+" has a label for every field", func(t *testing.T) {
			for _, input := range elements(t, got, "input") {
				if attr(input, "type") != "hidden" && input.Parent.Data != "label" {
					t.Errorf("%s has none", attr(input, "name"))
				}
			}
		})
		t.Run(name+" asks nothing of another host", func(t *testing.T) {
			for _, element := range []string{"link", "script", "img", "iframe", "form"} {
				for _, n := range elements(t, got, element) {
					target := attr(n, "src") + attr(n, "href") + attr(n, "action")
					if !strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "data:image/svg+xml,") {
						t.Errorf("<%s> asks %q", element, target)
					}
				}
			}
		})
	}
}

// Passkeys alone need a script: their forms are hidden until it has run, and no
// other page of the sign-in loads one.
func TestOnlyPasskeysNeedAScript(t *testing.T) {
	p := pages(t)
	for name, page := range samples() {
		got, err := p.Render("en", page)
		if err != nil {
			t.Fatal(err)
		}
		forms := 0
		for _, form := range elements(t, got, "form") {
			if attr(form, "data-passkey") == "" {
				continue
			}
			forms++
			if !slices.ContainsFunc(form.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
				t.Errorf("%s shows a form that does nothing without a script", name)
			}
		}
		scripts := 0
		for _, script := range elements(t, got, "script") {
			if strings.HasPrefix(attr(script, "src"), AssetPath+passkeyScript+"?v=") {
				scripts++
			}
		}
		if wants := name == "signin-passkey" || name == "account-passkeys"; forms != scripts || wants != (forms == 1) {
			t.Errorf("%s has %d forms for passkeys and %d scripts", name, forms, scripts)
		}
	}
}

// The names that people's browsers, scripts and acceptance checks depend on.
func TestForms(t *testing.T) {
	p := pages(t)
	for name, tc := range map[string]struct {
		action string
		fields []string
	}{
		"consent":         {"/consent", []string{"r=r-1", "scope=toolbox:read_only*", "scope=toolbox:read_write", "scope=toolbox:get_resource*", "scope=toolbox:create_resource", "scope=toolbox:delete_resource", "decision=deny", "decision=allow"}},
		"consent-changed": {"/consent", []string{"r=r-1", "seen=v1", "scope=notes:write*", "only:write:repo=me/notes", "decision=deny", "decision=allow"}},
		"consent-plain":   {"/consent", []string{"r=r-1", "decision=deny", "decision=allow"}},
		"signin":          {"/signin", []string{"r=r-1", "username=demo", "password=demo"}},
		"signin-problem":  {"/signin", []string{"r=r-1", "username=ada", "password="}},
		"choose":          {"/signin", []string{"r=r-1", "provider=google", "provider=github", "provider=corp"}},
		"account":         {"/account", []string{"grant=g1", "action=end"}},
		"signin-passkey":  {"/signin", []string{"r=r-1", "username=", "password="}},
	} {
		t.Run("the first form of "+name+" goes on", func(t *testing.T) {
			got, err := p.Render("en", samples()[name])
			if err != nil {
				t.Fatal(err)
			}
			form := elements(t, got, "form")[0]
			if attr(form, "method") != "post" || attr(form, "action") != tc.action {
				t.Errorf("it posts to %q by %q", attr(form, "action"), attr(form, "method"))
			}
			var fields []string
			for n := range form.Descendants() {
				if n.Data != "input" && n.Data != "button" || attr(n, "name") == "" {
					continue
				}
				field := attr(n, "name") + "=" + attr(n, "value")
				if slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "checked" }) {
					field += "*"
				}
				fields = append(fields, field)
			}
			if !slices.Equal(fields, tc.fields) {
				t.Errorf("fields\n%q, want\n%q", fields, tc.fields)
			}
		})
	}
}

func TestConsentSays(t *testing.T) {
	p := pages(t)
	for name, tc := range map[string]struct {
		page string
		says []string
	}{
		"S3 who asks, as a claim":                 {"consent", []string{"calls itself", "“Claude”", "own claim"}},
		"C13 the host of the document":            {"consent", []string{"<strong><bdi>claude.ai</bdi></strong>"}},
		"C13 where the answer goes":               {"consent-plain", []string{"<strong><bdi>app.example.com</bdi></strong>"}},
		"S3 the whole redirect URI":               {"consent", []string{"https://claude.ai/api/mcp/auth_callback"}},
		"S11 what a loopback client cannot prove": {"consent-problem", []string{"Any app on this device"}},
		"what was wrong, as an alert":             {"consent-problem", []string{`role="alert"`, "Nothing is ticked.", "<title>Error: "}},
		"the marks in words":                      {"consent", []string{"only reads", "can add or change", "can delete or overwrite"}},
		"what a broad scope covers":               {"consent", []string{"Also covers: ", `<code>toolbox:get_resource</code> <code>toolbox:list_resources</code>`}},
		"no more than is enforced":                {"consent", []string{"nothing else"}},
		"that there are no scopes":                {"consent-plain", []string{"no separate permissions"}},
		"where it ends":                           {"consent", []string{`href="/account"`}},
		"one letter that nobody sees":             {"consent-changed", []string{"<bdi>Writes a note</bdi>", `<ins><span class="hidden">is: </span><bdi>[U+200B] and sends it to &lt;b&gt;me&lt;/b&gt;</bdi></ins><bdi>.</bdi>`}},
		"what came, went, or cannot be shown":     {"consent-changed", []string{`<code>send</code> <em class="tag risk">new</em>`, "no longer among", "beyond what can be shown"}},
		"how long, the longest chosen":            {"consent-changed", []string{`<option value="1h">1 hour</option><option value="30d">30 days</option><option value="max" selected>The longest allowed: 90 days</option>`}},
		"what a tool may be pinned to":            {"consent-changed", []string{`<option>later</option>`, `<option selected>now</option>`, `name="only:write:repo" value="me/notes"`}},
		"all read-only or none at once":           {"consent", []string{`<a href="/consent?r=r-1&amp;tick=readonly">`, `<a href="/consent?r=r-1&amp;tick=none">`}},
		"how many were not asked for":             {"consent-hostile", []string{"more that it did not ask for"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.Render("en", samples()[tc.page])
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.says {
				if !strings.Contains(string(got), want) {
					t.Errorf("it does not say %q", want)
				}
			}
		})
	}
}

func TestConnectLinesSurviveAShell(t *testing.T) {
	c := Connect{Server: "Ada's  Notes; rm -rf /", URL: "https://mcp.example.com/m'$(id)`x`\\"}
	for line, want := range map[string]string{
		c.claudeCode(): `claude mcp add --transport http ada-s-notes-rm-rf 'https://mcp.example.com/m%27%24(id)%60x%60%5C'`,
		c.vsCode():     `code --add-mcp '{"name":"ada-s-notes-rm-rf","type":"http","url":"https://mcp.example.com/m%27%24(id)%60x%60%5C"}'`,
		c.cursor():     `{"mcpServers":{"ada-s-notes-rm-rf":{"url":"https://mcp.example.com/m%27%24(id)%60x%60%5C"}}}`,
	} {
		if line != want {
			t.Errorf("%s\nwant\n%s", line, want)
		}
	}
	if got := (Connect{Server: "日本"}).short(); got != "mcp" {
		t.Errorf("short name %q", got)
	}
}

func TestAsset(t *testing.T) {
	p := pages(t)
	for _, name := range []string{consentScript, passkeyScript} {
		h := http.Header{}
		if body, ok := p.Asset(name, h); !ok || h.Get("Content-Type") != "text/javascript; charset=utf-8" || len(body) == 0 || strings.Contains(string(body), "\n//") {
			t.Errorf("%s: %v, %v, %s", name, ok, h, body)
		}
	}
	for _, name := range []string{"", "logo", "style.css", "../web.go", "consent.templ"} {
		if _, ok := p.Asset(name, http.Header{}); ok {
			t.Errorf("%q is served", name)
		}
	}
}

// Measured: 0.03 ms and 0.04 MB. A first page is 1.5 ms, most of them for the
// stylesheet.
func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(Brand{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFirstPage(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pages(b).Render("en", samples()["error"]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	p := pages(b)
	for name, page := range samples() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := p.Render("en", page); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
