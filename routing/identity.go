package routing

import (
	"net/http"
	"strings"
)

// An Identity is who a token was issued to, and for what.
type Identity struct {
	Subject, Email, Username, ClientID string
	Groups, Scopes                     []string
	Pin                                string // of the tools as they were consented to; told to nobody
}

// A Caller is an Identity as MCP servers are told of it. It never changes, so
// all requests with a token may share one.
type Caller struct {
	Identity
	values [len(identityHeaders)]string
}

// identityHeaders are where MCP servers read who calls.
var identityHeaders = [...]string{
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Client-Id",
	"X-Forwarded-Groups", "X-Forwarded-Access-Scopes",
}

// NewCaller returns who as a Caller; nothing in who may change from then on.
// Characters outside printable ASCII, and the comma in a group's name, are
// percent-encoded, so no value of a header can end early or become two.
func NewCaller(who Identity) *Caller {
	return &Caller{who, [...]string{
		safe(who.Subject, ""), safe(who.Email, ""), safe(who.Username, ""), safe(who.ClientID, ""),
		join(who.Groups, ","), join(who.Scopes, " "),
	}}
}

// SetHeaders says who calls, in the headers that MCP servers read.
func (c *Caller) SetHeaders(h http.Header) {
	for i, name := range identityHeaders {
		if c.values[i] != "" {
			h[name] = c.values[i : i+1 : i+1]
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
