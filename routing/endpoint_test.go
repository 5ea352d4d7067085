package routing_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing"
)

// says is a server whose streams consist of these pieces, each sent by itself.
func says(t testing.TB, pieces ...string) routing.Config {
	return upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.Header().Set("X-Called-With", r.URL.RequestURI())
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, piece := range pieces {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	})
}

func (f *front) stream(t testing.TB) string {
	t.Helper()
	body, err := io.ReadAll(f.as(t, ada, "GET", "/sse", "Accept", "text/event-stream").Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheEndpointEventOfTheLegacyTransport(t *testing.T) {
	const rest = "event: message\ndata: {\"endpoint\": 1}\n\nevent: endpoint\ndata: http://internal:1/second\n\n"
	for name, tc := range map[string]struct{ sent, want string }{
		"X21 a path stays":                            {"event: endpoint\ndata: /message\n\n", ""},
		"X21 a relative path stays":                   {"event: endpoint\ndata: message?a=b\n\n", ""},
		"X21 our own address stays":                   {"event: endpoint\ndata: https://notes.example.com/m?a#b\n\n", ""},
		"X21 an internal address becomes ours":        {"event: endpoint\ndata: http://10.0.0.1:3001/m/x?a=%2F&b\n\n", "event: endpoint\ndata: https://notes.example.com/m/x?a=%2F&b\n\n"},
		"X21 whatever it looks like":                  {"event:endpoint\r\ndata:HTTP://user@h?q\r\n\r\n", "event:endpoint\r\ndata:https://notes.example.com/?q\r\n\r\n"},
		"X21 and whatever its path":                   {"event: endpoint\ndata: http://h//evil.example/m\n\n", "event: endpoint\ndata: https://notes.example.com//evil.example/m\n\n"},
		"X21 without a scheme":                        {"event: endpoint\ndata: //h:1/m\n\n", "event: endpoint\ndata: https://notes.example.com/m\n\n"},
		"X21 fields in another order":                 {"id: 1\rdata: http://h/m\rretry: 5\revent: endpoint\r\r", "id: 1\rdata: https://notes.example.com/m\rretry: 5\revent: endpoint\r\r"},
		"X21 after a comment":                         {":\n\n: hello\n\nevent: endpoint\ndata: http://h/m\n\n", ":\n\n: hello\n\nevent: endpoint\ndata: https://notes.example.com/m\n\n"},
		"X21 after a retry":                           {"retry: 5\n\nevent: endpoint\ndata: http://h/m\n\n", "retry: 5\n\nevent: endpoint\ndata: https://notes.example.com/m\n\n"},
		"X21 a URL in a path is none":                 {"event: endpoint\ndata: /to?http://h/m\n\n", ""},
		"X14 another first event is not touched":      {"event: message\ndata: http://h/m\n\n", ""},
		"X14 a priming event is not touched":          {"id: 1\ndata:\n\n", ""},
		"X14 data in several lines is not touched":    {"event: endpoint\ndata: http://h/m\ndata: x\n\n", ""},
		"X14 a long event is not touched":             {"event: x\ndata: " + strings.Repeat("y", 20_000) + "\n\n", ""},
		"X14 an event that does not end":              {"event: endpoint\ndata: http://h/m\n", ""},
		"X14 no event":                                {": only this", ""},
		"X14 nothing":                                 {"", ""},
		"X14 lines that only begin like the right":    {"events: endpoint\ndata: http://h/m\n\n", ""},
		"X21 the stream's session is bound, in a URL": {"event: endpoint\ndata: http://h/m?a=1&sessionId=s%2B1&b\n\n", "event: endpoint\ndata: https://notes.example.com/m?a=1&sessionId=s%2B1.TAG&b\n\n"},
		"X21 and in a path":                           {"event: endpoint\ndata: /m?session_id=s%2B1\n\n", "event: endpoint\ndata: /m?session_id=s%2B1.TAG\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			want := tc.want
			if want == "" {
				want = tc.sent
			}
			if tc.sent != "" && strings.HasSuffix(want, "\n\n") {
				tc.sent, want = tc.sent+rest, want+rest
			}
			for _, cut := range []int{0, len(tc.sent) / 3, len(tc.sent) / 2, max(0, len(tc.sent)-len(rest)-1)} {
				got := newFront(t, says(t, tc.sent[:cut], tc.sent[cut:]), keyed).stream(t)
				if strings.Contains(want, ".TAG") {
					_, after, _ := strings.Cut(got, "s%2B1.")
					want := strings.Replace(want, "TAG", after[:min(22, len(after))], 1)
					if got != want || len(after) < 22 {
						t.Errorf("cut at %d: got %q, want %q", cut, got, want)
					}
				} else if got != want {
					t.Errorf("cut at %d: got %q, want %q", cut, got, want)
				}
			}
		})
	}
}

func TestMessagesOfTheLegacyTransportAreOfWhoseStreamItIs(t *testing.T) {
	f := newFront(t, says(t, "event: endpoint\ndata: /m?x=%20;&sessionId=s%2B1&y\n\n"), keyed)
	_, at, _ := strings.Cut(strings.TrimSpace(f.stream(t)), "data: ")
	bob := ada.Identity
	bob.Subject = "google:5678"
	for name, tc := range map[string]struct {
		who    *routing.Caller
		target string
		want   string // what arrives; empty: 404
	}{
		"X21 the caller's own":                 {ada, at, "/m?x=%20;&sessionId=s%2B1&y"},
		"X21 another's":                        {routing.NewCaller(bob), at, ""},
		"X21 as the server knows it":           {ada, "/m?sessionId=s%2B1", ""},
		"X21 with its name encoded":            {ada, "/m?session%49d=s%2B1", ""},
		"X21 in another case":                  {ada, "/m?SESSIONID=s%2B1", ""},
		"X21 as Python calls it":               {ada, "/m?session_id=s%2B1", ""},
		"X21 as an element of a list":          {ada, "/m?sessionId[]=s%2B1", ""},
		"X21 as an element of an object":       {ada, "/m?sessionId[a]=s%2B1", ""},
		"X21 behind a semicolon":               {ada, "/m?a=b;sessionId=s%2B1", ""},
		"X21 beside the caller's own":          {ada, at + "&sessionId=s%2B1", ""},
		"X21 the same in another encoding":     {ada, strings.Replace(at, "s%2B1", "%73%2b1", 1), "/m?x=%20;&sessionId=%73%2b1&y"},
		"X21 with its tag encoded":             {ada, strings.Replace(at, "s%2B1.", "s%2B1%2E", 1), ""},
		"X22 other parameters are not touched": {ada, "/m?a=1&mysessionId=2&sessionIds=3&sessionId&sessionId=&%zz=%", "/m?a=1&mysessionId=2&sessionIds=3&sessionId&sessionId=&%zz=%"},
	} {
		t.Run(name, func(t *testing.T) {
			res := f.as(t, tc.who, "POST", tc.target)
			if got := res.Header.Get("X-Called-With"); got != tc.want || (res.StatusCode == 404) != (tc.want == "") {
				t.Errorf("%d, the server is called with %q, want %q", res.StatusCode, got, tc.want)
			}
		})
	}
}

func TestAnEndpointThatTheClientWroteIsBoundToNobody(t *testing.T) {
	c := upstreamOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "event: endpoint\ndata: /m?%s\n\n", r.URL.RawQuery)
		_ = http.NewResponseController(w).Flush()
	})
	f := newFront(t, c, keyed)
	body, _ := io.ReadAll(f.as(t, ada, "GET", "/sse?session%49d=bobs", "Accept", "text/event-stream").Body)
	if !strings.Contains(string(body), "/m?session%49d=bobs\n") {
		t.Errorf("X21 %q", body)
	}
}

func TestTheOperatorIsToldOfAPathThatIsNotPassedOn(t *testing.T) {
	c := says(t, "event: endpoint\ndata: /message?sessionId=1\n\n")
	c.Paths = []string{"/sse"}
	f := newFront(t, c, keyed)
	f.stream(t)
	f.stream(t)
	if n := strings.Count(f.log.String(), `"path":"/message"`); n != 1 || strings.Contains(f.log.String(), "sessionId") {
		t.Errorf("X21 told %d times: %s", n, f.log)
	}
}

func TestStreamsAreAskedForInPlainWords(t *testing.T) {
	rec, c := recording(t)
	f := newFront(t, c)
	f.as(t, ada, "GET", "/sse", "Accept", "text/event-stream", "Accept-Encoding", "gzip")
	if got := (<-rec.seen).Header["Accept-Encoding"]; got != nil {
		t.Errorf("X11 a compressed stream could not be read: %q", got)
	}
	f.as(t, ada, "GET", "/file", "Accept", "*/*", "Accept-Encoding", "gzip")
	if got := (<-rec.seen).Header.Get("Accept-Encoding"); got != "gzip" {
		t.Errorf("X11 other answers may be compressed: %q", got)
	}
}

func TestTheFirstEventIsHeldToItsEndButNothingElse(t *testing.T) {
	for name, pieces := range map[string][]string{
		"X7 a stream":                          {": first\n\n", "data: 1\n\n", "data: 2\n", "\n", "data: 3"},
		"X7 an event that is too long to hold": {"data: " + strings.Repeat("x", 9000), "y", "\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			step := make(chan string)
			defer close(step)
			f := newFront(t, upstreamOf(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_ = http.NewResponseController(w).Flush()
				for piece := range step {
					_, _ = io.WriteString(w, piece)
					_ = http.NewResponseController(w).Flush()
				}
			}), keyed)
			res := f.as(t, ada, "GET", "/sse")
			for _, piece := range pieces { // each has to be here before the next is sent
				step <- piece
				got := make([]byte, len(piece))
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != piece {
					t.Fatalf("%.50q, %v, want %.50q", got, err, piece)
				}
			}
		})
	}
}
