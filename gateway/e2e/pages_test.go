//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// What is clicked on our pages.
const (
	allow   = `button[name=decision][value=allow]`
	signIn  = `form[action="/signin"] button.go`
	endOne  = `button[name=action][value=end]`
	arrived = `body > pre` // the client's answer is plain text
)

// TestPages looks at every page that a person meets at the demo, in the order in
// which they are met. Where SCREENSHOTS names a folder it saves there what it
// sees; consent.png is the README's picture.
func TestPages(t *testing.T) {
	addr := freeAddr(t)
	if os.Getenv("SCREENSHOTS") != "" {
		addr = "127.0.0.1:8080" // what the README's reader will see
	}
	origin := startDemoAt(t, addr)
	hc := (*authority)(nil).client(t)
	codes := make(chan string, 9)
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		codes <- r.URL.Query().Get("code")
		_, _ = fmt.Fprint(w, "You may close this window.")
	}))
	t.Cleanup(client.Close)
	redirect := strings.Replace(client.URL, "127.0.0.1", "localhost", 1) + "/callback"
	r := authorize(t, origin, register(t, hc, origin, "Claude Code", redirect), redirect)
	b := browse(t, nil)
	// As wide as a page grows, and as high as shows who asks and the first
	// permissions.
	b.do(t, "set the window", chromedp.EmulateViewport(592, 870, chromedp.EmulateScale(1.5)))

	b.opens(t, origin+"/mcp", "main")
	b.shows(t, "connect", "Toolbox (demo)", origin+"/mcp")
	b.opens(t, origin+"/authorize?client_id=nobody", "main")
	b.shows(t, "error", "Reference")
	b.opens(t, r.url+"&scope=toolbox%3Aread_only+toolbox%3Acreate_resource", allow)
	b.shows(t, "consent", "Claude Code", "localhost", "Toolbox (demo)", "toolbox:delete_resource", "can delete or overwrite")
	b.clicks(t, allow)
	b.do(t, "wait for the sign-in", chromedp.WaitVisible(chromedp.CSS(signIn)))
	b.shows(t, "signin", "Toolbox (demo)", "Claude Code")
	b.clicks(t, signIn)
	b.do(t, "arrive at the client", chromedp.WaitVisible(chromedp.CSS(arrived)))
	r.redeem(t, hc, origin, redirect, <-codes)
	b.opens(t, origin+"/account", endOne)
	b.shows(t, "account", "Claude Code", "localhost", "toolbox:read_only")
}

// shows reads the page for what it must say, and saves what a window of it looks
// like.
func (b *browser) shows(t *testing.T, name string, expected ...string) {
	t.Helper()
	b.says(t, expected...)
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil || http.DetectContentType(png) != "image/png" {
		t.Fatalf("screenshot of %s: %v", name, err)
	}
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
