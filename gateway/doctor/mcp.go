package doctor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// modern is the first revision without sessions.
const modern = "2026-07-28"

var (
	toolsListBody   = []byte(`{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}`)
	initializedBody = []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	discoverBody    = []byte(`{"jsonrpc":"2.0","id":3,"method":"server/discover","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"` + modern + `",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"` + userAgent + `","version":"1"},` +
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`)
)

// An mcpSession is what initialize gave, to be sent with every call.
type mcpSession struct{ id, protocol string }

// withToken is the only place that sends the access token: to a path of the
// origin it was asked for.
func (s *site) withToken(ctx context.Context, in mcpSession, method, path string, body []byte, header ...string) *answer {
	req, err := s.tokenRequest(ctx, in, method, path, body, header...)
	if err != nil {
		return &answer{url: s.target, header: http.Header{}, err: err}
	}
	return s.web.send(req, nil)
}

func (s *site) tokenRequest(ctx context.Context, in mcpSession, method, path string, body []byte, header ...string) (*http.Request, error) {
	u := *s.target
	if path != s.target.Path {
		u.Path, u.RawPath, u.RawQuery = path, "", ""
	}
	all := []string{"Accept", accepts, "Authorization", "Bearer " + s.session.granted.Access}
	if len(body) > 0 {
		all = append(all, "Content-Type", jsonType)
	}
	if in.id != "" {
		all = append(all, "Mcp-Session-Id", in.id)
	}
	if in.protocol != "" {
		all = append(all, "MCP-Protocol-Version", in.protocol)
	}
	return s.web.request(ctx, method, u.String(), body, append(all, header...)...)
}

// A message is a JSON-RPC answer.
type message struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func readMessage(a *answer) (message, error) {
	var m message
	switch {
	case a.err != nil:
		return m, a.err
	case a.status != http.StatusOK:
		return m, fmt.Errorf("%s%s", a, oauthError(a))
	}
	if err := json.Unmarshal(a.body, &m); err != nil {
		return m, fmt.Errorf("%s, and no JSON-RPC message", a)
	}
	if m.Error != nil {
		return m, fmt.Errorf("error %d: %s", m.Error.Code, plain(m.Error.Message))
	}
	return m, nil
}

// firstMessage reads a stream up to the first answer.
func firstMessage(r io.Reader) ([]byte, error) {
	lines := bufio.NewScanner(io.LimitReader(r, maxBody))
	lines.Buffer(nil, maxBody)
	var data []byte
	for lines.Scan() {
		if rest, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:")); ok {
			data = append(data, bytes.TrimPrefix(rest, []byte(" "))...)
			continue
		}
		var m message
		if len(lines.Bytes()) == 0 && json.Unmarshal(data, &m) == nil && (m.Result != nil || m.Error != nil) {
			return data, nil
		}
		if len(lines.Bytes()) == 0 {
			data = nil
		}
	}
	return data, lines.Err()
}

const noToken = "no access token"

func (c *client) hasToken() bool { return c.session != nil && c.session.granted.Access != "" }

// initialize begins a session as clients of the revisions before 2026-07-28 do.
// The first one is kept; those of other revisions only show how the server
// answers them.
func (c *client) initialize(ctx context.Context) finding {
	if !c.hasToken() {
		return skip(noToken)
	}
	return c.once("initialize "+c.Protocol, func() finding { return c.begin(ctx) })
}

const lifecycle = "MCP 2025-11-25 lifecycle"

func (c *client) begin(ctx context.Context) finding {
	a := c.withToken(ctx, mcpSession{}, http.MethodPost, c.target.Path, initializeBody(c.Protocol))
	m, err := readMessage(a)
	if err != nil {
		return c.turnedAway(ctx, a, err)
	}
	var said struct {
		Protocol string `json:"protocolVersion"`
	}
	if err := json.Unmarshal(m.Result, &said); err != nil || said.Protocol == "" {
		return wrong("no protocolVersion in the result").by(lifecycle).fixed("look at the MCP server").ends()
	}
	begun := mcpSession{id: a.header.Get("Mcp-Session-Id"), protocol: plain(said.Protocol)}
	if said.Protocol > c.Protocol { // they are dates
		c.leave(ctx, begun)
		return wrong("asked for %s, it answers %s, which the client does not know", c.Protocol, begun.protocol).by(lifecycle+", Version Negotiation").
			fixed("let the MCP server speak %s too", c.Protocol).ends()
	}
	done := c.withToken(ctx, begun, http.MethodPost, c.target.Path, initializedBody)
	if done.err != nil || done.status/100 != 2 {
		return wrong("notifications/initialized is answered with %s", done).by(lifecycle).fixed("answer 202").ends()
	}
	if c.session.mcp.protocol == "" {
		c.session.mcp = begun
	} else {
		c.leave(ctx, begun)
	}
	return ok("protocol version %s", begun.protocol)
}

// turnedAway says why there is no session.
func (c *client) turnedAway(ctx context.Context, a *answer, err error) finding {
	if _, modernErr := c.discover(ctx); modernErr == nil {
		return warn("it speaks %s only; older clients are turned away: %v", modern, err).by("MCP 2026-07-28 versioning").
			fixed("let the MCP server accept initialize as well")
	}
	f := wrong("%v", err).by(lifecycle).fixed("look at the log of the MCP server")
	if a.status == http.StatusUnauthorized {
		f = f.by(mcpAuthorization + ", Token Handling").fixed("accept the token that the authorization server issued: issuer, audience and clock")
	}
	return f.ends()
}

func (c *client) toolsList(ctx context.Context) finding {
	if !c.hasToken() {
		return skip(noToken)
	}
	if c.session.mcp.protocol == "" {
		return skip("no session")
	}
	return c.once("tools-list", func() finding {
		m, err := readMessage(c.withToken(ctx, c.session.mcp, http.MethodPost, c.target.Path, toolsListBody))
		if err != nil {
			return wrong("%v", err).by("MCP server tools").fixed("look at the log of the MCP server")
		}
		var said struct {
			Tools []json.RawMessage `json:"tools"`
		}
		if err := json.Unmarshal(m.Result, &said); err != nil {
			return wrong("the result has no list of tools").by("MCP server tools").fixed("look at the MCP server")
		}
		if len(said.Tools) == 0 {
			return warn("no tools").fixed("allow a scope that has some")
		}
		return ok("%d tools", len(said.Tools))
	})
}

// discover asks in the manner of 2026-07-28: each call stands for itself.
func (c *client) discover(ctx context.Context) (message, error) {
	return readMessage(c.withToken(ctx, mcpSession{protocol: modern}, http.MethodPost, c.target.Path, discoverBody, "Mcp-Method", "server/discover"))
}

// stateless is no duty: none of the clients here needs it yet.
func (c *client) stateless(ctx context.Context) finding {
	if !c.hasToken() {
		return skip(noToken)
	}
	return c.once("stateless", func() finding {
		if _, err := c.discover(ctx); err != nil {
			return skip("it does not: " + err.Error())
		}
		return ok("server/discover is answered")
	})
}

func (c *client) protocolVersion(ctx context.Context) finding {
	if !c.hasToken() {
		return skip(noToken)
	}
	if c.session.mcp.protocol == "" {
		return skip("no session")
	}
	return c.once("protocol-version", func() finding {
		a := c.withToken(ctx, c.session.mcp, http.MethodPost, c.target.Path, toolsListBody, "MCP-Protocol-Version", "1900-01-01")
		if a.status == http.StatusBadRequest {
			return ok("%s", a)
		}
		return warn("1900-01-01 is answered with %s", a).by("MCP 2025-06-18 transports, Protocol Version Header").fixed("answer 400")
	})
}

// badToken tries a token that nobody issued. It has the shape of one, so that
// it is its content that is refused.
func (c *client) badToken(ctx context.Context) finding {
	if !c.hasToken() {
		return skip(noToken)
	}
	return c.once("bad-token", func() finding {
		a := c.withToken(ctx, c.session.mcp, http.MethodPost, c.target.Path, toolsListBody, "Authorization", "Bearer "+random())
		all, _ := parseChallenges(a.header.Values("WWW-Authenticate")) // what cannot be parsed has no error in it
		switch {
		case a.err == nil && a.status/100 == 2:
			return wrong("a token that nobody issued is accepted").by(mcpAuthorization + ", Token Handling").
				fixed("verify tokens: signature, issuer, audience, times").danger()
		case a.status != http.StatusUnauthorized:
			return wrong("%s", a).by("RFC 6750 §3.1").fixed("answer 401: clients refresh on that and on nothing else").matters(c.Stays)
		case pickParam(all, "error") != "invalid_token":
			return warn("401 without error=\"invalid_token\"").by("RFC 6750 §3.1").fixed(`add error="invalid_token" to the challenge`)
		}
		return ok("401 invalid_token")
	})
}

// otherPath takes the token to a path where nothing is.
func (c *client) otherPath(ctx context.Context) finding {
	if !c.hasToken() {
		return skip(noToken)
	}
	return c.once("other-path", func() finding {
		a := c.withToken(ctx, c.session.mcp, http.MethodPost, "/doctor-"+strings.ToLower(random()[:12]), toolsListBody)
		if a.err == nil && a.status/100 == 2 {
			return warn("a path that does not exist answers %s", a).by("RFC 8707 §2").fixed("answer the MCP path, and 404 elsewhere")
		}
		return ok("%s", a)
	})
}

// hangUp ends the stream and the MCP session.
func (c *client) hangUp(ctx context.Context) {
	if c.session.stream != nil {
		c.session.stream.end()
	}
	c.leave(ctx, c.session.mcp)
	c.session.mcp = mcpSession{}
}

// leave ends an MCP session. Servers need not let clients do that.
func (c *client) leave(ctx context.Context, in mcpSession) {
	if in.id != "" {
		c.withToken(ctx, in, http.MethodDelete, c.target.Path, nil)
	}
}
