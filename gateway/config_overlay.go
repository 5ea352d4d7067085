package gateway

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

// set puts the value of a variable into the tree.
func (f *configFaults) set(tree map[string]any, name, text string, key envKey) {
	f.from = " (in " + name + ")"
	defer func() { f.from = "" }()
	path := strings.Join(key.path, ".")
	v, ok := scalar(text, key.typ), true
	if isList(key.typ) {
		v, ok = f.inline(path, text, key.typ)
	}
	if !ok {
		return
	}
	if v, ok = f.shape(path, v, key.typ); ok {
		last := len(key.path) - 1
		parent(tree, key.path[:last])[key.path[last]] = v
	}
}

// inline reads a list: as JSON, or of texts also with commas between them.
func (f *configFaults) inline(path, text string, t reflect.Type) (any, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return []any{}, true
	}
	if !isGroup(t.Elem()) && text[0] != '[' {
		list := []any{}
		for one := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(one))
		}
		return list, true
	}
	v, err := decodeInline(text, f)
	if err != nil {
		f.refuse(path, "%w%s", err, f.from)
		return nil, false
	}
	return v, true
}

// parent is the group at path, made if it is not there. Of tls.files it is the
// first pair.
func parent(tree map[string]any, path []string) map[string]any {
	group := tree
	for _, name := range path {
		switch next := group[name].(type) {
		case map[string]any:
			group = next
		case []any:
			if len(next) == 0 {
				next = []any{map[string]any{}}
				group[name] = next
			}
			group, _ = next[0].(map[string]any)
		default:
			made := map[string]any{}
			group[name] = made
			if name == "files" {
				group[name] = []any{made}
			}
			group = made
		}
	}
	return group
}

// scalar reads the text of a variable as YAML would have given it. What is no
// bool or number stays a text, and is refused as one.
func scalar(text string, t reflect.Type) any {
	switch t.Kind() {
	case reflect.Bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case reflect.Float64:
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	case reflect.Int, reflect.Int64:
		if n, err := strconv.Atoi(text); err == nil && t != reflect.TypeFor[time.Duration]() {
			return n
		}
	}
	return text
}
