package gateway

import (
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mcp-oauth2-proxy/auth/audit"
	"mcp-oauth2-proxy/auth/idp/idptest"
)

// auditEvents are all that auth/audit knows.
func auditEvents(t *testing.T) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../auth/audit/audit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Event" {
			name, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			names = append(names, name)
		}
		return true
	})
	if len(names) < 20 {
		t.Fatalf("%d events only", len(names))
	}
	return names
}

// made are the lines of one event.
func made(t *testing.T, text, event string) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		if l := decoded(t, line); l["audit"] == event {
			lines = append(lines, l)
		}
	}
	return lines
}

func TestEvery_audit_event_has_something_that_makes_it(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_REGISTRATIONSPERMINUTE", "3"))
	b := f.newBrowser(t)
	c := f.newClient(t, nil)
	tok := c.connect(t, b, "scope", "notes:read")
	b.deny(t, b.open(t, c.authorizeURL("prompt", "consent")))
	b2 := f.newBrowser(t)
	b2.submit(t, b2.allow(t, b2.open(t, c.authorizeURL()), "notes:read"), "username", ada, "password", "wrong")
	f.call(t, notes, tok.access, "read_note").wantStatus(t, http.StatusOK)
	f.call(t, notes, tok.access, "write_note").wantStatus(t, http.StatusForbidden)
	second := c.refresh(t, tok.refresh).tokens(t)
	c.refresh(t, second.refresh).tokens(t)
	c.refresh(t, tok.refresh).wantJSON(t, http.StatusBadRequest, "invalid_grant")
	again := c.connect(t, b, "scope", "notes:read")
	c.post(t, "/revoke", url.Values{"token": {again.refresh}}).wantStatus(t, http.StatusOK)
	c.connect(t, b, "scope", "notes:read")
	if n, err := f.revoke(t.Context(), Revocation{All: true}); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	for range 3 {
		f.register(t, notes, nil)
	}
	f.reload(t)
	f.awaitCalls(t, 2)
	f.audited.await(t, "a signature", func(text string) bool { return strings.Contains(text, "chain_signed") })

	h, person, device := passkeys(t)
	person.adds(t, person.account(t, notes, "ada"), idptest.NewAuthenticator(t, mail), "of another host")
	person.post(t, notes+"/account", url.Values{"action": {"remove-passkey"}, "id": {device.ID()}})
	h.Close()

	text := f.audited.String() + h.audit.String()
	text += rotated(t)
	for _, event := range auditEvents(t) {
		if len(made(t, text, event)) == 0 {
			t.Errorf("nothing makes %s", event)
		}
	}
	wantClaims(t, made(t, text, "token_issued")[0], c.id, claims(t, tok.access))
	for _, secret := range []string{tok.access, tok.refresh, second.access, again.refresh, passphrase, `"wrong"`} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the audit log", secret)
		}
	}
	for event, n := range map[string]int{"grant_ended": 2, "grant_replayed": 1} {
		for _, l := range made(t, text, event)[:n] {
			if l["grant"] == nil || l["client_id"] == nil || l["host"] == nil {
				t.Errorf("%s does not say of what: %v", event, l)
			}
		}
	}
}

// wantClaims holds the line of a token to what the token says.
func wantClaims(t *testing.T, l map[string]any, client string, says map[string]any) {
	t.Helper()
	for key, want := range map[string]any{
		"client_id": client, "sub": "local:ada", "scope": "notes:read", "jti": says["jti"], "grant": says["sid"],
		"iat": says["iat"], "exp": says["exp"], "email": "ada@example.com", "groups": "analysts", "aud": notes + " " + notes + "/mcp",
	} {
		if l[key] != want {
			t.Errorf("the line of a token says %s: %v, want %v", key, l[key], want)
		}
	}
}

// rotated is the text of an audit log that goes on in a second file.
func rotated(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	l, err := audit.Open(audit.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return contents(t, path+".1") + contents(t, path)
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestArguments_of_calls_are_recorded_only_if_that_was_asked_for(t *testing.T) {
	for asked, want := range map[string]any{"false": nil, "true": map[string]any{}} {
		f := newFixture(t, with("AUDIT_ARGUMENTS", asked))
		_, tok := f.connected(t, "notes:read")
		f.call(t, notes, tok.access, "read_note").wantStatus(t, http.StatusOK)
		f.awaitCalls(t, 1)
		if l := made(t, f.audited.String(), "call_allowed")[0]; (l["arguments"] == nil) != (want == nil) {
			t.Errorf("audit.arguments %s: %v", asked, l["arguments"])
		}
		large := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","arguments":{"x":"` + strings.Repeat("x", maxArguments) + `"}}}`
		f.say(t, tok.access, large).wantStatus(t, http.StatusOK)
		f.awaitCalls(t, 2)
		if l := made(t, f.audited.String(), "call_allowed")[1]; l["arguments"] != nil || (l["arguments_bytes"] == nil) != (want == nil) {
			t.Errorf("large arguments: %v %v", l["arguments"], l["arguments_bytes"])
		}
	}
}

// A served gateway runs as it does for people, and is stopped by a test.
type served struct {
	*Gateway
	config *Config
	stop   func()
}

func serve(t *testing.T, text string) *served {
	t.Helper()
	c, err := Parse([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan error)
	g, err := New(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler), Listening: func() {
		conn, err := net.Dial("unix", AdminSocket(c))
		if err == nil {
			_ = conn.Close()
		}
		listening <- err
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stopped := false
	s := &served{Gateway: g, config: c, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		g.Close()
	}}
	t.Cleanup(s.stop)
	if err := <-listening; err != nil {
		t.Error("it cannot be managed yet: ", err)
	}
	return s
}

// trust asks at the admin socket, which is there as soon as the ports are.
func (s *served) trust(t *testing.T) AuditTrust {
	t.Helper()
	trust, err := Manage(s.config).AuditTrust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func verified(t *testing.T, path string, trust AuditTrust) audit.Report {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	reports, err := VerifyAudit(f, trust, false)
	if err != nil || len(reports) != 1 {
		t.Fatal(reports, err)
	}
	return reports[0]
}

func TestAn_audit_log_is_verified_against_the_running_gateway_and_without_it(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	config := `
provider: ` + localProvider + `
proxy: {hosts: [{host: notes.example.com}]}
tls: {mode: "off"}
token: {algorithm: ES256}
store: {url: "bolt://` + filepath.ToSlash(dir) + `/state.db"}
server: {addr: "127.0.0.1:0", adminAddr: ""}
audit: {path: '` + path + `'}
`
	s := serve(t, config)
	ready := func() {
		t.Helper()
		if _, err := s.ring.Set(t.Context()); err != nil { // waits for the first key
			t.Fatal(err)
		}
	}
	ready()
	if err := s.ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s = serve(t, config)
	ready()
	s.audit.Record(t.Context(), audit.SigninOK, audit.Subject("local:ada"))
	s.trust(t)
	if err := s.audit.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	trust := s.trust(t)
	if r := verified(t, path, trust); r.Damage != nil || r.Signed == 0 || len(r.Chains) != 2 || r.Unknown != 0 {
		t.Errorf("while it runs: %+v", r)
	}
	s.stop()
	if r := verified(t, path, trust); r.Damage != nil || r.Signed != r.Lines {
		t.Errorf("with the keys of before, after it has stopped: %+v", r)
	}

	// Nothing of the file is believed for its own sake.
	var out strings.Builder
	if r := verified(t, path, AuditTrust{Keys: []json.RawMessage{}}); DescribeAudit(&out, "audit.log", []audit.Report{r}) == nil {
		t.Errorf("without keys it is proven: %+v", r)
	}
	changed := strings.Replace(contents(t, path), "local:ada", "local:bob", 1)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r := verified(t, path, trust)
	if err := DescribeAudit(&out, "audit.log", []audit.Report{r}); err == nil || !strings.Contains(err.Error(), "audit.log: line "+strconv.Itoa(r.Damage.Line)+": ") {
		t.Errorf("a changed file: %+v, %v", r, err)
	}
	lines := strings.SplitAfter(changed, "\n")
	if !strings.Contains(lines[r.Damage.Line-1], "local:bob") {
		t.Errorf("it names line %d", r.Damage.Line)
	}
}

func TestAn_audit_file_that_was_moved_away_is_opened_anew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	c := defaults().config(t, "http://127.0.0.1:1/mcp")
	c.Audit.Path = path
	g, err := New(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	g.reopenAudit(t.Context())
	g.audit.Record(t.Context(), audit.SigninOK)
	g.Close()
	var got []string
	for line := range strings.Lines(contents(t, path)) {
		got = append(got, decoded(t, line)["audit"].(string))
	}
	if !slices.Equal(got, []string{"file_opened", "signin_ok", "chain_ended"}) {
		t.Errorf("the new file has %v", got)
	}
}
