package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing/routingtest"
)

// callLine is a line of the audit log about a call.
type callLine struct {
	Audit    string
	Host     string
	Client   string `json:"client_id"`
	Sub      string
	Grant    string
	Tool     string
	Reason   string
	Needed   string
	Status   int
	In       int64   `json:"bytes_in"`
	Out      int64   `json:"bytes_out"`
	Duration float64 `json:"duration_ms"`
}

func (l callLine) String() string {
	return fmt.Sprintf("%s %s %s %d", l.Audit, l.Tool, l.Reason, l.Status)
}

// callLines are those in the audit log.
func callLines(t testing.TB, text string) []callLine {
	t.Helper()
	var out []callLine
	for line := range strings.Lines(text) {
		var l callLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("not a line: %v: %s", err, line)
		}
		if strings.HasPrefix(l.Audit, "call_") {
			out = append(out, l)
		}
	}
	return out
}

// awaitCalls waits for as many lines about calls, which come after the answers.
func (f *fixture) awaitCalls(t testing.TB, n int) []callLine {
	t.Helper()
	f.audited.await(t, fmt.Sprint(n, " calls"), func(text string) bool { return len(callLines(t, text)) >= n })
	return callLines(t, f.audited.String())
}

const batch = `[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note"}},` +
	`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"delete_note"}}]`

func TestCalls_are_in_the_audit_log_with_what_became_of_them(t *testing.T) {
	f := newFixture(t)
	c, tok := f.connected(t, "notes:read")
	f.call(t, notes, tok.access, "read_note").wantStatus(t, http.StatusOK)
	f.call(t, notes, tok.access, "write_note").wantStatus(t, http.StatusForbidden)
	f.say(t, tok.access, batch).wantStatus(t, http.StatusForbidden)
	f.say(t, tok.access, `{"method":"tools/call","method":"x"}`).wantStatus(t, http.StatusBadRequest)
	f.say(t, tok.access, initialize).wantStatus(t, http.StatusOK)
	lines := f.awaitCalls(t, 5)
	if len(lines) != 5 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for i, want := range []string{
		"call_allowed read_note  200", "call_denied write_note scope 403",
		"call_denied read_note batch 403", "call_denied delete_note scope 403", "call_denied  unreadable 400",
	} {
		l := lines[i]
		if l.String() != want || l.Host != "notes.example.com" || l.Client != c.id || l.Sub != "local:ada" || l.Grant == "" {
			t.Errorf("line %d is %+v, want %s", i, l, want)
		}
		if l.In == 0 || l.Out == 0 && l.Status != http.StatusOK || l.Duration <= 0 {
			t.Errorf("line %d does not say how much it was: %+v", i, l)
		}
	}
	if lines[1].Needed != "notes:read notes:write" {
		t.Errorf("needed %q", lines[1].Needed)
	}
}

func TestAllowed_calls_are_not_in_the_audit_log_where_nobody_asked_for_them(t *testing.T) {
	f := newFixture(t, with("AUDIT_TOOLCALLS", "false"))
	_, tok := f.connected(t, "notes:read")
	f.call(t, notes, tok.access, "read_note").wantStatus(t, http.StatusOK)
	f.call(t, notes, tok.access, "write_note").wantStatus(t, http.StatusForbidden)
	if lines := f.awaitCalls(t, 1); len(lines) != 1 || lines[0].Audit != "call_denied" {
		t.Errorf("got %v", lines)
	}
}

// passesAll answers everything with as much as it got.
func passesAll() routingtest.Options {
	return routingtest.Options{Era: routingtest.Both, Before: func(w http.ResponseWriter, r *http.Request) bool {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"got":%d}`, n)
		return true
	}}
}

func TestCalls_on_hosts_that_enforce_nothing_are_recorded_and_pass_as_they_are(t *testing.T) {
	for _, host := range []string{"no scopes", "enforceScopes off"} {
		t.Run(host, func(t *testing.T) {
			hosts := `[{"host":"notes.example.com","endpoint":"%[1]s"}]`
			if host == "enforceScopes off" {
				hosts = `[{"host":"notes.example.com","endpoint":"%[1]s","enforceScopes":false}]`
			}
			f := newFixture(t, before(passesAll()), serving(hosts), with("SERVER_MAXBODYBYTES", "65536"))
			token := f.tokenOf(t, ada, "client-1")
			large := func(n int) string {
				return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"big","arguments":{"x":"` + strings.Repeat("x", n) + `"}}}`
			}
			var want []string
			var sizes []int
			for _, tc := range []struct{ body, kind, line string }{
				{large(10), "application/json", "call_allowed big  200"},
				{large(40_000), "application/json", "call_allowed big  200"},
				{large(100_000), "application/json", "call_allowed  unread 200"},
				{strings.Replace(large(10), `"id":1`, `"id":1,"id":2`, 1), "application/json", "call_allowed  unread 200"},
				{large(10), "application/json; charset=utf-16", "call_allowed  unread 200"},
				{batch, "application/json", "call_allowed read_note  200"},
				{batch, "", "call_allowed delete_note  200"},
			} {
				want, sizes = append(want, tc.line), append(sizes, len(tc.body))
				if tc.kind == "" { // the second call of the batch before it
					continue
				}
				a := f.ask(t, http.MethodPost, notes+"/mcp", tc.body, "Content-Type", tc.kind, "Authorization", "Bearer "+token)
				if a.StatusCode != http.StatusOK || a.body != fmt.Sprintf(`{"got":%d}`, len(tc.body)) {
					t.Fatalf("%s: %s %s", tc.line, a.Status, a.body)
				}
				f.awaitCalls(t, len(want))
			}
			f.say(t, token, initialize)
			var got []string
			for i, l := range f.awaitCalls(t, len(want)) {
				got = append(got, l.String())
				if l.In != int64(sizes[i]) || l.Out == 0 {
					t.Errorf("%v: %d bytes in, %d out; sent %d", l, l.In, l.Out, sizes[i])
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q\nwant %q", got, want)
			}
		})
	}
}
