package gateway

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const exampleFile = "../config.example.yaml"

func TestExampleLoads(t *testing.T) {
	text := read(t, exampleFile)
	wantFaults(t, faultsOf(t, text), "tls.acme.acceptTOS: must be true")
	c := loads(t, strings.Replace(text, "acceptTOS: false", "acceptTOS: true", 1))
	if w := c.Warnings(); len(w) > 0 {
		t.Errorf("it warns: %v", w)
	}
}

// inUse turns the keys of an example that are not in use into keys that are.
func inUse(text string) string {
	return regexp.MustCompile(`(?m)^( *)#((?:  +(?:- )?)?[A-Za-z]+:)`).ReplaceAllString(text, "$1$2")
}

func TestExampleHasEveryKey(t *testing.T) {
	f := &configFaults{blind: map[string]bool{}}
	tree, ok := readYAML([]byte(inUse(dropEmptyLists(read(t, exampleFile)))), f)
	if !ok || len(f.lines) > 0 {
		t.Fatalf("with every key in use: %v", f.lines)
	}
	given := givenKeys(tree)
	missing := 0
	eachKey("", reflect.TypeFor[Config](), func(path string, _ configKey) {
		if path = strings.ReplaceAll(path, "[]", ""); !given[path] && !strings.HasPrefix(path, "providers.") {
			t.Errorf("%s is not in the example", path)
			missing++
		}
	})
	if len(given) < 90 && missing == 0 {
		t.Errorf("there are %d keys only", len(given))
	}
}

// dropEmptyLists removes the default of a list that an example follows.
func dropEmptyLists(text string) string {
	return regexp.MustCompile(`(?m)^( *)([A-Za-z]+): \[\]\n( *#)([A-Za-z]+):`).ReplaceAllStringFunc(text, func(s string) string {
		_, rest, _ := strings.Cut(s, "\n")
		return rest
	})
}

func TestExampleShowsTheDefaults(t *testing.T) {
	f := &configFaults{blind: map[string]bool{}}
	tree, _ := readYAML([]byte(read(t, exampleFile)), f)
	defaults := configDefaults()
	for name, value := range hostDefaults() {
		defaults["proxy.hosts."+name] = value
	}
	required := []string{
		"provider.name", "provider.id", "provider.displayName", "provider.clientID", "provider.clientSecret", "provider.groupsClaim",
		"provider.allowedEmailDomains", "proxy.hosts.host", "proxy.hosts.endpoint", "proxy.hosts.name", "tls.mode",
	}
	shown := leaves("", tree)
	for path, value := range shown {
		want, ok := defaults[path]
		switch {
		case slices.Contains(required, path):
		case ok && value != want:
			t.Errorf("%s is %v in the example, and %v if it is left out", path, value, want)
		case !ok && !isZero(value):
			t.Errorf("%s is %v in the example, and nothing if it is left out", path, value)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(defaults)) {
		if _, ok := shown[path]; !ok {
			t.Errorf("the example does not show the default of %s", path)
		}
	}
}

func leaves(path string, v any) map[string]any {
	out := map[string]any{}
	switch v := v.(type) {
	case map[string]any:
		for name, one := range v {
			maps.Copy(out, leaves(joinKey(path, name), one))
		}
	case []any:
		for _, one := range v {
			maps.Copy(out, leaves(path, one))
		}
		if len(v) == 0 {
			out[path] = ""
		}
	default:
		out[path] = v
	}
	return out
}

func isZero(v any) bool {
	switch v := v.(type) {
	case string:
		return v == ""
	case bool:
		return !v
	case int:
		return v == 0
	case time.Duration:
		return v == 0
	}
	return false
}
