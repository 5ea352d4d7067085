//go:build e2e

package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A browser is a headless Chromium with a profile of its own.
type browser struct{ ctx context.Context }

// browse starts one that trusts the authority (nil: nobody besides the usual),
// knows the names of .test, and can reach nothing but this machine.
func browse(t *testing.T, a *authority) *browser {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if a != nil {
		home = a.home(t)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(bin), chromedp.Env("HOME="+home), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, // CI is root, without a GPU
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"))
	// Not the test's own context: it ends before the clean-up that closes the
	// browser in order.
	ctx, cancel := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(cancel)
	ctx, _ = chromedp.NewContext(ctx)
	b := &browser{ctx: ctx}
	// Without a time limit: it would be the browser's.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		_ = chromedp.Cancel(ctx) // the profile goes in any case
	})
	return b
}

// do runs the steps in the tab; where is what the person is about to do.
func (b *browser) do(t *testing.T, where string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%s: %v; the page is %s", where, err, b.page())
	}
}

// opens goes to the URL and waits for the element.
func (b *browser) opens(t *testing.T, url, css string) {
	t.Helper()
	b.do(t, "open "+url, chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS(css)))
}

// clicks clicks the element, once it is there.
func (b *browser) clicks(t *testing.T, css string) {
	t.Helper()
	b.do(t, "click "+css, chromedp.WaitVisible(chromedp.CSS(css)), chromedp.Click(chromedp.CSS(css)))
}

// types types into the field, once it is there.
func (b *browser) types(t *testing.T, css, text string) {
	t.Helper()
	b.do(t, "type into "+css, chromedp.WaitVisible(chromedp.CSS(css)), chromedp.SendKeys(chromedp.CSS(css), text))
}

// reads is the text of the page.
func (b *browser) reads(t *testing.T) string {
	t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// says reads the page for what it must say.
func (b *browser) says(t *testing.T, expected ...string) {
	t.Helper()
	text := b.reads(t)
	for _, want := range expected {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
}

// page is where the browser is and what it shows, for a test's failure.
func (b *browser) page() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	at, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return at + ": " + err.Error()
	}
	return at + ": " + strings.Join(strings.Fields(text), " ")
}

// consents does what a person does: reads who asks, allows it, types a login
// and a password at the identity provider, and agrees there too.
func (b *browser) consents(t *testing.T, authorizeURL string, expected ...string) {
	t.Helper()
	b.opens(t, authorizeURL, allow)
	b.says(t, expected...)
	b.clicks(t, allow)
	b.providerLogin(t)
}

// providerLogin signs in at oidc-provider, whose two pages are its own.
func (b *browser) providerLogin(t *testing.T) {
	t.Helper()
	b.types(t, `input[name=login]`, "ada")
	b.types(t, `input[name=password]`, "any will do")
	b.clicks(t, `button[type=submit]`)
	b.do(t, "agree", chromedp.WaitReady(chromedp.CSS(`input[name=prompt][value=consent]`)))
	b.clicks(t, `button[type=submit]`)
}
