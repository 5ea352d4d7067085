package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// maxDepth is deeper than any metadata and shallower than a stack.
const maxDepth = 16

var errNotObject = errors.New("not a JSON object")

// members are those of a JSON object, under exactly the names it used:
// decoding into a struct would take Client_ID for client_id.
type members map[string]json.RawMessage

// parseObject reads one JSON object and nothing after it. A member that
// appears twice, at any depth, is refused: two readers of such a text can see
// two different clients.
func parseObject(text []byte) (members, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errNotObject
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := unique(dec, 0); err != nil {
		return nil, err
	}
	var m members
	if err := json.Unmarshal(text, &m); err != nil || m == nil {
		return nil, errNotObject
	}
	return m, nil
}

// unique walks over the next value.
func unique(dec *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	token, err := dec.Token()
	if err != nil {
		return errNotObject
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := make(map[string]bool)
	for dec.More() {
		if open == '{' {
			token, err := dec.Token()
			name, _ := token.(string)
			if err != nil || seen[name] {
				return fmt.Errorf("a member appears twice: %.100q", name)
			}
			seen[name] = true
		}
		if err := unique(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// has reports whether a member is there with a value. Some serializers write
// null for what was left out.
func (m members) has(name string) bool {
	raw, ok := m[name]
	return ok && string(raw) != "null"
}

// A reader reads members one after the other and remembers the first fault.
// The faults' texts hold nothing of what was read, so a client can be shown them.
type reader struct {
	members
	err error
}

func (r *reader) fail(text string) {
	if r.err == nil {
		r.err = errors.New(text)
	}
}

// text returns a string member; "" if it is absent.
func (r *reader) text(name string) string {
	if !r.has(name) {
		return ""
	}
	var s string
	if err := json.Unmarshal(r.members[name], &s); err != nil {
		r.fail(name + " is not a string")
	}
	return s
}

// texts returns a member that is a list of strings; nil if it is absent.
func (r *reader) texts(name string) []string {
	if !r.has(name) {
		return nil
	}
	// Pointers, because a null inside the list would pass for "".
	var list []*string
	err := json.Unmarshal(r.members[name], &list)
	if err != nil || slices.Contains(list, nil) {
		r.fail(name + " is not a list of strings")
		return nil
	}
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = *s
	}
	return texts
}
