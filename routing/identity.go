package routing

import (
	"net/http"
	"strings"
)

// A Caller is who a token was issued to, and for what.
type Caller struct {
	Subject, Email, Username, ClientID string
	Groups, Scopes                     []string
	Pin                                string // of the tools as they were consented to; told to nobody
}

// SetHeaders says who calls, in the headers that MCP servers read. Characters
// outside printable ASCII, and the comma in a group's name, are
// percent-encoded, so no value can end early or become two.
func (c *Caller) SetHeaders(h http.Header) {
	values := [...]string{
		safe(c.Subject, ""), safe(c.Email, ""), safe(c.Username, ""), safe(c.ClientID, ""),
		join(c.Groups, ","), join(c.Scopes, " "),
	}
	all := values[:] // one array for all: this is done for every call
	for i, name := range [...]string{
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Client-Id",
		"X-Forwarded-Groups", "X-Forwarded-Access-Scopes",
	} {
		if all[i] != "" {
			h[name] = all[i : i+1 : i+1]
		}
	}
}

func join(values []string, sep string) string {
	if len(values) == 1 {
		return safe(values[0], sep)
	}
	safed := make([]string, 0, len(values))
	for _, v := range values {
		if v != "" {
			safed = append(safed, safe(v, sep))
		}
	}
	return strings.Join(safed, sep)
}

// safe percent-encodes what a header, or a list with that separator, cannot
// carry. The percent sign itself is encoded too, so that there is one reading.
func safe(v, sep string) string {
	if !strings.ContainsFunc(v, func(c rune) bool { return unsafe(c, sep) }) && strings.TrimSpace(v) == v {
		return v
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(v) {
		edge := v[i] == ' ' && (i == 0 || i == len(v)-1)
		if edge || unsafe(rune(v[i]), sep) {
			b.Write([]byte{'%', hex[v[i]>>4], hex[v[i]&15]})
			continue
		}
		b.WriteByte(v[i])
	}
	return b.String()
}

func unsafe(c rune, sep string) bool {
	return c < ' ' || c >= 0x7f || c == '%' || (sep != "" && c == rune(sep[0]))
}
