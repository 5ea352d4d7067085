package gateway

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"mcp-oauth2-proxy/tls"
)

// shape returns a value as Config takes it at path, with the keys of groups in
// their own spelling. What does not fit is a fault and is left out.
func (f *configFaults) shape(path string, v any, t reflect.Type) (any, bool) {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return f.duration(path, v)
	case reflect.TypeFor[netip.Prefix]():
		return f.network(path, v)
	}
	switch t.Kind() {
	case reflect.Struct:
		return f.group(path, v, t)
	case reflect.Slice:
		return f.list(path, v, t)
	case reflect.Int, reflect.Int64:
		if n, ok := v.(int); ok {
			return n, true
		}
		return f.unfit(path, v, "a whole number")
	case reflect.Float64:
		switch n := v.(type) {
		case float64:
			return n, true
		case int:
			return float64(n), true
		}
		return f.unfit(path, v, "a number")
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			return b, true
		}
		return f.unfit(path, v, "true or false")
	}
	if s, ok := v.(string); ok {
		return s, true
	}
	return f.unfit(path, v, "a text")
}

func (f *configFaults) group(path string, v any, t reflect.Type) (any, bool) {
	in, ok := v.(map[string]any)
	if odd, isMap := v.(map[any]any); isMap { // YAML's keys may be numbers
		in, ok = map[string]any{}, true
		for name, value := range odd {
			in[fmt.Sprint(name)] = value
		}
	}
	if !ok {
		return f.unfit(path, v, "keys below it")
	}
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		at := joinKey(path, name)
		key, known := findKey(t, name)
		if !known {
			f.refuse(at, "is not a key%s%s", nearestKey(at, t), f.from)
			continue
		}
		if in[name] == nil {
			continue
		}
		if value, ok := f.shape(joinKey(path, key.name), in[name], key.typ); ok {
			out[key.name] = value
		}
	}
	return out, true
}

func (f *configFaults) list(path string, v any, t reflect.Type) (any, bool) {
	if _, single := v.(map[string]any); single && t == reflect.TypeFor[[]tls.Pair]() {
		pair, ok := f.group(path, v, t.Elem())
		return []any{pair}, ok
	}
	in, ok := v.([]any)
	if !ok {
		return f.unfit(path, v, "a list")
	}
	out := make([]any, 0, len(in))
	for i, one := range in {
		value, ok := f.shape(indexKey(path, i), one, t.Elem())
		if !ok {
			value = f.placeholder(indexKey(path, i), t.Elem())
		}
		out = append(out, value)
	}
	return out, true
}

// placeholder stands for an entry that was refused, so that those behind it
// keep their index.
func (f *configFaults) placeholder(path string, t reflect.Type) any {
	f.unknown = append(f.unknown, path+".")
	if isGroup(t) {
		return map[string]any{}
	}
	return reflect.Zero(t).Interface()
}

func indexKey(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func (f *configFaults) duration(path string, v any) (any, bool) {
	s, ok := v.(string)
	if v == 0 {
		return time.Duration(0), true
	}
	if !ok {
		return f.unfit(path, v, "a duration such as 30s, 10m or 12h")
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		f.refuse(path, "%q is not a duration such as 30s, 10m or 12h%s", s, f.from)
		return nil, false
	}
	return d, true
}

func (f *configFaults) network(path string, v any) (any, bool) {
	s, _ := v.(string)
	p, err := netip.ParsePrefix(s)
	if a, single := netip.ParseAddr(s); single == nil {
		p, err = a.Unmap().WithZone("").Prefix(a.Unmap().BitLen())
	}
	if err != nil || p.Addr().Is4In6() {
		f.refuse(path, "%q is not a network such as 10.0.0.0/8%s", s, f.from)
		return nil, false
	}
	return p.Masked(), true
}

// unfit names what is there, but never shows it: it may be a secret in the
// wrong place.
func (f *configFaults) unfit(path string, v any, want string) (any, bool) {
	is := "something else"
	switch v.(type) {
	case nil:
		is = "empty"
	case string:
		is = "a text"
	case bool:
		is = "true or false"
	case int, int64, uint64, float64:
		is = "a number"
	case []any:
		is = "a list"
	case map[string]any, map[any]any:
		is = "a group of keys"
	case time.Time:
		is = "a date"
	}
	if want == "a text" && (is == "a number" || is == "true or false" || is == "a date") {
		want += "; put it in quotes"
	}
	f.refuse(path, "is %s; it takes %s%s", is, want, f.from)
	return nil, false
}
