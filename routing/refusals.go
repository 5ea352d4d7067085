package routing

import (
	"errors"
	"fmt"

	"mcp-oauth2-proxy/routing/mcp"
)

// A BadMessage is a body that cannot be believed: 400.
type BadMessage = mcp.BadMessage

// TooLarge is a body over the limit: 413.
type TooLarge struct{ Limit int64 }

// Unavailable is a call that cannot be judged, because the MCP server never
// said which scopes it has: 503.
type Unavailable struct{ Cause error }

var errNeverAsked = errors.New("there was no time to ask")

// Error names the tool and what it would take.
func (e *Denied) Error() string {
	if e.Changed {
		return fmt.Sprintf("tool %q is not what was consented to", e.Tool)
	}
	if e.Argument != "" {
		return fmt.Sprintf("argument %q of tool %q has another value than was consented to", e.Argument, e.Tool)
	}
	if e.Scope == "" {
		return fmt.Sprintf("tool %q is covered by no scope", e.Tool)
	}
	return fmt.Sprintf("tool %q takes the scopes %q", e.Tool, e.Scope)
}

// Error names the limit.
func (e *TooLarge) Error() string {
	return fmt.Sprintf("the body is over the limit of %d bytes", e.Limit)
}

// Error says what is missing.
func (e *Unavailable) Error() string {
	return fmt.Sprintf("the MCP server's scopes are not known: %v", e.Cause)
}

// Unwrap returns the cause.
func (e *Unavailable) Unwrap() error { return e.Cause }
