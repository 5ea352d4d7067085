package gateway

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// configSecrets are the keys that are secrets wherever they stand, and key sets,
// which are no secret but come as files too. Each can be given as <key>File as
// well, the path of a file that holds it.
var configSecrets = [...]string{"clientSecret", "passwordHash", "authorization", "value", "eabMACKey", "jwks", "url"}

// A configKey is one key of a group, as the fields of Config make it.
type configKey struct {
	name string
	typ  reflect.Type
	file string // for <key>File: the key
}

// configKeys are the keys of a group, in the order of the fields.
func configKeys(group reflect.Type) []configKey {
	var keys []configKey
	for i := range group.NumField() {
		field := group.Field(i)
		if !field.IsExported() {
			continue
		}
		key := configKey{name: keyName(field), typ: field.Type}
		keys = append(keys, key)
		if slices.Contains(configSecrets[:], key.name) {
			keys = append(keys, configKey{name: key.name + "File", typ: field.Type, file: key.name})
		}
	}
	return keys
}

// findKey finds a key however its letters are cased: viper folds them.
func findKey(group reflect.Type, name string) (configKey, bool) {
	for _, key := range configKeys(group) {
		if strings.EqualFold(key.name, name) {
			return key, true
		}
	}
	return configKey{}, false
}

// keyName is the field's name with its first word in lower case: HTTPAddr is
// httpAddr, TLS is tls.
func keyName(field reflect.StructField) string {
	if tag := field.Tag.Get("mapstructure"); tag != "" {
		return tag
	}
	name := []rune(field.Name)
	for i := range name {
		if unicode.IsLower(name[i]) {
			break
		}
		if i > 0 && i+1 < len(name) && unicode.IsLower(name[i+1]) {
			break
		}
		name[i] = unicode.ToLower(name[i])
	}
	return string(name)
}

// eachKey calls fn for every key there can be, groups before what is in them.
// Within lists the path has [] for the index.
func eachKey(path string, t reflect.Type, fn func(path string, key configKey)) {
	for _, key := range configKeys(t) {
		at := joinKey(path, key.name)
		fn(at, key)
		switch {
		case isList(key.typ) && isGroup(key.typ.Elem()):
			eachKey(at+"[]", key.typ.Elem(), fn)
		case isGroup(key.typ):
			eachKey(at, key.typ, fn)
		}
	}
}

// isGroup says whether a key holds other keys.
func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[netip.Prefix]()
}

func isList(t reflect.Type) bool { return t.Kind() == reflect.Slice }

func joinKey(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// givenKeys are the keys in a tree, groups included, without the indexes of
// lists.
func givenKeys(tree map[string]any) map[string]bool {
	given := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				at := joinKey(path, name)
				given[at] = true
				walk(at, v[name])
			}
		case []any:
			for _, one := range v {
				walk(path, one)
			}
		}
	}
	walk("", tree)
	return given
}
