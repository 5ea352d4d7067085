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
	Name        string     `json:"name"`
	Title       string     `json:"title,omitempty"`
	Description string     `json:"description,omitempty"`
	ReadOnly    bool       `json:"readOnly,omitempty"`
	Destructive bool       `json:"destructive,omitempty"`
	Digest      string     `json:"digest,omitempty"` // of its definition, whole
	Definition  Definition `json:"definition,omitzero"`
	Arguments   []Argument `json:"arguments,omitempty"` // that may be pinned to values
}

// A Definition is what a model is told of a tool, in the server's own words,
// to show how it has changed. Each part is cut to a size that can be kept; the
// Digest is over all of it.
type Definition struct {
	Description string `json:"description,omitempty"`
	Schema      string `json:"schema,omitempty"` // of the input, as JSON
	Annotations string `json:"annotations,omitempty"`
}

// An Argument is one of text that a tool takes.
type Argument struct {
	Name     string   `json:"name"`
	Choices  []string `json:"choices,omitempty"`  // of an enum
	Pinnable bool     `json:"pinnable,omitempty"` // the server says that people may pin it
}

// A Listing is everything a server advertises, in its own words and order.
type Listing struct {
	Scopes []Scope
	Tools  []Tool
	TTL    time.Duration // how long the server says it holds; 0 if it does not say
}
