//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"mcp-oauth2-proxy/web"
)

// A view is a window that people look at pages through.
type view struct {
	name   string
	width  int64
	theme  string
	scale  float64
	height int64
}

// views are a telephone and a desk, by day and by night; a page that is zoomed to
// 200 % on a small desk; and the narrowest that WCAG 2.2 (1.4.10) asks for.
var views = []view{
	{"360-light", 360, "light", 2, 740}, {"360-dark", 360, "dark", 2, 740},
	{"1280-light", 1280, "light", 1, 800}, {"1280-dark", 1280, "dark", 1, 800},
	{"zoomed", 640, "light", 2, 400}, {"320", 320, "light", 1, 640},
}

// looks gives the tab the size and the theme of a view.
func (b *browser) looks(t *testing.T, v view) {
	t.Helper()
	b.do(t, "look through "+v.name, chromedp.EmulateViewport(v.width, v.height, chromedp.EmulateScale(v.scale)),
		chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.theme}},
			})
			return err
		}))
}

// axe is the source of axe-core.
func axe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(must(t, parts), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// judged is what is wrong with a page.
type judged struct {
	Wide       int      `json:"wide"` // pixels beyond the window
	Stuck      []string `json:"stuck"`
	Violations []struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []struct {
			HTML    string `json:"html"`
			Summary string `json:"failureSummary"`
		} `json:"nodes"`
	} `json:"violations"`
	Foreign []string `json:"foreign"` // requests to another host
	Styled  bool     `json:"styled"`  // the policy let the stylesheet in
}

// judge opens everything that is folded, and lets axe-core look at the page, with
// all of its rules.
func (b *browser) judge(t *testing.T, source string) judged {
	t.Helper()
	b.do(t, "load axe-core", chromedp.Evaluate[chromedp.Void](source+";undefined"))
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`(async () => {
		document.querySelectorAll("details").forEach((d) => { d.open = true; });
		const found = await axe.run(document);
		const wide = document.documentElement.scrollWidth - innerWidth;
		const stuck = [...document.querySelectorAll("main *")].filter((e) => {
			const box = e.getBoundingClientRect();
			return box.width > 1 && (box.right > innerWidth + 1 || box.left < -1) && !e.closest(".hidden");
		}).map((e) => e.outerHTML.slice(0, 100));
		const foreign = performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith(location.origin) && !n.startsWith("data:"));
		return JSON.stringify({wide, stuck, foreign, violations: found.violations, styled: getComputedStyle(document.querySelector("main")).borderTopLeftRadius !== "0px"});
	})()`, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	var j judged
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		t.Fatal(err)
	}
	return j
}

// pleases fails the test with everything that is wrong with the page.
func (b *browser) pleases(t *testing.T, source, where string) {
	t.Helper()
	j := b.judge(t, source)
	for _, v := range j.Violations {
		for _, n := range v.Nodes {
			t.Errorf("%s: %s (%s): %s\n%s", where, v.Help, v.ID, n.HTML, n.Summary)
		}
	}
	if j.Wide > 0 || len(j.Stuck) > 0 {
		t.Errorf("%s: %d pixels are beyond the window: %q", where, j.Wide, j.Stuck)
	}
	if len(j.Foreign) > 0 || !j.Styled {
		t.Errorf("%s: styled %v; asked of others: %q", where, j.Styled, j.Foreign)
	}
}

// saves keeps a picture of the whole page where LOOKS names a folder.
func (b *browser) saves(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("LOOKS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// states serves the pages that the tests of web hold in every state there is, as
// they are served by the product, and counts what is asked for.
func states(t *testing.T) (origin string, names []string) {
	t.Helper()
	pages, err := web.New(web.Brand{})
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("../../web/testdata/*.golden.html")
	if err != nil || len(paths) < 15 {
		t.Fatalf("%d pages, %v", len(paths), err)
	}
	bodies := map[string][]byte{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".golden.html")
		if bodies["/"+name], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	origin = serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, web.AssetPath); ok {
			body, _ := pages.Asset(name, w.Header())
			_, _ = w.Write(body)
			return
		}
		empty := httptest.NewRecorder() // for its headers
		if err := pages.Show(empty, r, http.StatusOK, web.SignedOut{}); err != nil {
			t.Error(err)
		}
		for name, values := range empty.Header() {
			w.Header()[name] = values
		}
		_, _ = w.Write(bodies[r.URL.Path])
	}))
	return origin, names
}

// On a telephone and at a
// desk, by day and by night, zoomed, and for axe-core.
func TestEveryPageInEveryStatePleasesEverybody(t *testing.T) {
	origin, names := states(t)
	b, source := browse(t, nil), axe(t)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			for _, v := range views {
				b.looks(t, v)
				b.opens(t, origin+"/"+name, "main")
				b.saves(t, name+"-"+v.name)
				b.pleases(t, source, v.name)
			}
		})
	}
}

// The longest words are not English.
func TestEveryLanguageFitsATelephone(t *testing.T) {
	origin := startDemo(t)
	hc := (*authority)(nil).client(t)
	redirect := serveHTTP(t, http.NotFoundHandler()) + "/callback"
	r := authorize(t, origin, register(t, hc, origin, "Claude Code", redirect), redirect)
	b, source := browse(t, nil), axe(t)
	b.looks(t, views[0])
	for _, lang := range web.Languages {
		t.Run(lang, func(t *testing.T) {
			b.speaks(t, lang)
			for _, page := range []struct{ name, url, css string }{
				{"connect", origin + "/mcp", "main"}, {"error", origin + "/authorize?client_id=nobody", "main"}, {"consent", r.url + "&scope=toolbox%3Aread_only", allow},
			} {
				b.opens(t, page.url, page.css)
				b.saves(t, page.name+"-"+lang)
				b.pleases(t, source, page.name)
			}
			b.clicks(t, allow)
			b.do(t, "wait for the sign-in", chromedp.WaitVisible(chromedp.CSS(signIn)))
			b.saves(t, "signin-"+lang)
			b.pleases(t, source, "signin")
			if got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.documentElement.lang`)); err != nil || got != lang {
				t.Errorf("the page is in %q, %v", got, err)
			}
		})
	}
}

// speaks gives the tab the language of its person.
func (b *browser) speaks(t *testing.T, lang string) {
	t.Helper()
	b.do(t, "speak "+lang, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "e2e", AcceptLanguage: lang})
		return err
	}))
}

// An answers is where a client waits for its answer.
type answers struct {
	url   string
	codes chan string
}

func awaitAnswers(t *testing.T) *answers {
	t.Helper()
	c := &answers{codes: make(chan string, 9)}
	c.url = serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			c.codes <- r.URL.Query().Get("code")
			_, _ = fmt.Fprint(w, "You may close this window.")
		}
	})) + "/callback"
	return c
}
