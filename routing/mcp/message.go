// Package mcp reads MCP messages as strictly as their wording allows and asks
// an MCP server which tools it has.
//
// It promises that what it says about a message is what every other parser
// would say: where two could disagree, the message is refused. It knows
// nothing of scopes that were granted, of hosts, or of proxying.
package mcp

import (
	"encoding/json"
	"fmt"
)

// JSON-RPC error codes that a BadMessage carries.
const (
	CodeParse          = -32700 // not JSON, or JSON that parsers read differently
	CodeInvalidRequest = -32600 // JSON, but not a message
	CodeHeaderMismatch = -32020 // the Mcp-* headers say something else than the body
)

// A Call is one JSON-RPC message as far as policy needs it.
type Call struct {
	Method string          // empty for a response
	Tool   string          // the tool of a tools/call
	Name   string          // what the Mcp-Name header mirrors: a tool, a prompt, a resource's URI or a task
	ID     json.RawMessage // as it was sent, part of the body; nil for a notification

	Arguments json.RawMessage // of a tools/call, as they were sent
}

// A BadMessage is a message that cannot be believed. Reason is for the client.
type BadMessage struct {
	Code   int
	Reason string
	ID     json.RawMessage // where it is known
}

// Error says why.
func (e *BadMessage) Error() string { return fmt.Sprintf("bad message: %s", e.Reason) }
