package gateway

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth"
)

// explained is what `explain` says, once what is written in the background is
// there.
func (f *fixture) explained(t testing.TB, ref string) Explanation {
	t.Helper()
	at, err := f.attempts.read(t.Context(), ref)
	if err != nil {
		t.Fatalf("explain %q: %v", ref, err)
	}
	return explain(at, f.now())
}

// steps are the names of an explanation's steps.
func (x Explanation) names() (names []string) {
	for _, s := range x.Steps {
		name := string(s.Name)
		if s.failed() {
			name += " failed"
		}
		names = append(names, name)
	}
	return names
}

// reference is what an error page or an error in JSON shows.
func (a answer) reference(t testing.TB) string {
	t.Helper()
	m := regexp.MustCompile(`(?:"reference":"|>)([a-z2-7]{10})(?:"|<)`).FindStringSubmatch(a.body)
	if m == nil {
		t.Fatalf("no reference is shown: %s", a.body)
	}
	return m[1]
}

func TestExplain_an_attempt_has_all_its_steps_from_the_challenge_to_the_first_call(t *testing.T) {
	f := newFixture(t)
	f.call(t, notes, "", "read_note").wantStatus(t, http.StatusUnauthorized)
	f.get(t, notes+"/.well-known/oauth-protected-resource/mcp")
	f.get(t, notes+"/.well-known/oauth-authorization-server")
	f.get(t, notes+"/.well-known/oauth-authorization-server")
	c := f.newClient(t, nil)
	b := f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	ref := auth.Reference(page.form(t).values.Get("r"))
	if x := f.explained(t, ref); x.Step != "" || !strings.Contains(x.Verdict, "waits after this step: consent") {
		t.Errorf("while it is asked: %+v", x)
	}
	q := c.finish(t, b, page, "notes:read")
	if x := f.explained(t, ref); !strings.Contains(x.Verdict, "waits after this step: code") {
		t.Errorf("with a code: %+v", x)
	}
	tok := c.redeem(t, q.Get("code")).tokens(t)
	if x := f.explained(t, ref); !strings.Contains(x.Verdict, "it worked") {
		t.Errorf("with a token: %+v", x)
	}
	f.call(t, notes, tok.access, "read_note").wantStatus(t, http.StatusOK)
	f.call(t, notes, tok.access, "read_note").wantStatus(t, http.StatusOK)
	f.awaitCalls(t, 2)
	x := f.explained(t, ref)
	want := []string{"challenge failed", "metadata", "metadata", "registration", "authorize", "consent", "consent", "provider", "code", "token", "first call"}
	if !slices.Equal(x.names(), want) || x.Step != "" || !strings.Contains(x.Verdict, "it worked") || x.Subject != "local:ada" || x.Client != cut(c.id) {
		t.Errorf("got %v: %+v", x.names(), x)
	}
	if x.Network != "127.0.0.0/24" {
		t.Errorf("the address is kept as %q", x.Network)
	}
	var out bytes.Buffer
	if err := x.Describe(&out); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{tok.access, tok.refresh, q.Get("code"), "state-of-the-client", verifier, challengeOf(verifier), passphrase, "127.0.0.1:"} {
		if strings.Contains(out.String()+encoded(t, x), secret) {
			t.Errorf("%q is in the explanation", secret)
		}
	}
	if !strings.Contains(out.String(), "metadata      ok                   read /.well-known/oauth-authorization-server (2 times)\n") {
		t.Errorf("it reads\n%s", out.String())
	}
	// The first call is asked for no more.
	if n := f.attempts.first.awaited.Load(); n != 0 {
		t.Errorf("%d first calls are awaited", n)
	}
}

func TestExplain_the_pages_of_one_attempt_show_one_reference(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	id := page.form(t).values.Get("r")
	stranger := f.newBrowser(t)
	first := stranger.open(t, notes+"/consent?r="+id).reference(t)
	second := stranger.open(t, notes+"/signin?r="+id).reference(t)
	if first != auth.Reference(id) || second != first {
		t.Errorf("shown %s and %s, want %s", first, second, auth.Reference(id))
	}
}

func TestExplain_names_the_step_the_rule_and_what_fixes_it(t *testing.T) {
	f := newFixture(t, with("TOKEN_ACCESSTTL", "1h"))
	web := f.webClient(t)
	c := f.newClient(t, nil)
	code := func() string { return c.code(t, f.newBrowser(t)) }
	for name, tc := range map[string]struct {
		answer answer
		step   auth.StepName
		rule   string
	}{
		"a challenge":                  {f.call(t, notes, "", "read_note"), auth.StepChallenge, "RFC 9728"},
		"a bad token":                  {f.call(t, notes, "x.y.z", "read_note"), auth.StepChallenge, "RFC 6750"},
		"metadata that is not there":   {f.get(t, notes+"/.well-known/oauth-whatever"), auth.StepMetadata, ""},
		"a registration":               {f.register(t, notes, map[string]any{"redirect_uris": []string{"http://evil.example/"}}), auth.StepRegistration, "RFC 8252"},
		"an unknown client":            {f.newBrowser(t).open(t, notes+"/authorize?client_id=x"), auth.StepAuthorize, "RFC 7591"},
		"another redirect URI":         {f.newBrowser(t).open(t, web.authorizeURL("redirect_uri", "https://evil.example/")), auth.StepAuthorize, "OAuth 2.1 §2.3.1"},
		"no PKCE":                      {f.newBrowser(t).open(t, web.authorizeURL("code_challenge", "")), auth.StepAuthorize, "RFC 7636"},
		"another resource":             {f.newBrowser(t).open(t, web.authorizeURL("resource", "https://elsewhere.example")), auth.StepAuthorize, "RFC 8707"},
		"a page that has expired":      {f.newBrowser(t).open(t, notes+"/consent?r=x"), auth.StepConsent, "OAuth 2.1 §7.12.1"},
		"a code with another verifier": {c.redeem(t, code(), "code_verifier", strings.Repeat("x", 43)), auth.StepToken, "RFC 7636 §4.6"},
		"a code for another resource":  {c.redeem(t, code(), "resource", mail), auth.StepToken, "RFC 8707"},
		"an unknown grant type":        {c.post(t, "/token", url.Values{"grant_type": {"password"}}), auth.StepToken, "RFC 6749 §5.2"},
		"an unknown host":              {f.ask(t, http.MethodGet, notes+"/mcp", "", "Host", "elsewhere.example.com"), auth.StepCall, "RFC 9110 §15.5.20"},
	} {
		t.Run(name, func(t *testing.T) {
			x := f.explained(t, tc.answer.reference(t))
			if x.Step != tc.step || !strings.Contains(x.Rule, tc.rule) || x.Fix == "" || x.Verdict == "" {
				t.Errorf("got %+v", x)
			}
			var out bytes.Buffer
			if err := x.Describe(&out); err != nil || !strings.Contains(out.String(), "\nfix:  "+x.Fix+"\n") {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}

func TestExplain_a_code_that_failed_is_a_step_of_its_attempt_and_on_the_account_page(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, map[string]any{"client_name": "Clumsy"}), f.newBrowser(t)
	code := c.code(t, b)
	ref := c.redeem(t, code, "code_verifier", strings.Repeat("x", 43)).reference(t)
	x := f.explained(t, ref)
	if names := x.names(); names[len(names)-1] != "token failed" || !slices.Contains(names, "authorize") || x.Subject != "local:ada" {
		t.Errorf("got %v", names)
	}
	if !strings.Contains(x.Steps[len(x.Steps)-1].Cause, "code_verifier does not fit") {
		t.Errorf("the cause is %q", x.Steps[len(x.Steps)-1].Cause)
	}
	f.attempts.save(t.Context())
	page := b.open(t, notes+"/account")
	for _, says := range []string{"Clumsy", ref, "token"} {
		if !strings.Contains(page.text(), says) {
			t.Errorf("the account page does not say %q: %s", says, page.text())
		}
	}
	if strings.Contains(page.text(), "code_verifier does not fit") {
		t.Error("the account page shows the cause")
	}
	// Somebody else, and the same person at another host, see nothing of it.
	for _, subject := range []string{"local:bob"} {
		if list := f.attempts.Failed(t.Context(), "notes.example.com", subject); len(list) != 0 {
			t.Errorf("%s sees %v", subject, list)
		}
	}
	if list := f.attempts.Failed(t.Context(), "mail.example.com", "local:ada"); len(list) != 0 {
		t.Errorf("at another host: %v", list)
	}
	// What works in the end is no failure.
	c.redeem(t, code).tokens(t)
	f.attempts.save(t.Context())
	if list := f.attempts.Failed(t.Context(), "notes.example.com", "local:ada"); len(list) != 0 {
		t.Errorf("after it worked: %v", list)
	}
}

func TestExplain_what_was_approved_is_explained_by_every_replica(t *testing.T) {
	f := newFixture(t)
	c := f.newClient(t, nil)
	ref := c.redeem(t, c.code(t, f.newBrowser(t)), "code_verifier", strings.Repeat("x", 43)).reference(t)
	f.attempts.save(t.Context())
	other := newAttempts(f.now, f.log)
	other.open(f.store)
	at, err := other.read(t.Context(), ref)
	if err != nil || explain(at, f.now()).Step != auth.StepToken {
		t.Errorf("got %+v, %v", at, err)
	}
	other.Note(auth.Step{Attempt: ref, Name: auth.StepCall, What: "there", Approved: true})
	other.save(t.Context())
	if names := f.explained(t, ref).names(); names[len(names)-1] != "first call" || !slices.Contains(names, "authorize") {
		t.Errorf("both together: %v", names)
	}
	f.forward(t, attemptLife+time.Minute)
	if _, err := other.kept().Get(t.Context(), ref); err == nil {
		t.Error("it is kept for more than a day")
	}
}

func TestExplain_a_denied_first_call_is_the_step_that_failed(t *testing.T) {
	f := newFixture(t)
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL())
	ref := auth.Reference(page.form(t).values.Get("r"))
	tok := c.redeem(t, c.finish(t, b, page, "notes:read").Get("code")).tokens(t)
	f.call(t, notes, tok.access, "delete_note").wantStatus(t, http.StatusForbidden)
	f.awaitCalls(t, 1)
	if x := f.explained(t, ref); x.Step != auth.StepCall || !strings.Contains(x.Verdict, "notes:admin") || x.Rule == "" {
		t.Errorf("got %+v", x)
	}
}

func TestExplain_a_flood_leaves_bounded_memory_and_those_that_were_approved(t *testing.T) {
	clock := &stoppedClock{at: time.Now()}
	a := newAttempts(clock.now, nil)
	refusal := &auth.Error{Code: "invalid_request", Description: strings.Repeat("x", 1000), Cause: fmt.Errorf("%0999d", 1)}
	const n = 100_000
	long := strings.Repeat("x", 9999)
	for i := range n {
		address := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		a.Note(auth.Step{Attempt: fmt.Sprint("stray", i), Name: auth.StepToken, Host: long, Address: address, Error: refusal})
		a.Note(auth.Step{Name: auth.StepMetadata, What: long, Host: "notes.example.com", Address: address})
		a.Note(auth.Step{Attempt: fmt.Sprint("browser", i), Name: auth.StepAuthorize, Host: "notes.example.com", Address: address, Client: long})
		a.first.expect(fmt.Sprint("grant", i), "ref")
	}
	for home, size := range a.sizes {
		weight := 0
		for e := home.Front(); e != nil; e = e.Next() {
			weight += e.Value.(*attempt).size
		}
		if size != weight || size > attemptMemory+10_000 {
			t.Errorf("%d bytes are counted, %d are there", size, weight)
		}
	}
	if len(a.byRef) != a.browsers.Len()+a.strays.Len() || a.order.Len() > maxPreludes || len(a.preludes) != a.order.Len() {
		t.Errorf("%d attempts, %d + %d in order; %d preludes", len(a.byRef), a.browsers.Len(), a.strays.Len(), len(a.preludes))
	}
	if n := a.first.awaited.Load(); n > 16*maxAwaited {
		t.Errorf("%d first calls are awaited", n)
	}
	if _, ok := a.remembered(fmt.Sprint("browser", n-1)); !ok {
		t.Error("the last is forgotten")
	}
	for range 1000 {
		a.Note(auth.Step{Attempt: "one", Name: auth.StepConsent, What: fmt.Sprint(a.browsers.Len(), len(a.byRef), clock.now().UnixNano())})
		clock.forward(time.Second)
	}
	if at, _ := a.remembered("one"); len(at.Steps) > attemptSteps {
		t.Errorf("an attempt has %d steps", len(at.Steps))
	}
	clock.forward(attemptLife)
	a.Note(auth.Step{Attempt: "later", Name: auth.StepAuthorize, Host: "x"})
	if a.browsers.Len() != 1 {
		t.Errorf("%d attempts are older than a day", a.browsers.Len()-1)
	}
}

// isDescription tells a refusal from a sentence, such as a metric has.
func isDescription(s string) bool { return strings.Contains(s, " ") && !strings.HasSuffix(s, ".") }

// refusals are the codes and descriptions of all refusals in the code, as far as
// they are written in one place.
func refusals(t *testing.T) (out []attemptStep) {
	t.Helper()
	names := map[string]string{
		"InvalidClient": "invalid_client", "InvalidRedirectURI": "invalid_redirect_uri", "InvalidClientMetadata": "invalid_client_metadata",
		"TemporarilyUnavailable": "temporarily_unavailable",
	}
	text := func(e ast.Expr) string {
		for {
			sum, ok := e.(*ast.BinaryExpr)
			if !ok {
				break
			}
			e = sum.X
		}
		switch e := e.(type) {
		case *ast.BasicLit:
			s, _ := strconv.Unquote(e.Value)
			return s
		case *ast.Ident:
			return names[e.Name]
		case *ast.SelectorExpr:
			return names[e.Sel.Name]
		}
		return ""
	}
	code := regexp.MustCompile(`^[a-z]+_[a-z_]+$`)
	pairs := func(list []ast.Expr) {
		for i := 1; i < len(list); i++ {
			if c, d := text(list[i-1]), text(list[i]); code.MatchString(c) && isDescription(d) {
				out = append(out, attemptStep{Code: c, Description: d})
			}
		}
	}
	fields := func(lit *ast.CompositeLit) {
		var s attemptStep
		for _, e := range lit.Elts {
			kv, ok := e.(*ast.KeyValueExpr)
			if !ok {
				continue
			}
			switch key, _ := kv.Key.(*ast.Ident); {
			case key != nil && key.Name == "Code":
				s.Code = text(kv.Value)
			case key != nil && key.Name == "Description":
				s.Description = text(kv.Value)
			}
		}
		if s.Code != "" && isDescription(s.Description) {
			out = append(out, s)
		}
	}
	for _, dir := range []string{".", "../auth", "../auth/clients"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") || filepath.Base(name) == "explain_rules.go" {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					pairs(n.Args)
					if f, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 {
						c := map[string]string{"forbidden": "forbidden", "badMetadata": "invalid_client_metadata", "unavailable": "temporarily_unavailable"}[f.Name]
						if d := text(n.Args[0]); c != "" && d != "" {
							out = append(out, attemptStep{Code: c, Description: d})
						}
					}
				case *ast.ReturnStmt:
					pairs(n.Results)
				case *ast.CompositeLit:
					fields(n)
				}
				return true
			})
		}
	}
	return out
}

// general are descriptions that are content with the rule of their code: they say
// all there is to say.
var general = []string{
	"the body ended early", "the body is too large", "the request is too long", "the answer is too long",
	"this method is not for this path", "there is no such passkey", "action is not known", "this account has no passkeys here",
	"decision must be allow or deny", "duration must be 1h, 1d, 30d or max", "there is no local sign-in here",
	"there is no such identity provider here", "token is missing", "the code stands alone", "an answer was handed over twice",
}

func TestExplain_every_refusal_in_the_code_has_a_rule_of_its_own_or_a_general_one_on_purpose(t *testing.T) {
	all := refusals(t)
	if len(all) < 60 {
		t.Fatalf("%d refusals were found", len(all))
	}
	used := map[string]bool{}
	for _, s := range all {
		used[s.Description] = true
		r := ruleOf(s)
		if r.Fix == "" {
			t.Errorf("%s: %q: nothing fixes it", s.Code, s.Description)
		}
		if r.code == "" || r.description == "" && !slices.Contains(general, s.Description) {
			t.Errorf("%s: %q has no rule", s.Code, s.Description)
		}
	}
	for _, d := range general {
		if !used[d] {
			t.Errorf("%q is general, and nobody says so", d)
		}
	}
	seen := map[string]bool{}
	for _, r := range rules {
		if key := r.code + ": " + r.description; seen[key] {
			t.Errorf("%s is there twice", key)
		} else {
			seen[key] = true
		}
	}
}
