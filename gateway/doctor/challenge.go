package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// A challenge is what a client took from WWW-Authenticate.
type challenge struct {
	metadata string // the URL of the resource metadata; empty: none
	scope    string
}

// accepts is what the transport asks of every POST.
const accepts = "application/json, text/event-stream"

// initializeBody is the first call of every client before 2026-07-28.
func initializeBody(protocol string) []byte {
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "initialize",
		"params": map[string]any{
			"protocolVersion": protocol, "capabilities": map[string]any{},
			"clientInfo": map[string]string{"name": userAgent, "version": "1"},
		},
	})
	if err != nil {
		panic(err) // maps of text
	}
	return body
}

func (c *client) callAnonymously(ctx context.Context) *answer {
	key := "anonymous call " + c.Protocol
	if a, ok := c.web.known[key]; ok {
		return a
	}
	a := c.web.do(ctx, http.MethodPost, c.target.String(), initializeBody(c.Protocol), "Content-Type", jsonType, "Accept", accepts)
	c.web.known[key] = a
	return a
}

const fixUnauthorized = "answer calls without a token with 401 and WWW-Authenticate: a sign-in proxy or a firewall in front must let the MCP path through"

// anonymousPost asks what makes a client begin to sign in.
func (c *client) anonymousPost(ctx context.Context) finding {
	a := c.callAnonymously(ctx)
	rule := "MCP 2025-11-25 authorization, Error Handling; RFC 6750 §3.1"
	switch {
	case a.err != nil:
		return wrong("no answer: %v", a.err).fixed("start the server behind this URL").ends()
	case a.status == http.StatusUnauthorized:
		return ok("%s", a)
	case a.status >= http.StatusInternalServerError:
		return wrong("%s", a).by(rule).fixed("start the MCP server behind this URL; %s", fixUnauthorized)
	case slices.Contains(c.Begins, a.status):
		return warn("%s", a).by(rule).fixed(fixUnauthorized)
	case a.status == http.StatusNotFound:
		return wrong("%s", a).by(rule).fixed("check the path of the URL; %s", fixUnauthorized).matters(!c.ByCommand)
	}
	return wrong("%s", a).by(rule).fixed(fixUnauthorized).matters(!c.ByCommand)
}

// anonymousGet asks what some clients and bridges ask first. None of those that
// are played here fails by the answer.
func (c *client) anonymousGet(ctx context.Context) finding {
	return c.once("anonymous-get", func() finding {
		a := c.web.do(ctx, http.MethodGet, c.target.String(), nil, "Accept", "text/event-stream")
		switch {
		case a.err != nil:
			return warn("no answer: %v", a.err).fixed(fixUnauthorized)
		case a.status == http.StatusUnauthorized, a.status == http.StatusMethodNotAllowed:
			return ok("%s", a)
		}
		return warn("%s: bridges such as mcp-remote ask by GET first", a).by("RFC 6750 §3.1").fixed(fixUnauthorized)
	})
}

// readChallenge reads WWW-Authenticate as this client does. Without it clients
// go to the well-known paths, so it is the steps after it that fail.
func (c *client) readChallenge(ctx context.Context) finding {
	if c.Metadata == never {
		return skip("this client does not read it")
	}
	a := c.callAnonymously(ctx)
	values := a.header.Values("WWW-Authenticate")
	all, err := parseChallenges(values)
	if c.Regex {
		c.challenge = matchChallenge(strings.Join(values, ", "))
	} else {
		c.challenge = pickChallenge(all)
	}
	rule := "RFC 9728 §5.1"
	first := ""
	if len(all) > 0 {
		first = all[0].scheme
	}
	switch {
	case a.status != http.StatusUnauthorized && len(values) == 0:
		return skip("no 401, no challenge")
	case len(values) == 0:
		return warn("no WWW-Authenticate: the client has to guess").by("RFC 9110 §15.5.2, "+rule).
			fixed(`send WWW-Authenticate: Bearer resource_metadata="%s"`, c.wellKnown(c.path()))
	case err != nil:
		return warn("it cannot be parsed: %v", err).by("RFC 9110 §11.6.1").fixed("put the parameters in double quotes, separated by commas")
	case c.challenge.metadata == "" && c.Regex && !strings.EqualFold(first, "Bearer"):
		return warn("the first challenge is %s, and the client reads no further", first).by("RFC 9110 §11.6.1").fixed("send the Bearer challenge first, or alone")
	case c.challenge.metadata == "":
		return warn("it has no resource_metadata: the client has to guess").by(rule).
			fixed(`add resource_metadata="%s"`, c.wellKnown(c.path()))
	case pickParam(all, "error") != "":
		return warn("error=%s without a token", pickParam(all, "error")).by("RFC 6750 §3.1").fixed("leave error out where no token was sent")
	}
	return ok("resource_metadata=%s", c.challenge.metadata)
}

// An authChallenge is one of RFC 9110 §11.6.1.
type authChallenge struct {
	scheme string
	params map[string]string // names in lower case
}

func pickChallenge(all []authChallenge) challenge {
	return challenge{metadata: pickParam(all, "resource_metadata"), scope: pickParam(all, "scope")}
}

func pickParam(all []authChallenge, name string) string {
	for _, one := range all {
		if strings.EqualFold(one.scheme, "Bearer") && one.params[name] != "" {
			return one.params[name]
		}
	}
	return ""
}

var (
	metadataParam = regexp.MustCompile(`resource_metadata=(?:"([^"]+)"|([^\s,]+))`)
	scopeParam    = regexp.MustCompile(`scope=(?:"([^"]+)"|([^\s,]+))`)
)

// matchChallenge reads as clients do that have no parser: by the first word and
// a regular expression.
func matchChallenge(header string) challenge {
	first, _, more := strings.Cut(header, " ")
	if !strings.EqualFold(first, "Bearer") || !more {
		return challenge{}
	}
	either := func(re *regexp.Regexp) string {
		if m := re.FindStringSubmatch(header); m != nil {
			return m[1] + m[2]
		}
		return ""
	}
	return challenge{metadata: either(metadataParam), scope: either(scopeParam)}
}

var errChallenge = errors.New("not a challenge of RFC 9110")

// challengePart is a scheme, a parameter, or a scheme with its first parameter.
var challengePart = regexp.MustCompile(`^\s*(?:([A-Za-z0-9!#$%&'*+.^_|~-]+)(?:\s+|\s*$|\s*,))?(?:([A-Za-z0-9!#$%&'*+.^_|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?\s*(?:,|$)?`)

// parseChallenges reads all values of WWW-Authenticate.
func parseChallenges(values []string) ([]authChallenge, error) {
	var all []authChallenge
	for _, rest := range values {
		for rest = strings.TrimLeft(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
			m := challengePart.FindStringSubmatch(rest)
			if m == nil || m[0] == "" {
				return all, errChallenge
			}
			rest = rest[len(m[0]):]
			if m[1] != "" {
				all = append(all, authChallenge{scheme: m[1], params: map[string]string{}})
			}
			if m[2] == "" {
				continue
			}
			if len(all) == 0 {
				return all, errChallenge
			}
			params := all[len(all)-1].params
			name := strings.ToLower(m[2])
			if _, twice := params[name]; twice {
				return all, errors.New(name + " is there twice")
			}
			params[name] = strings.ReplaceAll(m[3], `\`, "") + m[4]
		}
	}
	return all, nil
}
