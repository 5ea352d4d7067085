//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"mcp-oauth2-proxy/routing/routingtest"
)

// asks is a new client of the demo, and its request for what only reads.
func (a *answers) asks(t *testing.T, origin, name string) request {
	t.Helper()
	hc := (*authority)(nil).client(t)
	r := authorize(t, origin, register(t, hc, origin, name, a.url), a.url)
	r.url += "&scope=toolbox%3Aread_only"
	return r
}

// arrives redeems the code that the client was sent, which must be one.
func (a *answers) arrives(t *testing.T, b *browser, r request, origin string) tokens {
	t.Helper()
	b.do(t, "arrive at the client", chromedp.WaitVisible(chromedp.CSS(arrived)))
	return r.redeem(t, (*authority)(nil).client(t), origin, a.url, <-a.codes)
}

// tabsTo presses Tab until the element has the focus, which must be seen on every
// way there.
func (b *browser) tabsTo(t *testing.T, css string) {
	t.Helper()
	for range 60 {
		b.do(t, "press Tab", chromedp.KeyEvent(kb.Tab))
		at, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf(`(() => {
			const e = document.activeElement;
			if (e === document.body) return "";
			if (getComputedStyle(e).outlineStyle === "none") return "unseen: " + e.outerHTML;
			return e.matches(%q) ? "there" : "";
		})()`, css)))
		if err != nil || strings.HasPrefix(at, "unseen") {
			t.Fatalf("the focus is %s, %v", at, err)
		}
		if at == "there" {
			return
		}
	}
	t.Fatalf("no Tab leads to %s", css)
}

func TestTheKeyboardAloneIsEnough(t *testing.T) {
	origin, client, b := startDemo(t), awaitAnswers(t), browse(t, nil)
	r := client.asks(t, origin, "Claude Code")
	b.opens(t, r.url, allow)
	b.tabsTo(t, `input[name=scope][value="toolbox:create_resource"]`)
	b.do(t, "tick", chromedp.KeyEvent(" "))
	b.tabsTo(t, `details summary`)
	b.do(t, "unfold", chromedp.KeyEvent(kb.Enter))
	b.tabsTo(t, allow)
	b.do(t, "allow", chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(chromedp.CSS(signIn)))
	b.tabsTo(t, signIn)
	b.do(t, "sign in", chromedp.KeyEvent(kb.Enter))
	if got := client.arrives(t, b, r, origin); got.Scope != "toolbox:create_resource toolbox:read_only" {
		t.Errorf("the token's scope is %q", got.Scope)
	}
	b.opens(t, origin+"/account", endOne)
	b.tabsTo(t, endOne)
	b.do(t, "end", chromedp.KeyEvent(kb.Enter))
	b.sees(t, "The connection has ended.")
}

func TestEverythingWorksWithoutScripts(t *testing.T) {
	origin, client, b := startDemo(t), awaitAnswers(t), browse(t, nil)
	b.do(t, "turn scripts off", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	r := client.asks(t, origin, "Claude Code")
	b.opens(t, origin+"/mcp", "main")
	b.says(t, origin+"/mcp", "claude mcp add")
	b.opens(t, r.url, allow)
	b.clicks(t, `a[href*="tick=none"]`)
	b.do(t, "see nothing ticked", chromedp.WaitReady(chromedp.CSS(`input[name=scope]:not(:checked)`)))
	b.clicks(t, allow)
	b.sees(t, "Nothing is ticked.")
	b.clicks(t, `a[href*="tick=readonly"]`)
	b.do(t, "see something ticked", chromedp.WaitReady(chromedp.CSS(`input[name=scope]:checked`)))
	b.clicks(t, allow)
	b.clicks(t, signIn)
	client.arrives(t, b, r, origin)
	b.opens(t, origin+"/account", endOne)
	b.clicks(t, endOne)
	b.sees(t, "The connection has ended.")
}

// TestAPersonInAHurryClicksTwiceAtMost: who is signed in, from the window that
// the client opens to the client's own page.
func TestAPersonInAHurryClicksTwiceAtMost(t *testing.T) {
	origin, client, b := startDemo(t), awaitAnswers(t), browse(t, nil)
	first := client.asks(t, origin, "Claude Code")
	b.opens(t, first.url, allow)
	b.clicks(t, allow)
	b.clicks(t, signIn)
	client.arrives(t, b, first, origin)
	for name, tc := range map[string]struct {
		scope  string
		clicks []string
	}{
		"a client that asks for what only reads": {"&scope=toolbox%3Aread_only", []string{allow}},
		"a client that asks for nothing":         {"", []string{`a[href*="tick=readonly"]`, allow}},
	} {
		t.Run(name, func(t *testing.T) {
			r := client.asks(t, origin, name)
			r.url = strings.TrimSuffix(r.url, "&scope=toolbox%3Aread_only") + tc.scope
			b.opens(t, r.url, allow)
			for _, css := range tc.clicks {
				b.clicks(t, css)
			}
			client.arrives(t, b, r, origin)
			if len(tc.clicks) > 2 {
				t.Errorf("it takes %d clicks", len(tc.clicks))
			}
		})
	}
}

// TestAHostileClientLeavesThePageHonest: whatever a client says of itself, who
// asks is not verified, the heading is ours, and the page is as wide as the window.
func TestAHostileClientLeavesThePageHonest(t *testing.T) {
	origin, client, b := startDemo(t), awaitAnswers(t), browse(t, nil)
	source := axe(t)
	b.looks(t, views[0])
	for name, claim := range map[string]string{
		"10000 characters": strings.Repeat("Claude ", 1429),
		"one long word":    strings.Repeat("W", 10_000),
		"right to left":    "\u202eedualC\u202c\u2066 by Google\u2069 \u200f",
		"HTML":             `</bdi></p><h1>Verified by Google</h1><img src=x onerror=alert(1)><script>document.title="owned"</script>`,
		"emoji":            strings.Repeat("👩‍💻🦊", 40),
		"verified":         "Claude ✓ Verified” is set up by the operator. “",
		"marks":            "Z" + strings.Repeat("\u0351\u036b\u0343", 100) + "algo",
		"Cyrillic":         "Clаude",
	} {
		t.Run(name, func(t *testing.T) {
			r := client.asks(t, origin, claim)
			b.opens(t, r.url, allow)
			b.saves(t, "hostile-"+strings.ReplaceAll(name, " ", "-"))
			b.pleases(t, source, name)
			b.honest(t)
		})
	}
}

// honest checks what no client may change.
func (b *browser) honest(t *testing.T) {
	t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`JSON.stringify({
		heading: document.querySelector("h1").innerText, headings: document.querySelectorAll("h1").length, title: document.title,
		who: document.querySelector(".facts dd strong").innerText, pictures: document.querySelectorAll("img").length,
		claims: document.querySelectorAll(".claim").length, height: document.querySelector(".lead").getBoundingClientRect().height,
		quoted: /^“[^”“]*”$/.test(document.querySelector(".claim").textContent),
	})`))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Heading, Title, Who        string
		Headings, Pictures, Claims int
		Height                     float64
		Quoted                     bool
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if strings.Join(strings.Fields(got.Heading), " ") != "Allow access to Toolbox (demo)?" || got.Headings != 1 || !strings.HasPrefix(got.Title, "Allow access to Toolbox (demo)?") {
		t.Errorf("the heading is %q, the title %q", got.Heading, got.Title)
	}
	if got.Who != "Not verified" || got.Pictures != 0 || got.Claims != 1 || !got.Quoted {
		t.Errorf("who asks is %q, in %d quotes (%v), with %d pictures", got.Who, got.Claims, got.Quoted, got.Pictures)
	}
	if got.Height > 300 {
		t.Errorf("the name takes %.0f pixels", got.Height)
	}
}

// TestTheLogoOfAClientIsNeverLoaded, be it 50 MB or an SVG with a script: a
// picture is a claim that cannot be put in quotes.
func TestTheLogoOfAClientIsNeverLoaded(t *testing.T) {
	var asked atomic.Int64
	logos := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/large.png" {
			w.Header().Set("Content-Type", "image/png")
			for range 50 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
			return
		}
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)
	}))
	origin, client, b := startDemo(t), awaitAnswers(t), browse(t, nil)
	for _, logo := range []string{"/large.png", "/script.svg"} {
		var registered struct {
			ID string `json:"client_id"`
		}
		send(t, (*authority)(nil).client(t), origin+"/register", "application/json", fmt.Sprintf(
			`{"client_name":"Claude","logo_uri":%q,"client_uri":%q,"redirect_uris":[%q],"token_endpoint_auth_method":"none"}`, logos+logo, logos, client.url), http.StatusCreated, &registered)
		b.opens(t, authorize(t, origin, registered.ID, client.url).url, allow)
		b.saves(t, "hostile-logo")
		b.honest(t)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d logos were loaded", n)
	}
}

// TestTwoHundredScopesAreOnePage of 30 kB, as its server wrote 500 characters on
// each.
func TestTwoHundredScopesAreOnePage(t *testing.T) {
	o := routingtest.Options{}
	for i := range 200 {
		tool := fmt.Sprintf("tool_%d", i)
		o.Tools = append(o.Tools, routingtest.Tool{Name: tool, Description: strings.Repeat("It does a lot. ", 34), ReadOnly: i%3 == 0, Destructive: i%3 == 1})
		o.Scopes = append(o.Scopes, routingtest.Scope{Name: fmt.Sprintf("scope:%d", i), Description: strings.Repeat("It may do <b>a lot</b>. \u202e", 22)[:500], Tools: []string{tool}})
	}
	addr := freeAddr(t)
	host := "127.0.0.1:" + port(t, addr)
	serve(t, addr, settings{
		"server": settings{"httpAddr": "", "scheme": "http"}, "tls": settings{"mode": "off"}, "store": settings{"url": "memory:"},
		"provider": settings{"name": "local", "users": []settings{{"username": "ada", "passwordHash": hashPassword(t, "secret")}}},
		"proxy":    settings{"hosts": []settings{{"host": host, "name": "Toolbox (demo)", "endpoint": routingtest.New(t, o).URL}}},
	})
	origin, client, b := "http://"+host, awaitAnswers(t), browse(t, nil)
	r := authorize(t, origin, register(t, (*authority)(nil).client(t), origin, "Claude", client.url), client.url)
	b.looks(t, views[1])
	for _, asks := range []string{"", "&scope=scope%3A0+scope%3A1"} {
		b.opens(t, r.url+asks, allow)
		b.saves(t, "hostile-scopes"+strings.ReplaceAll(asks[min(1, len(asks)):], "%3A", "-"))
		b.pleases(t, axe(t), "200 scopes")
		b.honest(t)
		size, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`performance.getEntriesByType("navigation")[0].decodedBodySize +
			performance.getEntriesByType("resource").reduce((n, e) => n + e.decodedBodySize, 0)`))
		if err != nil || size == 0 || size >= 30_000 {
			t.Errorf("the page has %d bytes, %v", size, err)
		}
		offered, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`document.querySelectorAll("input[name=scope]").length`))
		if err != nil || offered != 100 { // routing takes no more of a server
			t.Errorf("%d are offered, %v", offered, err)
		}
		t.Logf("%d bytes, %d scopes", size, offered)
	}
}
