package access

import (
	"errors"
	"net/http"
	"strings"
)

// Bearer errors.
var (
	// ErrNoToken says that the request carries no access token.
	ErrNoToken = errors.New("no access token")
	// ErrMalformed says that the Authorization header cannot be read.
	ErrMalformed = errors.New("the Authorization header is not one bearer token")
)

// Bearer returns the access token of a request: the one Authorization header,
// never the query, a body or a cookie (RFC 6750 §2.1, OAuth 2.1 §5.1).
func Bearer(h http.Header) (string, error) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", ErrNoToken
	}
	if len(values) > 1 {
		return "", ErrMalformed
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken // another scheme: no bearer token was shown
	}
	token = strings.Trim(token, " ")
	if token == "" {
		return "", ErrMalformed
	}
	for i := range len(token) {
		if !token68[token[i]] {
			return "", ErrMalformed
		}
	}
	return token, nil
}

// token68 are the bytes that RFC 9110 §11.2 allows in a token.
var token68 = func() (allowed [256]bool) {
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=" {
		allowed[c] = true
	}
	return allowed
}()

// Challenge tells a client what to get (RFC 6750 §3, RFC 9728 §5.1). The zero
// value of a field leaves its parameter out.
type Challenge struct {
	Realm            string
	Error            string
	Description      string
	ResourceMetadata string
	Scope            string
}

// String is the value of WWW-Authenticate: one Bearer challenge, every
// parameter quoted, because real clients read it with a regular expression.
func (c Challenge) String() string {
	var params []string
	for _, p := range [...][2]string{
		{"realm", c.Realm}, {"error", c.Error}, {"error_description", c.Description},
		{"resource_metadata", c.ResourceMetadata}, {"scope", c.Scope},
	} {
		if p[1] != "" {
			params = append(params, p[0]+`="`+quotable(p[1])+`"`)
		}
	}
	return strings.TrimSpace("Bearer " + strings.Join(params, ", "))
}

// quotable drops what RFC 6750 §3 does not allow in a quoted parameter.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
}
