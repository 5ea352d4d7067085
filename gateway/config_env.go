package gateway

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"mcp-oauth2-proxy/tls"
)

const (
	envPrefix   = "MCP_OAUTH2_PROXY_"
	logLevelEnv = "LOG_LEVEL"
)

// serviceLink is what Kubernetes and Docker set for a service that is named as
// this program.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// An envKey is a key that a variable can set.
type envKey struct {
	path []string
	typ  reflect.Type
}

// envKeys are the variables there are: one for each key that is not a group
// and not within a list. The one pair of tls.files is a group too.
func envKeys() map[string]envKey {
	keys := map[string]envKey{}
	var walk func(path []string, group reflect.Type)
	walk = func(path []string, group reflect.Type) {
		for _, key := range configKeys(group) {
			at := append(slices.Clone(path), key.name)
			if isGroup(key.typ) {
				walk(at, key.typ)
				continue
			}
			if key.typ == reflect.TypeFor[[]tls.Pair]() {
				walk(at, key.typ.Elem())
			}
			keys[envPrefix+strings.ToUpper(strings.Join(at, "_"))] = envKey{at, key.typ}
		}
	}
	walk(nil, reflect.TypeFor[Config]())
	return keys
}

// variables turns an environment into a map.
func variables(environ []string) map[string]string {
	env := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	return env
}

// ours are the variables that are meant for us.
func ours(env map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		link := serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(env[name], "://")
		if strings.HasPrefix(name, envPrefix) && name != configVariable && !link {
			names = append(names, name)
		}
	}
	return names
}

func overrides(env map[string]string) bool { return len(ours(env)) > 0 }

// overlay puts what the environment says over the tree.
func overlay(tree map[string]any, env map[string]string, f *configFaults) {
	keys := envKeys()
	if level := env[logLevelEnv]; level != "" {
		f.set(tree, logLevelEnv, level, keys[envPrefix+"LOGGING_LEVEL"])
	}
	for _, name := range ours(env) {
		key, ok := keys[name]
		if !ok {
			f.add("%s: is not the variable of a key%s", name, nearestVariable(name, keys))
			continue
		}
		f.set(tree, name, env[name], key)
	}
}
