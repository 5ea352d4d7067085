package mcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing/mcp"
	"mcp-oauth2-proxy/routing/routingtest"
)

var notes = []routingtest.Scope{
	{Name: "notes:read", Description: "Read notes", Tools: []string{"get", "list"}},
	{Name: "notes:all", Description: "Everything", Tools: []string{"get", "list", "delete"}},
}

func TestListReadsServersOfEveryEra(t *testing.T) {
	for name, era := range map[string]routingtest.Era{
		"stateful, up to 2025-11-25": routingtest.Sessions,
		"stateless, 2026-07-28":      routingtest.Modern,
		"both":                       routingtest.Both,
	} {
		t.Run(name, func(t *testing.T) {
			s := routingtest.New(t, routingtest.Options{
				Era: era, Scopes: notes, PageSize: 2, TTL: 20 * time.Second,
				Tools: []routingtest.Tool{
					{Name: "get", Title: "Get", Description: "gets", ReadOnly: true},
					{Name: "list", ReadOnly: true}, {Name: "delete", Destructive: true},
				},
			})
			l, err := mcp.List(t.Context(), http.DefaultClient, s.URL, http.Header{"X-Key": {"k"}})
			if err != nil {
				t.Fatal(err)
			}
			tools := map[string]mcp.Tool{}
			for _, tool := range l.Tools {
				if len(tool.Digest) != 43 || tool.Definition.Schema != `{"type":"object"}` {
					t.Errorf("the definition of %s: %+v", tool.Name, tool)
				}
				tool.Digest, tool.Definition = "", mcp.Definition{}
				tools[tool.Name] = tool
			}
			want := map[string]mcp.Tool{
				"get":    {Name: "get", Title: "Get", Description: "gets", ReadOnly: true},
				"list":   {Name: "list", ReadOnly: true},
				"delete": {Name: "delete", Destructive: true},
				"stream": {Name: "stream"},
			}
			if !reflect.DeepEqual(tools, want) {
				t.Errorf("tools: %+v", tools)
			}
			if len(l.Scopes) != 2 || l.Scopes[0].Name != "notes:read" || l.Scopes[1].Description != "Everything" {
				t.Errorf("scopes: %+v", l.Scopes)
			}
			if s.Lists() != 2 {
				t.Errorf("asked %d pages, want 2", s.Lists())
			}
			for _, r := range s.Requests() {
				if r.Header.Get("X-Key") != "k" && r.Method != http.MethodDelete {
					t.Errorf("%s %s without the credential", r.Method, r.URI)
				}
			}
			versions := fmt.Sprint(s.Requests()[len(s.Requests())-1].Header["Mcp-Protocol-Version"])
			t.Log(name, versions, l.TTL)
			if era == routingtest.Modern && l.TTL != 20*time.Second {
				t.Errorf("ttl %v", l.TTL)
			}
		})
	}
}

func TestListReadsAVendorsKey(t *testing.T) {
	s := routingtest.New(t, routingtest.Options{Scopes: notes, MetaKey: "example.com/scopes"})
	l, err := mcp.List(t.Context(), http.DefaultClient, s.URL, nil)
	if err != nil || len(l.Scopes) != 2 {
		t.Fatalf("%+v, %v", l, err)
	}
}

func TestListKeepsItsBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		answer   func(cursor string) string
		definite bool
	}{
		"pages without end": {func(c string) string { return `{"tools":[],"nextCursor":"` + c + `x"}` }, false},
		"bytes without end": {func(c string) string {
			return `{"tools":[],"nextCursor":"` + c + `y","_meta":{"x":"` + strings.Repeat("z", 1<<20) + `"}}`
		}, false},
		"no list at all": {func(string) string { return `{"tools":7}` }, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mcp.List(t.Context(), http.DefaultClient, scripted(t, tc.answer), nil)
			var le *mcp.ListError
			if !errors.As(err, &le) || le.Definite != tc.definite {
				t.Errorf("%v, want definite %v", err, tc.definite)
			}
		})
	}
}

func TestListTellsASilentServerFromAnotherKindOfServer(t *testing.T) {
	for name, tc := range map[string]struct {
		handler  http.HandlerFunc
		definite bool
	}{
		"unauthorized": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, true},
		"not found":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, true},
		"web page":     {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, true},
		"redirect":     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://192.0.2.1/", 302) }, true},
		"broken":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, false},
		"gone":         {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tc.handler)
			defer s.Close()
			_, err := mcp.List(t.Context(), http.DefaultClient, s.URL, nil)
			var le *mcp.ListError
			if !errors.As(err, &le) || le.Definite != tc.definite {
				t.Errorf("%v, want definite %v", err, tc.definite)
			}
		})
	}
}

// scripted is a server that answers tools/list with whatever it is told.
func scripted(t *testing.T, answer func(cursor string) string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct{ Cursor string }
		}
		_ = json.NewDecoder(r.Body).Decode(&m)
		w.Header().Set("Content-Type", "application/json")
		switch m.Method {
		case "initialize":
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}}`, m.ID)
		case "tools/list":
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, answer(m.Params.Cursor))
		case "notifications/initialized":
			w.WriteHeader(202)
		default:
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}`, m.ID)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}
