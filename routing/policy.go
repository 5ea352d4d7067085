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

// Authorize reads every message of a request and compares the tools it calls
// with the granted scopes, before anything goes upstream; the body is put back
// as it was. It returns nil, or *Denied, *BadMessage, *TooLarge or
// *Unavailable.
//
// Any request with a body is read where scopes are enforced, whatever its
// method, path and content type say: the MCP server may not mind them either.
func (r *Route) Authorize(ctx context.Context, req *http.Request, granted []string) error {
	if !r.Enforced || req.Body == nil || req.Body == http.NoBody || !r.catalogue.enforces(ctx) {
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
	return r.judge(r.catalogue.rules(ctx), calls, granted)
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
// written by the operator.
func (k *keeper) rules(ctx context.Context) *held {
	if k.route.config.ScopesSet {
		return k.held.Load()
	}
	return k.current(ctx)
}

// judge finds what the calls lack, all of it, so that one consent cures it.
func (r *Route) judge(h *held, calls []Call, granted []string) error {
	if !h.known {
		return &Unavailable{Cause: cmp.Or[error](h.cause, errNeverAsked)}
	}
	var first *Denied
	has := granted
	for _, c := range calls {
		if c.Tool == "" {
			continue
		}
		scopes := h.index.covering(c.Tool)
		if len(scopes) == 0 {
			if r.config.UnscopedTools == "deny" && len(h.catalogue.Scopes) > 0 {
				return &Denied{Tool: c.Tool, ID: c.ID}
			}
			continue
		}
		if slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(has, s) }) {
			continue
		}
		if first == nil {
			first = &Denied{Tool: c.Tool, ID: c.ID}
		}
		has = append(slices.Clip(has), scopes[0])
	}
	if first == nil {
		return nil
	}
	// Sorted, so that the same lack is always the same challenge: clients stop
	// asking when it repeats.
	first.Scope = strings.Join(slices.Compact(slices.Sorted(slices.Values(has))), " ")
	return first
}

// Calls returns what Authorize read of a request; nil if it had no reason to.
func Calls(req *http.Request) []Call {
	if b, ok := req.Body.(*replayed); ok {
		return b.calls
	}
	return nil
}

// A Denied is a call outside the granted scopes: 403. Scope is what would do,
// the granted ones included; where it is empty no scope helps, and the answer
// must not say insufficient_scope.
type Denied struct {
	Scope string
	Tool  string
	ID    json.RawMessage // of the message, where it has one
}
