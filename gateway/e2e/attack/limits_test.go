//go:build e2e

package attack

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"

	"mcp-oauth2-proxy/routing/routingtest"
)

// People may hold a tool to one value of an argument: the honest MCP server of
// notes lets them say in which folder a client may write.
const (
	limitedArgument = "folder"
	limitedTo       = "/inside/"
)

// limitedTool is the tool.
func limitedTool() routingtest.Tool {
	return routingtest.Tool{
		Name: "write", Pinnable: []string{limitedArgument},
		Schema: map[string]any{"type": "object", "properties": map[string]any{limitedArgument: map[string]any{"type": "string"}}},
	}
}

// oversteps calls it with what it was held to, and with what could pass for that.
func (w *world) oversteps() {
	h := pick(w, slices.DeleteFunc(w.heldAt(w.notes, w.anybody()), func(h *holding) bool {
		t := w.tokens[h.access]
		return t == nil || !t.family.limited && !w.chance(4)
	}))
	if h == nil {
		return
	}
	folder := pick(w, []string{"/inside/notes", "/inside/", "/outside", "/inside/../outside", "/inside/%2e%2e/outside", "/insider", "inside/notes", "/inside//../outside", ""})
	arguments, _ := json.Marshal(map[string]string{limitedArgument: folder})
	body := strings.Replace(callBody("write"), `"arguments":{}`, `"arguments":`+string(arguments), 1)
	if a := w.call(h.site, h.access, body); a.status == http.StatusForbidden && strings.Contains(a.body, "an argument of this tool") {
		w.said["an argument is refused"]++
	}
}

// limited: no argument is outside of what its person said, however it is read.
func (u *upstream) limited(t *tokenState, body []byte) {
	var message struct {
		Params struct{ Arguments map[string]any }
	}
	if u.site != u.w.notes || t == nil || !t.family.limited || json.Unmarshal(body, &message) != nil {
		return
	}
	folder, _ := message.Params.Arguments[limitedArgument].(string)
	plain := strings.ReplaceAll(folder, "%2e", ".")
	if !strings.HasPrefix(path.Clean(plain)+"/", limitedTo) || !strings.HasPrefix(folder, limitedTo) {
		u.breaks("no argument beyond the limits", "write was held to %s, and is called with %q", limitedTo, folder)
	}
}
