package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// configFaults is everything that is wrong with a configuration.
type configFaults struct {
	path  string
	lines []string
	blind map[string]bool // keys whose value was refused: what else is wrong with them is not known
	from  string          // which variable is being read, for the texts

	unknown []string // prefixes of the keys of entries that were refused
}

// add takes a fault that begins with its key. A text is one line.
func (f *configFaults) add(format string, args ...any) {
	line := strings.Join(strings.Fields(fmt.Errorf(format, args...).Error()), " ")
	key, _, _ := strings.Cut(line, ": ")
	below := func(prefix string) bool { return strings.HasPrefix(key, prefix) }
	if f.blind[key] || slices.ContainsFunc(f.unknown, below) || slices.Contains(f.lines, line) {
		return
	}
	f.lines = append(f.lines, line)
}

// refuse adds the fault of a key whose value is not taken.
func (f *configFaults) refuse(key, format string, args ...any) {
	if key == "" { // the whole file
		f.add(format, args...)
		return
	}
	f.add("%s: %w", key, fmt.Errorf(format, args...))
	f.blind[key] = true
}

// addAll takes the faults of a part, each of which may hold several lines.
func (f *configFaults) addAll(prefix string, faults ...error) {
	for _, err := range faults {
		if err == nil {
			continue
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			f.add("%s%s", prefix, line)
		}
	}
}

// oneOf refuses what is not one of the values.
func (f *configFaults) oneOf(key, value string, values ...string) {
	if !slices.Contains(values, value) {
		f.add("%s: %q is not one of %s", key, value, strings.Join(values, ", "))
	}
}

// Error begins with the file and has one line for each fault.
func (f *configFaults) Error() string {
	return "gateway: " + f.path + ":\n" + strings.Join(f.lines, "\n")
}
