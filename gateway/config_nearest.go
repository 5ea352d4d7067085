package gateway

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// nearestKey suggests what a key that is none was meant to be: one beside it
// that is spelled alike, or one of that name elsewhere.
func nearestKey(at string, group reflect.Type) string {
	name := at[strings.LastIndexByte(at, '.')+1:]
	best, least := "", 1+len(name)/3
	for _, key := range configKeys(group) {
		if d := distance(strings.ToLower(name), strings.ToLower(key.name)); d <= least {
			best, least = key.name, d-1
		}
	}
	if best != "" {
		return fmt.Sprintf("; the nearest is %s", best)
	}
	eachKey("", reflect.TypeFor[Config](), func(path string, key configKey) {
		if best == "" && strings.EqualFold(key.name, name) {
			best = path
		}
	})
	if best != "" {
		return fmt.Sprintf(" here; there is %s", best)
	}
	return ""
}

// nearestVariable does the same for a variable.
func nearestVariable(name string, keys map[string]envKey) string {
	best, least := "", 4
	for _, candidate := range slices.Sorted(maps.Keys(keys)) {
		if d := distance(strings.TrimPrefix(name, envPrefix), strings.TrimPrefix(candidate, envPrefix)); d < least {
			best, least = "; the nearest is "+candidate, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return math.MaxInt
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
