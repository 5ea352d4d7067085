package routing_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/routing/routingtest"
)

// scoped is a route whose scopes are set, so that nothing has to be asked.
func scoped(t testing.TB, c routing.Config, opts ...func(*routing.Options)) *routing.Route {
	t.Helper()
	c.Host, c.EnforceScopes, c.ScopesSet = "a.example", true, true
	if c.Endpoint == nil {
		c.Endpoint = parse(t, "http://127.0.0.1:1/mcp")
	}
	if c.Scopes == nil {
		for _, s := range noteScopes {
			c.Scopes = append(c.Scopes, routing.Scope(s))
		}
	}
	return route(t, c, append([]func(*routing.Options){func(o *routing.Options) { o.MaxBody = 4096 }}, opts...)...)
}

func request(t testing.TB, method, body string, headers ...string) *http.Request {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, "/mcp", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header[headers[i]] = []string{headers[i+1]}
	}
	return req
}

func call(tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool)
}

func TestAuthorize(t *testing.T) {
	for name, tc := range map[string]struct {
		body, granted string
		deny          bool
		scope, tool   string
		denied        bool
	}{
		"G5 a tool of a granted scope":                     {body: call("get"), granted: "notes:read"},
		"G6 any scope that covers it suffices":             {body: call("get"), granted: "same other"},
		"G8 a broad scope covers what narrow ones do":      {body: call("delete"), granted: "notes:all"},
		"G5 a tool outside":                                {call("delete"), "notes:read", false, "notes:delete notes:read", "delete", true},
		"G6 the challenge names the least that would do":   {call("get"), "", false, "notes:read", "get", true},
		"G5 nothing granted":                               {call("create"), "", false, "notes:all", "create", true},
		"G7 a tool in no scope":                            {body: call("unknown")},
		"G7 a tool in no scope, where that is denied":      {call("unknown"), "notes:all", true, "", "unknown", true},
		"G5 a name that differs in case only is the same":  {call("DELETE"), "notes:read", false, "notes:delete notes:read", "DELETE", true},
		"G5 nor do spaces around a name make it another":   {call(" delete\t"), "notes:read", false, "notes:delete notes:read", " delete\t", true},
		"G5 a list is no call":                             {body: `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
		"G5 a tool's name among arguments is no call":      {body: `{"method":"tools/call","params":{"name":"get","arguments":{"name":"delete","method":"tools/call"}}}`, granted: "notes:read"},
		"G5 escapes hide nothing":                          {`{"\u006dethod":"tools\/\u0063all","p\u0061rams":{"n\u0061me":"d\u0065lete"}}`, "notes:read", false, "notes:delete notes:read", "delete", true},
		"G5 the order of keys hides nothing":               {`{"params":{"arguments":{},"name":"delete"},"method":"tools/call"}`, "", false, "notes:delete", "delete", true},
		"G9 a batch of calls that are all covered":         {body: "[" + call("get") + "," + call("list") + "]", granted: "notes:read"},
		"G9 a batch asks for all it lacks at once":         {"[" + call("get") + "," + call("delete") + "," + call("create") + "]", "x", false, "notes:all notes:delete notes:read x", "get", true},
		"G9 what one scope cures is not asked for twice":   {"[" + call("create") + "," + call("delete") + "]", "", false, "notes:all", "create", true},
		"G9 one call that no scope helps spoils the batch": {"[" + call("get") + "," + call("unknown") + "]", "", true, "", "unknown", true},
		"G15 a retry with input is judged again":           {`{"method":"tools/call","params":{"name":"delete","inputResponses":{},"requestState":"x"}}`, "notes:read", false, "notes:delete notes:read", "delete", true},
		"G19 the challenge is in one order, each once":     {call("create"), "z notes:read a a", false, "a notes:all notes:read z", "create", true},
	} {
		t.Run(name, func(t *testing.T) {
			c := routing.Config{}
			if tc.deny {
				c.UnscopedTools = "deny"
			}
			req := request(t, http.MethodPost, tc.body)
			err := scoped(t, c).Authorize(t.Context(), req, routing.Granted{Scopes: strings.Fields(tc.granted)})
			var denied *routing.Denied
			if errors.As(err, &denied) != tc.denied || !tc.denied && err != nil {
				t.Fatal(err)
			}
			if tc.denied && (denied.Scope != tc.scope || denied.Tool != tc.tool) {
				t.Errorf("got %q for %q, want %q for %q", denied.Scope, denied.Tool, tc.scope, tc.tool)
			}
			if got, _ := io.ReadAll(req.Body); string(got) != tc.body {
				t.Errorf("X20 the body is now %q", got)
			}
		})
	}
}

func TestADeniedCallTellsItsID(t *testing.T) {
	var denied *routing.Denied
	err := scoped(t, routing.Config{}).Authorize(t.Context(), request(t, "POST", call("delete")), routing.Granted{})
	if !errors.As(err, &denied) || string(denied.ID) != "7" {
		t.Errorf("G5 %v", err)
	}
}

func TestBodiesThatCannotBeJudged(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, call("delete"))
	_ = z.Close()
	for name, req := range map[string]*http.Request{
		"H8 not JSON":                        request(t, "POST", "method=tools/call"),
		"H8 keys in another case":            request(t, "POST", `{"method":"tools/list","Method":"tools/call","params":{"name":"delete"}}`),
		"H8 compressed":                      request(t, "POST", zipped.String(), "Content-Encoding", "gzip"),
		"H8 in an alphabet of its own":       request(t, "POST", call("get"), "Content-Type", "application/json; charset=utf-7"),
		"H8 two alphabets":                   request(t, "POST", call("get"), "Content-Type", "application/json; charset=utf-8; charset=utf-16"),
		"H8 whatever the content type says":  request(t, "POST", "x", "Content-Type", "text/plain"),
		"H8 whatever the method says":        request(t, "PUT", "x"),
		"H8 a GET with a body":               request(t, "GET", `{"method":"tools/call"}`),
		"H3 Mcp-Method says another":         request(t, "POST", call("get"), "Mcp-Method", "tools/list"),
		"H3 Mcp-Name says another":           request(t, "POST", call("delete"), "Mcp-Name", "get"),
		"H3 Mcp-Name of a prompt":            request(t, "POST", `{"method":"prompts/get","params":{"name":"p"}}`, "Mcp-Name", "q"),
		"H3 Mcp headers on a batch":          request(t, "POST", "["+call("get")+","+call("get")+"]", "Mcp-Method", "tools/call"),
		"H2 Mcp-Name says another in base64": request(t, "POST", call("delete"), "Mcp-Name", "=?base64?Z2V0?="),
		"H2 base64 that is none":             request(t, "POST", call("get"), "Mcp-Name", "=?base64?Z2V0=?="),
	} {
		t.Run(name, func(t *testing.T) {
			var bad *routing.BadMessage
			err := scoped(t, routing.Config{}).Authorize(t.Context(), req, routing.Granted{Scopes: []string{"notes:all"}})
			if !errors.As(err, &bad) {
				t.Fatalf("%v", err)
			}
			if strings.HasPrefix(name, "H3") && bad.Code != -32020 {
				t.Errorf("code %d", bad.Code)
			}
		})
	}
}

func TestBodiesThatMayBeJudged(t *testing.T) {
	for name, req := range map[string]*http.Request{
		"no body":                            request(t, "POST", ""),
		"a GET":                              httptest.NewRequest("GET", "/mcp", nil),
		"a DELETE":                           httptest.NewRequest("DELETE", "/mcp", nil),
		"H3 headers that agree":              request(t, "POST", call("get"), "Mcp-Method", "tools/call", "Mcp-Name", "get"),
		"H2 a name in base64 that agrees":    request(t, "POST", call("get"), "Mcp-Name", "=?base64?Z2V0?="),
		"H3 a name where the method has one": request(t, "POST", `{"method":"resources/read","params":{"uri":"a:b"}}`, "Mcp-Name", "a:b"),
		"H3 a task":                          request(t, "POST", `{"method":"tasks/get","params":{"taskId":"1"}}`, "Mcp-Name", "1"),
		"a charset that is UTF-8":            request(t, "POST", call("get"), "Content-Type", "application/json;charset=UTF-8"),
		"identity is no encoding":            request(t, "POST", call("get"), "Content-Encoding", "Identity"),
		"no content type":                    request(t, "POST", call("get"), "Content-Type", ""),
		"chunks":                             chunked(t, call("get")),
		"a response":                         request(t, "POST", `{"jsonrpc":"2.0","id":1,"result":{"name":"delete"}}`),
		"an error":                           request(t, "POST", `{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"x"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no content type" {
				req.Header.Del("Content-Type")
			}
			if err := scoped(t, routing.Config{}).Authorize(t.Context(), req, routing.Granted{Scopes: []string{"notes:all"}}); err != nil {
				t.Error(err)
			}
		})
	}
}

func chunked(t testing.TB, body string) *http.Request {
	req := request(t, "POST", body)
	req.ContentLength, req.TransferEncoding = -1, []string{"chunked"}
	return req
}

func TestALargeBodyIsRefused(t *testing.T) {
	big := call(strings.Repeat("x", 5000))
	for name, req := range map[string]*http.Request{
		"X20 by its length": request(t, "POST", big),
		"X20 by its bytes":  chunked(t, big),
		"X20 by a limit set before": func() *http.Request {
			req := chunked(t, big)
			req.Body = http.MaxBytesReader(nil, req.Body, 100)
			return req
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			var large *routing.TooLarge
			if err := scoped(t, routing.Config{}).Authorize(t.Context(), req, routing.Granted{}); !errors.As(err, &large) {
				t.Error(err)
			}
		})
	}
	if err := scoped(t, routing.Config{}).Authorize(t.Context(), request(t, "POST", call("x")+strings.Repeat(" ", 4096-len(call("x")))), routing.Granted{}); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
}

func TestNothingIsReadWhereNothingIsEnforced(t *testing.T) {
	s := routingtest.New(t, routingtest.Options{Era: routingtest.Modern})
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for name, c := range map[string]routing.Config{
		"enforcement is off":           {Endpoint: parse(t, s.URL)},
		"the server has no scopes":     {Endpoint: parse(t, s.URL), EnforceScopes: true},
		"the host is public":           {Endpoint: parse(t, s.URL), EnforceScopes: true, Public: true},
		"the configuration says none":  {Endpoint: parse(t, s.URL), EnforceScopes: true, ScopesSet: true},
		"the server speaks no MCP":     {Endpoint: parse(t, other.URL), EnforceScopes: true},
		"there is only sign-in at all": {EnforceScopes: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.Host = "a.example"
			req := request(t, "POST", "not JSON \xff")
			body := req.Body
			if err := route(t, c).Authorize(t.Context(), req, routing.Granted{}); err != nil || req.Body != body {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestACallThatCannotBeJudgedWaits(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	r := route(t, routing.Config{Host: "a.example", Endpoint: parse(t, dead.URL), EnforceScopes: true})
	var unavailable *routing.Unavailable
	if err := r.Authorize(t.Context(), request(t, "POST", call("get")), routing.Granted{Scopes: []string{"notes:read"}}); !errors.As(err, &unavailable) || unavailable.Unwrap() == nil {
		t.Errorf("4.2 %v", err)
	}
	if err := r.Authorize(t.Context(), request(t, "POST", `{"method":"initialize"}`), routing.Granted{}); err != nil {
		t.Errorf("what is no call need not be judged: %v", err)
	}
}

func TestBodiesArriveByteForByte(t *testing.T) {
	rec, c := recording(t)
	for _, s := range noteScopes {
		c.Scopes = append(c.Scopes, routing.Scope(s))
	}
	c.ScopesSet, c.EnforceScopes = true, true
	f := newFront(t, c)
	body := " {\t\"method\" : \"tools\\/call\",\r\n\"params\":{\"name\":\"get\",\"arguments\":{\"x\":[1.0,1e2,\"\\u00e9é\\ud83d\"]}} , \"id\":1 }\n "
	for name, headers := range map[string]string{
		"X20 with a length": fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body),
		"X20 in chunks":     fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", body[:5], len(body)-5, body[5:]),
	} {
		t.Run(name, func(t *testing.T) {
			f.raw(t, "POST /mcp HTTP/1.1\r\nHost: a\r\n"+headers)
			got := <-rec.seen
			if b, _ := io.ReadAll(got.Body); string(b) != body || got.ContentLength != int64(len(body)) {
				t.Errorf("%d %q", got.ContentLength, b)
			}
		})
	}
}

func TestARequestKnowsItsCalls(t *testing.T) {
	req := request(t, "POST", call("get"))
	if err := scoped(t, routing.Config{}).Authorize(t.Context(), req, routing.Granted{Scopes: []string{"same"}}); err != nil {
		t.Fatal(err)
	}
	if calls := routing.Calls(req); len(calls) != 1 || calls[0].Tool != "get" || calls[0].Method != "tools/call" {
		t.Errorf("%+v", calls)
	}
	if calls := routing.Calls(httptest.NewRequest("GET", "/", nil)); calls != nil {
		t.Errorf("%+v", calls)
	}
}
