package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// stream begins a call that lasts until it is ended.
func (f *fixture) stream(t *testing.T, token string) *http.Response {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stream","arguments":{},"_meta":{"progressToken":"t",` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},` +
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	r := newRequest(t, http.MethodPost, notes+"/mcp", body, "Content-Type", "application/json", "Accept", "application/json, text/event-stream",
		"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "stream", "Authorization", "Bearer "+token)
	begun := make(chan struct{})
	defer close(begun)
	go func() { // any stream that is open may take it, so it is said until this one has
		for {
			select {
			case f.upstream.Step <- "begun":
			case <-begun:
				return
			}
		}
	}()
	res, err := (&http.Client{Transport: f}).Do(r.WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	in := bufio.NewReader(res.Body)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", res.Status, err)
		}
		if strings.Contains(line, "begun") {
			return res
		}
	}
}

// wantEnd waits for the end of the one stream there is, here and at the MCP
// server, where nobody takes a step any more.
func (f *fixture) wantEnd(t *testing.T, res *http.Response) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, res.Body)
		close(ended)
	}()
	patience := time.After(10 * time.Second)
	select {
	case <-ended:
	case <-patience:
		t.Error("the client's stream goes on")
	}
	for {
		select {
		case f.upstream.Step <- "more":
			time.Sleep(10 * time.Millisecond)
		case <-time.After(100 * time.Millisecond):
			return
		case <-patience:
			t.Error("the call at the MCP server goes on")
			return
		}
	}
}

func TestT17_X19_ending_a_grant_ends_what_is_open_of_it_at_once(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *fixture, *client, tokens, *browser){
		"the client revokes": func(t *testing.T, _ *fixture, c *client, tok tokens, _ *browser) {
			c.post(t, "/revoke", url.Values{"token": {tok.refresh}})
		},
		"the user ends the connection": func(t *testing.T, _ *fixture, _ *client, tok tokens, b *browser) {
			grant, _ := claims(t, tok.access)["sid"].(string)
			b.post(t, notes+"/account", url.Values{"action": {"end"}, "grant": {grant}}).wantPage(t, http.StatusOK, "The connection has ended")
		},
		"the operator revokes": func(t *testing.T, f *fixture, _ *client, _ tokens, _ *browser) {
			revokeAt(t, f, Revocation{User: "ada@example.com"})
		},
		"an old refresh token is shown": func(t *testing.T, _ *fixture, c *client, tok tokens, _ *browser) {
			second := c.refresh(t, tok.refresh).tokens(t)
			c.refresh(t, second.refresh).tokens(t)
			c.refresh(t, tok.refresh)
		},
		"the user may no longer enter": func(t *testing.T, f *fixture, c *client, tok tokens, _ *browser) {
			f.reload(t, signInAt(strings.Replace(localProvider, "ada", "grace", 1)))
			c.refresh(t, tok.refresh)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			c, b := f.newClient(t, nil), f.newBrowser(t)
			tok := c.connect(t, b)
			_, other := f.connected(t, "notes:read")
			res := f.stream(t, tok.access)
			end(t, f, c, tok, b)
			f.wantEnd(t, res)
			f.call(t, notes, tok.access, "read_note").wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
			if a := f.call(t, notes, other.access, "read_note"); a.StatusCode != http.StatusOK && !strings.Contains(name, "operator") {
				t.Errorf("another grant has ended as well: %s", a.Status)
			}
		})
	}
}

// A body may take its time, and so may the question what its tool is.
func TestT17_a_call_whose_grant_ends_before_it_is_passed_on_is_not(t *testing.T) {
	f := newFixture(t)
	_, tok := f.connected(t, "notes:read")
	message := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_note","arguments":{}}}`
	conn, err := net.Dial("tcp", f.listener.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const checks = `access_token_checks_total{host="notes.example.com",result="ok"}`
	before, checked := len(f.upstream.Calls()), samples(t, f.Gateway)[checks]
	fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: notes.example.com\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
		tok.access, len(message), message[:20])
	for samples(t, f.Gateway)[checks] == checked {
		time.Sleep(time.Millisecond)
	}
	revokeAt(t, f, Revocation{User: "ada@example.com"})
	_, _ = io.WriteString(conn, message[20:])
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer{Response: res}.wantChallenge(t, http.StatusUnauthorized, challengeForRevoked)
	if calls := f.upstream.Calls(); len(calls) != before {
		t.Errorf("the MCP server was called: %v", calls)
	}
}

func TestX25_the_streams_of_one_user_are_limited(t *testing.T) {
	f := newFixture(t, with("SERVER_LIMITS_STREAMSPERUSER", "2"))
	c, tok := f.connected(t, "notes:read")
	first := f.stream(t, tok.access)
	f.stream(t, tok.access)
	a := f.call(t, notes, tok.access, "read_note")
	a.wantJSON(t, http.StatusTooManyRequests, "too_many_streams")
	if a.Header.Get("Retry-After") == "" {
		t.Error("it does not say how long")
	}
	_ = first.Body.Close()
	for range 500 {
		if a = f.call(t, notes, tok.access, "read_note"); a.StatusCode == http.StatusOK {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if a.StatusCode != http.StatusOK {
		t.Errorf("after one has ended: %s", a.Status)
	}
	c.refresh(t, tok.refresh).tokens(t)
}
