package routing_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/routing"
	"mcp-oauth2-proxy/routing/routingtest"
)

// A toss is a world thrown with dice: an MCP server with tools and scopes, what
// somebody consented to, and how the server has changed since.
type toss struct {
	*rand.Rand
	scopes   []routing.Scope
	tools    map[string]string // name → description, as it is now
	then     map[string]string // of the tools behind the granted scopes, at the consent
	granted  []string
	limits   []routing.Limit
	pinned   bool
	deny     bool
	known    map[string]map[string]string // what pins stand for
	arrivals [][]byte
	server   *routingtest.Server
	route    *front
	clock    clock
}

var (
	diceTools  = []string{"a", "b", "c", "Del", "del_2", "é", "tools/call"}
	diceScopes = []string{"s1", "s2", "s3"}
	diceValues = []string{"me", "me/", "me/x", "me/../x", "you"}
)

func (d *toss) some(from []string) []string {
	out := []string{}
	for _, s := range from {
		if d.IntN(2) == 0 {
			out = append(out, s)
		}
	}
	return out
}

func (d *toss) one(from []string) string { return from[d.IntN(len(from))] }

// Pinned implements routing.Pins.
func (d *toss) Pinned(_ context.Context, pin string) (map[string]string, error) {
	return d.known[pin], nil
}

// throw makes a world.
func throw(t *testing.T, seed uint64) *toss {
	d := &toss{Rand: rand.New(rand.NewPCG(seed, 7)), tools: map[string]string{}, then: map[string]string{}, known: map[string]map[string]string{}}
	d.pinned, d.deny = d.IntN(2) == 0, d.IntN(2) == 0
	d.server = routingtest.New(t, routingtest.Options{Era: routingtest.Modern, Scopes: []routingtest.Scope{}, Before: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Probe") == "" {
			return false
		}
		body, _ := io.ReadAll(r.Body)
		d.arrivals = append(d.arrivals, body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{}`)
		return true
	}})
	for _, name := range d.some(diceTools) {
		d.tool(name, "first")
	}
	d.remap()
	unscoped := "allow"
	if d.deny {
		unscoped = "deny"
	}
	d.route = newFront(t, routing.Config{Endpoint: parse(t, d.server.URL), EnforceScopes: true, PinTools: d.pinned, UnscopedTools: unscoped}, d.clock.set, func(o *routing.Options) { o.Pins = d })
	d.consent(t)
	d.change()
	d.clock.forward(2 * time.Minute)
	return d
}

func (d *toss) tool(name, description string) {
	d.tools[name] = description
	d.server.AddTool(routingtest.Tool{Name: name, Description: description, Schema: map[string]any{"type": "object", "properties": map[string]any{"p": map[string]any{"type": "string"}}}})
}

// remap declares scopes: at least one, for without any nothing is held to them.
func (d *toss) remap() {
	d.scopes = nil
	var told []routingtest.Scope
	for _, name := range append(d.some(diceScopes[1:]), diceScopes[0]) {
		s := routing.Scope{Name: name, Tools: d.some(diceTools)}
		d.scopes, told = append(d.scopes, s), append(told, routingtest.Scope(s))
	}
	d.server.SetScopes(told...)
}

// consent grants some of the scopes, as things are now.
func (d *toss) consent(t *testing.T) {
	c := d.route.route.Catalogue(t.Context())
	d.granted = d.some(diceScopes)
	for _, s := range d.scopes {
		if slices.Contains(d.granted, s.Name) {
			for _, tool := range s.Tools {
				d.then[tool] = d.tools[tool]
			}
		}
	}
	caller := routing.NewCaller(routing.Identity{Subject: "s", Scopes: d.granted, Pin: c.Pin(d.granted)})
	digests := map[string]string{}
	for _, tool := range c.Covered(d.granted) {
		digests[tool.Name] = tool.Digest
	}
	d.known[caller.Pin] = digests
	if d.IntN(2) == 0 {
		d.limits = []routing.Limit{{Tool: d.one(diceTools), Argument: "p", Value: d.one(diceValues[:3])}}
	}
	d.route.caller = caller
	d.route.limits = d.limits
}

// change lets the server become another.
func (d *toss) change() {
	for range d.IntN(3) {
		switch name := d.one(diceTools); d.IntN(3) {
		case 0:
			d.tool(name, "second")
		case 1:
			delete(d.tools, name)
			d.server.RemoveTool(name)
		default:
			d.remap()
		}
	}
}

// allows is the rule in other words than those of the product.
func (d *toss) allows(tool, p string, hasP bool) bool {
	name := tool
	for _, known := range diceTools {
		if strings.EqualFold(known, strings.TrimSpace(tool)) {
			name = known
		}
	}
	covered, granted := false, false
	for _, s := range d.scopes {
		if slices.Contains(s.Tools, name) {
			covered = true
			granted = granted || slices.Contains(d.granted, s.Name)
		}
	}
	if covered && !granted || !covered && d.deny {
		return false
	}
	before, consented := d.then[name]
	if d.pinned && (consented && before != d.tools[name] || !consented && covered) {
		return false
	}
	for _, l := range d.limits {
		inside := p == l.Value || l.Value == "me/" && p == "me/x"
		if l.Tool == name && (!hasP || !inside) {
			return false
		}
	}
	return true
}

// message writes one message in any of the ways that mean the same, and says
// whether it is within the grant.
func (d *toss) message() (string, bool) {
	if d.IntN(5) == 0 {
		return d.one([]string{
			`{"jsonrpc":"2.0","method":"tools/list","id":1}`, `{"jsonrpc":"2.0","id":2,"result":{"name":"a","method":"tools/call"}}`,
			`{"method":"prompts/get","params":{"name":"Del"},"id":3}`, `{"jsonrpc":"2.0","method":"notifications/cancelled"}`,
		}), true
	}
	tool, p, hasP := d.one(diceTools), d.one(diceValues), d.IntN(3) > 0
	if d.IntN(4) == 0 {
		tool = strings.ToUpper(tool)
	}
	args := []string{`"name":"a"`, `"method":"tools/call"`}
	if hasP {
		args = append(args, d.text("p")+":"+d.text(p))
	}
	params := []string{`"name":` + d.text(tool), `"arguments":{` + d.mixed(args) + `}`, `"_meta":{"name":"b"}`}
	if d.IntN(4) == 0 {
		params = append(params, d.one([]string{`"inputResponses":{"x":{"name":"a"}}`, `"requestState":"s"`, `"task":{"ttl":60000}`}))
	}
	all := []string{`"jsonrpc":"2.0"`, `"id":7`, d.text("method") + `:"tools/call"`, d.text("params") + `:{` + d.mixed(params) + `}`}
	return " {" + d.mixed(all) + "}", d.allows(tool, p, hasP)
}

// mixed puts members in any order, with any space between.
func (d *toss) mixed(members []string) string {
	d.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return strings.Join(members, d.one([]string{",", " ,\n", "\t, "}))
}

// text writes a text with any of its letters escaped.
func (d *toss) text(s string) string {
	var b strings.Builder
	for _, r := range s {
		if d.IntN(4) == 0 {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return `"` + b.String() + `"`
}

// spoil makes a body that readers could read differently.
func (d *toss) spoil(body string) string {
	switch d.IntN(5) {
	case 0:
		return strings.Replace(body, `"jsonrpc":"2.0"`, `"jsonrpc":"2.0","Method":"tools/call"`, 1)
	case 1:
		return strings.Replace(body, `"jsonrpc":"2.0"`, `"jsonrpc":"2.0","jsonrpc":"2.0"`, 1)
	case 2:
		return body + "{}"
	case 3:
		return "\xef\xbb\xbf" + body
	}
	return body + " \xff"
}

// TestNoCallOutsideTheGrantArrives is a property: over random catalogues,
// grants, changes and messages, what reaches the server is exactly what is
// within the grant. LONG=1 throws a hundred times as often.
func TestNoCallOutsideTheGrantArrives(t *testing.T) {
	worlds := 60
	if long, _ := strconv.ParseBool(os.Getenv("LONG")); long {
		worlds *= 100
	}
	passed, refused := 0, 0
	for seed := range worlds {
		d := throw(t, uint64(seed))
		for range 25 {
			body, within := d.message()
			if d.IntN(4) == 0 {
				batch := []string{body}
				for range d.IntN(4) {
					more, ok := d.message()
					batch, within = append(batch, more), within && ok
				}
				body = "[" + strings.Join(batch, ",") + "]"
			}
			want := http.StatusOK
			if !within {
				want = http.StatusForbidden
			}
			if spoilt := d.spoil(body); d.IntN(5) == 0 && spoilt != body {
				body, within, want = spoilt, false, http.StatusBadRequest
			}
			before := len(d.arrivals)
			status, answer := d.route.post(t, body, "X-Probe", "1")
			arrived := len(d.arrivals) > before
			if arrived != within || status != want || arrived && string(d.arrivals[before]) != body {
				world, _ := json.Marshal(map[string]any{"scopes": d.scopes, "granted": d.granted, "now": d.tools, "then": d.then, "limits": d.limits, "pinned": d.pinned, "deny": d.deny})
				t.Fatalf("seed %d, %s\nin the world %s:\narrived %v, %d %s; want %v", seed, body, world, arrived, status, answer, within)
			}
			if within {
				passed++
			} else {
				refused++
			}
		}
		d.route.Close()
		d.server.Close()
	}
	t.Logf("%d requests passed, %d were refused", passed, refused)
	if passed < worlds*3 || refused < worlds*3 {
		t.Errorf("%d passed and %d refused: too few to prove anything", passed, refused)
	}
}
