// Package access is the access token: what it says (RFC 9068), who makes it,
// who believes it, and how a caller without a good one is told what to get.
//
// It promises that a token is believed only where it was issued for: signature,
// type, issuer, audience, times and revocation are checked on every Verify, in
// process. It knows nothing of HTTP servers, users or grants.
package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Type is the media type of an access token in its header (RFC 9068 §2.1).
const Type = "at+jwt"

// MaxSize is the longest access token that is looked at, in bytes.
const MaxSize = 16 << 10

// Leeway is how far apart the clocks of those who check a token may be.
const Leeway = 60 * time.Second

// Token is what an access token says.
type Token struct {
	Issuer            string
	Subject           string
	Audience          []string
	ClientID          string
	Scopes            []string
	Groups            []string
	Email             string
	PreferredUsername string
	ID                string // jti
	Grant             string // sid: revoking it ends the token
	Pin               string // digest of the tools as consented to
	Details           []Detail
	IssuedAt          time.Time
	NotBefore         time.Time
	Expiry            time.Time
}

// clone returns a Token that shares nothing with t that could be changed.
func (t *Token) clone() Token {
	c := *t
	c.Audience, c.Scopes, c.Groups = slices.Clone(t.Audience), slices.Clone(t.Scopes), slices.Clone(t.Groups)
	if t.Details != nil {
		c.Details = make([]Detail, len(t.Details))
		for i, d := range t.Details {
			d.Locations, d.Arguments = slices.Clone(d.Locations), maps.Clone(d.Arguments)
			c.Details[i] = d
		}
	}
	return c
}

// DetailType is the type of the details that a token of ours has.
const DetailType = "mcp_tool_arguments"

// A Detail says with which arguments a tool may be called (RFC 9396 §2): each
// must have just that value or, where it ends in a slash, a path below it.
type Detail struct {
	Type      string            `json:"type"`
	Locations []string          `json:"locations,omitempty"`
	Tool      string            `json:"tool"`
	Arguments map[string]string `json:"arguments"`
}

// claims is a Token on the wire. Scope is there twice: as RFC 9068 §2.2.3 has
// it and as the list that MCP servers of the original proxy read.
type claims struct {
	Issuer            string   `json:"iss"`
	Subject           string   `json:"sub"`
	Audience          audience `json:"aud"`
	ClientID          string   `json:"client_id"`
	Scope             string   `json:"scope,omitempty"`
	Scopes            told     `json:"scopes,omitempty"`
	Groups            []string `json:"groups,omitempty"`
	Email             string   `json:"email,omitempty"`
	PreferredUsername string   `json:"preferred_username,omitempty"`
	IssuedAt          int64    `json:"iat"`
	NotBefore         int64    `json:"nbf,omitempty"`
	Expiry            int64    `json:"exp"`
	ID                string   `json:"jti"`
	Grant             string   `json:"sid,omitempty"`
	Pin               string   `json:"pin,omitempty"`
	Details           []Detail `json:"authorization_details,omitempty"`
}

// audience is read as one string or several (RFC 7519 §4.1.3) and always
// written as several.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(a))
	}
	*a = audience{""}
	return json.Unmarshal(b, &(*a)[0])
}

// told is a list that is for others to read.
type told []string

func (*told) UnmarshalJSON([]byte) error { return nil }

func (t Token) encode() ([]byte, error) {
	return json.Marshal(claims{
		Issuer: t.Issuer, Subject: t.Subject, Audience: t.Audience, ClientID: t.ClientID,
		Scope: strings.Join(t.Scopes, " "), Scopes: t.Scopes, Groups: t.Groups,
		Email: t.Email, PreferredUsername: t.PreferredUsername,
		IssuedAt: t.IssuedAt.Unix(), NotBefore: t.NotBefore.Unix(), Expiry: t.Expiry.Unix(),
		ID: t.ID, Grant: t.Grant, Pin: t.Pin, Details: t.Details,
	})
}

// decode reads claims and refuses a token that lacks one which RFC 9068 §2.2
// requires.
func decode(payload []byte) (*Token, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	if c.Issuer == "" || c.Subject == "" || len(c.Audience) == 0 || c.ClientID == "" || c.ID == "" || c.IssuedAt == 0 || c.Expiry == 0 {
		return nil, errors.New("claims: a required one is missing")
	}
	t := &Token{
		Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, ClientID: c.ClientID,
		Scopes: strings.Fields(c.Scope), Groups: c.Groups, Email: c.Email, PreferredUsername: c.PreferredUsername,
		ID: c.ID, Grant: c.Grant, Pin: c.Pin, Details: c.Details,
		IssuedAt: time.Unix(c.IssuedAt, 0), Expiry: time.Unix(c.Expiry, 0),
	}
	if c.NotBefore != 0 {
		t.NotBefore = time.Unix(c.NotBefore, 0)
	}
	return t, nil
}
