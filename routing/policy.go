package routing

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"mcp-oauth2-proxy/routing/mcp"
)

// A Call is one message of a request's body.
type Call = mcp.Call

// Granted is what a caller may do, in plain values.
type Granted struct {
	Scopes []string
	Pin    string // of the tools as they were consented to; empty: they may change
	Limits []Limit
}

// Authorize reads every message of a request and compares the tools it calls
// with what was granted, before anything goes upstream; the body is put back
// as it was. It returns nil, or *Denied, *BadMessage, *TooLarge or
// *Unavailable.
//
// Any request with a body is read where scopes are enforced, whatever its
// method, path and content type say: the MCP server may not mind them either.
func (r *Route) Authorize(ctx context.Context, req *http.Request, g Granted) error {
	if !r.Pinned {
		g.Pin = ""
	}
	if !r.Enforced || req.Body == nil || req.Body == http.NoBody {
		return nil
	}
	if g.Pin == "" && len(g.Limits) == 0 && !r.catalogue.enforces(ctx) {
		return nil
	}
	if err := readable(req.Header); err != nil {
		return err
	}
	body, err := readBody(req, r.options.MaxBody)
	if err != nil || len(body) == 0 {
		return err
	}
	calls, err := mcp.Parse(body)
	if err != nil {
		return err
	}
	if err := mcp.Agree(req.Header, calls); err != nil {
		return err
	}
	replay(req, body, calls)
	if !slices.ContainsFunc(calls, func(c Call) bool { return c.Tool != "" }) {
		return nil
	}
	j, err := r.judgeOf(ctx, g)
	if err != nil {
		return err
	}
	return j.all(calls)
}

// enforces tells whether there are scopes to hold calls to. An old copy is good
// enough to say yes; no is only said after asking.
func (k *keeper) enforces(ctx context.Context) bool {
	h := k.held.Load()
	if len(h.catalogue.Scopes) > 0 || k.route.config.ScopesSet {
		return len(h.catalogue.Scopes) > 0
	}
	h = k.current(ctx)
	return len(h.catalogue.Scopes) > 0 || !h.known
}

// rules is what calls are held to: no older than it may be, unless it was
// written by the operator and what tools are does not matter.
func (k *keeper) rules(ctx context.Context, g Granted) *held {
	if k.route.config.ScopesSet && g.Pin == "" {
		return k.held.Load()
	}
	return k.current(ctx)
}

// A judge holds calls to what was granted to one caller.
type judge struct {
	granted Granted
	index   *index
	deny    bool    // what no scope covers
	pinned  *pinned // nil: nothing has changed since the consent
}

// judgeOf compares the pin with that of the catalogue as it is now; only where
// they differ is it asked what the pin stands for.
func (r *Route) judgeOf(ctx context.Context, g Granted) (judge, error) {
	h := r.catalogue.rules(ctx, g)
	if !h.known {
		return judge{}, &Unavailable{Cause: cmp.Or[error](h.cause, errNeverAsked)}
	}
	j := judge{granted: g, index: h.index, deny: r.config.UnscopedTools == "deny" && len(h.catalogue.Scopes) > 0}
	if g.Pin == "" || g.Pin == h.index.pinOf(g.Scopes) {
		return j, nil
	}
	var err error
	if j.pinned, err = r.catalogue.pins.recall(ctx, r.options.Pins, g.Pin, r.options.Now()); err != nil {
		return judge{}, &Unavailable{Cause: err}
	}
	return j, nil
}

// all finds what the calls lack, all of it, so that one consent cures it.
func (j *judge) all(calls []Call) error {
	var first *Denied
	has := j.granted.Scopes
	for _, c := range calls {
		if c.Tool == "" {
			continue
		}
		d := j.one(c, has)
		if d == nil {
			continue
		}
		if d.Scope == "" && !d.Changed && d.Argument == "" {
			return d
		}
		if first == nil {
			first = d
		}
		if d.Scope != "" {
			has = append(slices.Clip(has), d.Scope)
		}
	}
	if first == nil {
		return nil
	}
	// Sorted, so that the same lack is always the same challenge: clients stop
	// asking when it repeats.
	first.Scope = strings.Join(slices.Compact(slices.Sorted(slices.Values(has))), " ")
	return first
}

// one judges a call; Scope is the one that is lacking.
func (j *judge) one(c Call, has []string) *Denied {
	scopes := j.index.covering(c.Tool)
	switch {
	case len(scopes) == 0 && j.deny:
		return &Denied{Tool: c.Tool, ID: c.ID}
	case len(scopes) > 0 && !slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(has, s) }):
		return &Denied{Tool: c.Tool, ID: c.ID, Scope: scopes[0]}
	case j.pinned != nil && j.pinned.changed(j.index, c.Tool, len(scopes) > 0):
		return &Denied{Tool: c.Tool, ID: c.ID, Changed: true}
	}
	if l := exceeded(j.granted.Limits, c); l != nil {
		return &Denied{Tool: c.Tool, ID: c.ID, Argument: l.Argument}
	}
	return nil
}

// Calls returns what Authorize read of a request; nil if it had no reason to.
func Calls(req *http.Request) []Call {
	if b, ok := req.Body.(*replayed); ok {
		return b.calls
	}
	return nil
}

// A Denied is a call outside of what was granted: 403. Scope is what would do,
// the granted ones included; where it is empty no scope helps, and the answer
// must not say insufficient_scope.
type Denied struct {
	Scope    string
	Tool     string
	Changed  bool            // the tool is another one than was consented to
	Argument string          // whose value is outside of what was consented to
	ID       json.RawMessage // of the message, where it has one
}
