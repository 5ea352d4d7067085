//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// device gives the browser an authenticator: one that is part of the computer,
// and recognises whoever touches it.
func (b *browser) device(t *testing.T) webauthn.AuthenticatorID {
	t.Helper()
	id, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (webauthn.AuthenticatorID, error) {
		if _, err := cdp.Call(ctx, t, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return "", err
		}
		added, err := cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
			Options: &webauthn.VirtualAuthenticatorOptions{
				Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
				HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
			},
		})
		return added.AuthenticatorID, err
	})
	if err != nil {
		t.Fatalf("virtual authenticator: %v", err)
	}
	return id
}

// recognises says whether the device knows who touches it, from now on.
func (b *browser) recognises(t *testing.T, id webauthn.AuthenticatorID, yes bool) {
	t.Helper()
	_, err := chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: id, IsUserVerified: yes})
		return chromedp.Void{}, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sees waits until the page shows the text, whatever pages come before it.
func (b *browser) sees(t *testing.T, text string) {
	t.Helper()
	again, late := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer again.Stop()
	for {
		shown, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body ? document.body.innerText : ""`))
		if err == nil && strings.Contains(shown, text) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("wait for %q: %v; the page is %s", text, err, b.page())
		}
	}
}

// shoots saves a picture of the page into the folder that SCREENSHOTS names.
func (b *browser) shoots(t *testing.T, name string) {
	t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil || http.DetectContentType(png) != "image/png" {
		t.Fatalf("screenshot: %v", err)
	}
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// hashPassword is what the command of that name prints.
func hashPassword(t *testing.T, password string) string {
	t.Helper()
	cmd := exec.Command(must(t, product), "hash-password")
	cmd.Stdin = strings.NewReader(password + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// localLobby is a lobby where ada may enter and bob may not, beside two
// providers that nobody goes to.
func localLobby(t *testing.T) *lobby {
	t.Helper()
	hash := hashPassword(t, "correct horse")
	return newLobby(t, func(string) []settings {
		return []settings{
			{"name": "google", "clientID": "a", "clientSecret": "b", "allowedEmailDomains": []string{"example.com"}},
			{"name": "github", "clientID": "a", "clientSecret": "b", "organization": "acme"},
			{"name": "local", "allowedUsers": []string{"ada"}, "users": []settings{
				{"username": "ada", "passwordHash": hash, "email": "ada@example.com"},
				{"username": "bob", "passwordHash": hash, "email": "bob@example.com"},
			}},
		}
	}, "HTTPS_PROXY=http://127.0.0.1:1") // there is no internet in this test
}

// choosesLocal goes from the choice of providers to the form.
func (b *browser) choosesLocal(t *testing.T) {
	t.Helper()
	b.clicks(t, `button[name=provider][value=local]`)
	b.do(t, "see the form", chromedp.WaitVisible(chromedp.CSS(`input[name=password]`)))
}

func (b *browser) signsIn(t *testing.T, username string) {
	t.Helper()
	b.types(t, `input[name=username]`, username)
	b.types(t, `input[name=password]`, "correct horse")
	b.clicks(t, `button.go`)
}

// TestPasskey is a person with Chromium: adds a passkey on the account page,
// signs out, and signs in for an app with nothing but the passkey.
func TestPasskey(t *testing.T) {
	l := localLobby(t)
	b := browse(t, l.authority)
	b.do(t, "set the window", chromedp.EmulateViewport(760, 900, chromedp.EmulateScale(2)))
	device := b.device(t)

	b.opens(t, l.origin+"/account", `button[name=provider]`)
	b.choosesLocal(t)
	b.signsIn(t, "ada")
	b.types(t, `form[data-passkey=create] input[name=name]`, "This laptop")
	b.recognises(t, device, false)
	b.clicks(t, `form[data-passkey=create] button`)
	b.sees(t, "It was cancelled, took too long, or there is no passkey here.")
	b.recognises(t, device, true)
	b.clicks(t, `form[data-passkey=create] button`)
	b.sees(t, "The passkey was added.")
	b.sees(t, "This laptop")
	b.shoots(t, "account-passkey")
	b.clicks(t, `form[data-passkey=create] button`) // the device has one already
	b.sees(t, "This device has a passkey for this account already.")
	b.clicks(t, `button[value=sign-out]`)
	b.sees(t, "You are signed out")

	answers := make(chan url.Values, 1)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			answers <- r.URL.Query()
		}
	}))
	defer app.Close()
	hc, redirect := l.client(t), app.URL+"/callback"
	r := authorize(t, l.origin, register(t, hc, l.origin, "Desk", redirect), redirect)
	b.opens(t, r.url, `button[name=decision][value=allow]`)
	b.clicks(t, `button[name=decision][value=allow]`)
	b.do(t, "see the choice", chromedp.WaitVisible(chromedp.CSS(`button[name=provider]`)))
	b.shoots(t, "chooser")
	b.choosesLocal(t)
	b.do(t, "see the button", chromedp.WaitVisible(chromedp.CSS(`form[data-passkey=get] button`)))
	b.shoots(t, "signin-passkey")
	b.clicks(t, `form[data-passkey=get] button`)

	var got tokens
	var answer url.Values
	select {
	case answer = <-answers:
	case <-time.After(patience):
		t.Fatalf("no code arrives; the page is %s", b.page())
	}
	send(t, hc, l.origin+"/token", "application/x-www-form-urlencoded", url.Values{"grant_type": {"authorization_code"},
		"client_id": {r.clientID}, "redirect_uri": {redirect}, "code": {answer.Get("code")}, "code_verifier": {r.verifier}}.Encode(), http.StatusOK, &got)
	if user := l.user(t, hc, got.Access); user != "local:ada" {
		t.Errorf("the token is of %q", user)
	}
	if n := strings.Count(l.out.String(), `"audit":"signin_ok"`); n != 2 {
		t.Errorf("%d sign-ins, want the one with the password and the one with the passkey", n)
	}

	b.opens(t, l.origin+"/account", `button[value=remove-passkey]`)
	b.clicks(t, `button[value=remove-passkey]`)
	b.sees(t, "The passkey was removed.")
}

func TestRefusalSaysWhoAndOffersAnotherAccount(t *testing.T) {
	l := localLobby(t)
	b := browse(t, l.authority)
	b.do(t, "set the window", chromedp.EmulateViewport(760, 900, chromedp.EmulateScale(2)))
	b.opens(t, l.origin+"/account", `button[name=provider]`)
	b.choosesLocal(t)
	b.signsIn(t, "bob")
	b.sees(t, "This account may not enter")
	b.sees(t, "bob@example.com")
	b.shoots(t, "refusal")
	b.sees(t, "Use another account")
	b.clicks(t, `a.button.go`)
	b.choosesLocal(t)
	b.signsIn(t, "ada")
	b.sees(t, "You are signed in as ada@example.com")
}
