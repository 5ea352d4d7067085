package web

import (
	"bytes"
	"encoding/json"
	"strings"
)

// short is the server's name as commands and configuration files want it.
func (c Connect) short() string {
	var b strings.Builder
	for _, r := range strings.ToLower(line(40, c.Server)) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	if short := strings.Trim(b.String(), "-"); short != "" {
		return short
	}
	return "mcp"
}

// address is the URL, harmless inside the quotes of a shell.
func (c Connect) address() string {
	return strings.NewReplacer("'", "%27", `"`, "%22", "`", "%60", "$", "%24", `\`, "%5C", " ", "%20").Replace(line(500, c.URL))
}

// claudeCode is the command that adds the server to Claude Code.
func (c Connect) claudeCode() string {
	return "claude mcp add --transport http " + c.short() + " " + shell(c.address())
}

// vsCode is the command that adds the server to Visual Studio Code.
func (c Connect) vsCode() string {
	return "code --add-mcp '" + object(struct {
		Name string `json:"name"`
		Type string `json:"type"`
		URL  string `json:"url"`
	}{c.short(), "http", c.address()}) + "'"
}

// cursor is what Cursor's mcp.json says of the server.
func (c Connect) cursor() string {
	type server struct {
		URL string `json:"url"`
	}
	return object(map[string]map[string]server{"mcpServers": {c.short(): {c.address()}}})
}

// shell quotes what a shell would not take as one plain word.
func shell(s string) string {
	if strings.ContainsAny(s, "?&*;|<>()[]{}!#~") {
		return "'" + s + "'"
	}
	return s
}

func object(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // people copy it into a shell
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}
