package mcp

import "time"

// A Scope is a permission that an MCP server declares: a name for some of its
// tools.
type Scope struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Tools       []string `json:"tools,omitempty"`
}

// A Tool is what a server says of one of its tools. ReadOnly and Destructive
// are its own marks, never proven.
type Tool struct {
	Name        string `json:"name"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Destructive bool   `json:"destructive,omitempty"`
}

// A Listing is everything a server advertises, in its own words and order.
type Listing struct {
	Scopes []Scope
	Tools  []Tool
	TTL    time.Duration // how long the server says it holds; 0 if it does not say
}
