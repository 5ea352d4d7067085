package mcp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// How much of a definition is kept for showing, in bytes.
const (
	maxDescription = 8 << 10
	maxSchema      = 16 << 10
	maxAnnotations = 1 << 10
)

// define returns the digest of a tool's definition (name, description, input
// schema, annotations), and what of it is kept. Keys are sorted and spaces gone,
// so that only what says something else is another definition.
func define(t *sdk.Tool) (digest string, d Definition) {
	d = Definition{Description: t.Description, Schema: asJSON(t.InputSchema)}
	if t.Annotations != nil {
		d.Annotations = asJSON(t.Annotations)
	}
	sum := sha256.Sum256([]byte(asJSON([]string{t.Name, d.Description, d.Schema, d.Annotations})))
	d.Description, d.Schema, d.Annotations = cut(d.Description, maxDescription), cut(d.Schema, maxSchema), cut(d.Annotations, maxAnnotations)
	return base64.RawURLEncoding.EncodeToString(sum[:]), d
}

// asJSON writes what was read from JSON, with the keys of objects in order.
func asJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // people read it
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// arguments are those of a tool's input that are texts. The key "pinnable" of
// the tool's _meta, or any vendor's "…/pinnable", names those that people may
// pin.
func arguments(t *sdk.Tool) []Argument {
	schema, _ := t.InputSchema.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	marked := pinnable(t.Meta)
	var out []Argument
	for name, p := range properties {
		property, _ := p.(map[string]any)
		choices, texts := textEnum(property)
		if kind, _ := property["type"].(string); kind == "string" || texts {
			out = append(out, Argument{Name: name, Choices: choices, Pinnable: slices.Contains(marked, name)})
		}
	}
	slices.SortFunc(out, func(a, b Argument) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// textEnum returns the values of an enum if all of them are texts.
func textEnum(property map[string]any) ([]string, bool) {
	values, _ := property["enum"].([]any)
	var out []string
	for _, v := range values {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, len(out) > 0
}

func pinnable(meta map[string]any) []string {
	var names []string
	for key, value := range meta {
		if key != "pinnable" && !strings.HasSuffix(key, "/pinnable") {
			continue
		}
		list, _ := value.([]any)
		for _, one := range list {
			if name, ok := one.(string); ok {
				names = append(names, name)
			}
		}
	}
	return names
}
