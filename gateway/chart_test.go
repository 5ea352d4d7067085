package gateway

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth"
	"mcp-oauth2-proxy/tls"

	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"
)

// chart is the Helm chart, whose values hold a configuration of ours.
const chart = "../deploy/helm/mcp-oauth2-proxy/"

var updateChart = flag.Bool("update-chart", false, "write our keys into the schema of the chart's values")

// TestChartSchemaHasEveryKey holds the chart to the loader: a value that the
// gateway would refuse is refused by helm, before a pod fails to start, and one
// that the gateway takes is not.
func TestChartSchemaHasEveryKey(t *testing.T) {
	path := filepath.Join(chart, "values.schema.json")
	text := readText(t, path)
	var schema map[string]any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	properties, ok := schema["properties"].(map[string]any)
	if !ok {
		t.Fatal("the schema has no properties")
	}
	maps.Copy(properties, groupSchema(reflect.TypeFor[Config]())["properties"].(map[string]any))
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema); err != nil {
		t.Fatal(err)
	}
	if *updateChart {
		if err := os.WriteFile(path, want.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := readText(t, path); got != want.String() {
		t.Errorf("%s does not have the keys of Config; go test ./gateway -run TestChart -update-chart writes them", path)
	}
}

// groupSchema is the JSON Schema of a group of keys.
func groupSchema(group reflect.Type) map[string]any {
	properties := map[string]any{}
	for _, key := range configKeys(group) {
		properties[key.name] = keySchema(key.typ)
	}
	if group == reflect.TypeFor[TLSConfig]() {
		// A bare off is false to YAML 1.1, which helm reads.
		properties["mode"] = map[string]any{"enum": []any{"acme", "files", "selfsigned", "off", false}}
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

func keySchema(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"anyOf": []any{map[string]any{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`}, map[string]any{"const": 0}}}
	case t == reflect.TypeFor[netip.Prefix]():
		return map[string]any{"type": "string"}
	case t == reflect.TypeFor[[]tls.Pair]():
		pair := groupSchema(t.Elem())
		return map[string]any{"anyOf": []any{pair, map[string]any{"type": "array", "items": pair}}}
	case isList(t):
		return map[string]any{"type": "array", "items": keySchema(t.Elem())}
	case isGroup(t):
		return groupSchema(t)
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		return map[string]any{"type": "integer"}
	}
	return map[string]any{"type": "string"}
}

// TestChartSchemaFitsValues: what values.yaml has, the schema knows, and what is
// the chart's own in the schema has a default in values.yaml.
func TestChartSchemaFitsValues(t *testing.T) {
	var schema struct{ Properties map[string]any }
	if err := json.Unmarshal([]byte(readText(t, chart+"values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	values := chartValues(t)
	for name := range values {
		if schema.Properties[name] == nil {
			t.Errorf("values.schema.json does not know %s", name)
		}
	}
	for name := range schema.Properties {
		if _, ours := findKey(reflect.TypeFor[Config](), name); !ours && values[name] == nil && name != "global" {
			t.Errorf("values.yaml has no default of %s", name)
		}
	}
}

// TestChartDocumentsEveryValue: the README names each value that there is.
func TestChartDocumentsEveryValue(t *testing.T) {
	readme := readText(t, chart+"README.md")
	// Of these, Kubernetes documents what is within.
	whole := []string{"startupProbe", "livenessProbe", "readinessProbe", "podSecurityContext", "securityContext", "resources", "networkPolicy.egress.dns"}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		group, ok := v.(map[string]any)
		if !ok || len(group) == 0 || slices.Contains(whole, path) {
			if !strings.Contains(readme, "`"+path+"`") {
				t.Errorf("README.md does not say what %s is for", path)
			}
			return
		}
		for name, value := range group {
			walk(joinKey(path, name), value)
		}
	}
	walk("", chartValues(t))
}

// TestChartSendsOurPathsHere: where an Ingress sends calls to MCP servers itself,
// everything that the gateway answers still comes to the gateway.
func TestChartSendsOurPathsHere(t *testing.T) {
	_, list, _ := strings.Cut(readText(t, chart+"templates/_helpers.tpl"), `define "mcp-oauth2-proxy.ownPaths"`)
	list, _, _ = strings.Cut(list, "end }}")
	var sent []string
	for _, m := range regexp.MustCompile(`(?m)^  - (/\S+)$`).FindAllStringSubmatch(list, -1) {
		sent = append(sent, m[1])
	}
	for _, path := range sent {
		if path != forwardAuthPath && !auth.Owns(path) {
			t.Errorf("the chart sends %s to the gateway, which does not answer it", path)
		}
	}
	router := echo.New()
	(&auth.Server{}).Mount(router.Group(""))
	for _, route := range append(router.Routes(), &echo.Route{Path: forwardAuthPath}) {
		if !slices.ContainsFunc(sent, func(prefix string) bool {
			return route.Path == prefix || strings.HasPrefix(route.Path, prefix+"/")
		}) {
			t.Errorf("the chart does not send %s to the gateway", route.Path)
		}
	}
}

func chartValues(t *testing.T) map[string]any {
	t.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(readText(t, chart+"values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
