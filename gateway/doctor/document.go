package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A document is a metadata document, as it was served.
type document struct {
	at     string // its URL
	fields map[string]any
}

// readDocument reads one; the error says why it is none.
func readDocument(a *answer) (*document, error) {
	switch {
	case a.err != nil:
		return nil, a.err
	case a.status != http.StatusOK:
		return nil, errors.New(a.String())
	}
	d := &document{at: a.url.String()}
	if err := json.Unmarshal(a.body, &d.fields); err != nil || d.fields == nil {
		if mediaType(a.header) == "text/html" {
			return nil, errors.New(a.String())
		}
		return nil, errors.New("200, but not a JSON object")
	}
	return d, nil
}

// text is a member that is a string; empty if it is not there.
func (d *document) text(name string) string {
	s, _ := d.fields[name].(string)
	return s
}

func (d *document) flag(name string) bool {
	b, _ := d.fields[name].(bool)
	return b
}

// has says whether a member is there at all.
func (d *document) has(name string) bool {
	_, there := d.fields[name]
	return there
}

// list is a member that is an array of strings.
func (d *document) list(name string) []string {
	all, _ := d.fields[name].([]any)
	var list []string
	for _, v := range all {
		if s, ok := v.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// strictly refuses what clients with a schema refuse: a required member that
// is missing, a known one that is null or of another type.
func (d *document) strictly(texts, urls, lists []string, requiredMembers ...string) error {
	for _, name := range requiredMembers {
		if !d.has(name) {
			return fmt.Errorf("%s is missing", name)
		}
	}
	for _, name := range slices.Concat(texts, urls) {
		if _, isText := d.fields[name].(string); d.has(name) && !isText {
			return fmt.Errorf("%s is not a string", name)
		}
	}
	for _, name := range urls {
		if u, err := url.Parse(d.text(name)); d.has(name) && (err != nil || u.Scheme == "") {
			return fmt.Errorf("%s is not a URL", name)
		}
	}
	for _, name := range lists {
		if all, isList := d.fields[name].([]any); d.has(name) && (!isList || len(d.list(name)) != len(all)) {
			return fmt.Errorf("%s is not an array of strings", name)
		}
	}
	return nil
}

// wellKnown is where the protected resource metadata of a path has its place
// (RFC 9728 §3.1).
func (s *site) wellKnown(path string) string {
	return s.origin() + "/.well-known/oauth-protected-resource" + path
}

// scopesOf are the scopes that a document lists.
func scopesOf(d *document) string {
	if d == nil {
		return ""
	}
	return strings.Join(d.list("scopes_supported"), " ")
}
