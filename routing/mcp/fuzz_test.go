package mcp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing/mcp"
)

// A reading is what some parser takes a body for: the tools it would call.
type reading func(body []byte) (tools []string, ok bool)

// readings are parsers as MCP servers use them.
var readings = map[string]reading{
	"encoding/json":                    byStruct,
	"the first key wins":               byTree(true, false),
	"the last key wins":                byTree(false, false),
	"the first key wins, in any case":  byTree(true, true),
	"the last key wins, in any case":   byTree(false, true),
	"without minding what follows":     byDecoder,
	"with invalid UTF-8 replaced":      func(b []byte) ([]string, bool) { return byTree(false, false)(bytes.ToValidUTF8(b, []byte("?"))) },
	"with text cut at NUL":             byTreeCut,
	"with a byte order mark taken off": func(b []byte) ([]string, bool) { return byStruct(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))) },
}

func FuzzWhatWeReadIsWhatEverybodyReads(f *testing.F) {
	for _, tc := range readable {
		if len(tc.body) < 5000 {
			f.Add([]byte(tc.body))
		}
	}
	for _, body := range ambiguous {
		if len(body) < 5000 {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		calls, err := mcp.Parse(body)
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
		if err != nil {
			return // refused
		}
		ours := []string{}
		for _, c := range calls {
			if c.Tool != "" {
				ours = append(ours, c.Tool)
			}
		}
		for name, read := range readings {
			if theirs, ok := read(body); ok && !slices.Equal(ours, theirs) {
				t.Errorf("%q: we read %q, %s %q", body, ours, name, theirs)
			}
		}
		if !json.Valid(body) {
			t.Errorf("%q is not JSON", body)
		}
	})
}

// FuzzAnArgumentIsWhatEverybodyReads: where we say that an argument has a text,
// every parser that reads the call says so too.
func FuzzAnArgumentIsWhatEverybodyReads(f *testing.F) {
	for _, args := range []string{
		`{"path":"a/b"}`, `{"p\u0061th":"a\/b","other":{"path":"x"}}`, `{"path":"a","Path":"b"}`, `{"path":"a","\u212aath":1}`,
		`{"path":["a"]}`, `{"path":"\ud800"}`, `{"path":"\ud83d\ude00"}`, `{"path":"a\u0000b"}`, `[]`, `{"path":null}`, `{"PATH ":"x","path":"y"}`,
	} {
		f.Add([]byte(`{"method":"tools/call","params":{"name":"t","arguments":` + args + `}}`))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		calls, err := mcp.Parse(body)
		if err != nil || len(calls) != 1 || calls[0].Tool == "" {
			return
		}
		ours, ok := mcp.TextOf(calls[0].Arguments, "path")
		if !ok {
			return
		}
		for _, first := range []bool{true, false} {
			for _, anyCase := range []bool{true, false} {
				for _, cut := range []bool{true, false} {
					theirs := argument(body, first, anyCase, cut)
					if theirs != any(ours) {
						t.Errorf("%q: we read %q, others %v (first %v, any case %v, cut %v)", body, ours, theirs, first, anyCase, cut)
					}
				}
			}
		}
		var byStruct struct {
			Params struct {
				Arguments struct {
					Path string `json:"path"`
				} `json:"arguments"`
			} `json:"params"`
		}
		if err := json.Unmarshal(body, &byStruct); err != nil || byStruct.Params.Arguments.Path != ours {
			t.Errorf("%q: we read %q, encoding/json %q %v", body, ours, byStruct.Params.Arguments.Path, err)
		}
	})
}

// argument is how a parser reads the argument "path" of a call.
func argument(body []byte, first, anyCase, cut bool) any {
	v, err := tree(json.NewDecoder(bytes.NewReader(body)), func(s string) string {
		if cut {
			s, _, _ = strings.Cut(s, "\x00")
		}
		return s
	})
	m, _ := v.(pairs)
	if err != nil {
		return err
	}
	params, _ := m.find("params", first, anyCase).(pairs)
	args, _ := params.find("arguments", first, anyCase).(pairs)
	return args.find("path", first, anyCase)
}

type message struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

func byStruct(body []byte) ([]string, bool) {
	var batch []message
	if err := json.Unmarshal(body, &batch); err != nil {
		var one message
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, false
		}
		batch = []message{one}
	}
	return toolsOf(batch)
}

func byDecoder(body []byte) ([]string, bool) {
	var one message
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&one); err != nil {
		return nil, false
	}
	return toolsOf([]message{one})
}

func toolsOf(batch []message) ([]string, bool) {
	tools := []string{}
	for _, m := range batch {
		if m.Method != "tools/call" {
			continue
		}
		var p struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(m.Params, &p); err != nil {
			return nil, false
		}
		tools = append(tools, p.Name)
	}
	return tools, true
}

// pairs is an object with all its members, in order.
type pairs []struct {
	key   string
	value any
}

func (p pairs) find(name string, first, anyCase bool) any {
	var found any
	for _, m := range p {
		if m.key == name || anyCase && strings.EqualFold(m.key, name) {
			found = m.value
			if first {
				break
			}
		}
	}
	return found
}

func byTree(first, anyCase bool) reading {
	return func(body []byte) ([]string, bool) {
		v, err := tree(json.NewDecoder(bytes.NewReader(body)), func(s string) string { return s })
		if err != nil {
			return nil, false
		}
		return called(v, first, anyCase)
	}
}

func byTreeCut(body []byte) ([]string, bool) {
	v, err := tree(json.NewDecoder(bytes.NewReader(body)), func(s string) string {
		s, _, _ = strings.Cut(s, "\x00")
		return s
	})
	if err != nil {
		return nil, false
	}
	return called(v, true, false)
}

func called(v any, first, anyCase bool) ([]string, bool) {
	batch, ok := v.([]any)
	if !ok {
		batch = []any{v}
	}
	tools := []string{}
	for _, e := range batch {
		m, ok := e.(pairs)
		if !ok {
			return nil, false
		}
		if m.find("method", first, anyCase) != "tools/call" {
			continue
		}
		params, _ := m.find("params", first, anyCase).(pairs)
		name, _ := params.find("name", first, anyCase).(string)
		tools = append(tools, name)
	}
	return tools, true
}

func tree(d *json.Decoder, text func(string) string) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return object(d, text)
		}
		if t == '[' {
			return list(d, text)
		}
		return nil, fmt.Errorf("unexpected %v", t)
	case string:
		return text(t), nil
	}
	return t, nil
}

func object(d *json.Decoder, text func(string) string) (any, error) {
	p := pairs{}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := tree(d, text)
		if err != nil {
			return nil, err
		}
		key, _ := k.(string)
		p = append(p, struct {
			key   string
			value any
		}{text(key), v})
	}
	_, err := d.Token()
	return p, err
}

func list(d *json.Decoder, text func(string) string) (any, error) {
	l := []any{}
	for d.More() {
		v, err := tree(d, text)
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	_, err := d.Token()
	return l, err
}
