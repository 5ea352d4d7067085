package doctor

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

const mcpAuthorization = "MCP 2025-11-25 authorization"

// fetchAs gets a document with the headers of this client.
func (c *client) fetchAs(ctx context.Context, address string) *answer {
	return c.web.fetch(ctx, address, "Accept", jsonType, "MCP-Protocol-Version", c.Protocol)
}

// resourceMetadata looks for the document in the order of the client: where
// the challenge says, and nowhere else; without it at the path, then at the root.
func (c *client) resourceMetadata(ctx context.Context) finding {
	if c.Metadata == never {
		return skip("this client does not read it")
	}
	urls := []string{c.wellKnown(c.path())}
	if c.path() != "" {
		urls = append(urls, c.wellKnown(""))
	}
	if c.challenge.metadata != "" {
		urls = []string{c.challenge.metadata}
	}
	var tried []string
	for _, address := range urls {
		if !c.secure(address) {
			tried = append(tried, address+" is not an https URL")
			continue
		}
		a := c.fetchAs(ctx, address)
		d, err := readDocument(a)
		if err == nil && c.Strict {
			err = d.strictly([]string{"resource"}, []string{"resource"}, []string{"authorization_servers", "scopes_supported"}, "resource")
		}
		if err == nil {
			c.document = d
			return ok("%s", address).contentType(a.header)
		}
		tried = append(tried, address+" answers "+err.Error())
		if c.Stops5xx && a.status >= http.StatusInternalServerError {
			break
		}
	}
	c.issuer = c.origin()
	return wrong("%s; clients that go on take the MCP server for its own authorization server, and ask for no resource", strings.Join(tried, "; ")).
		by(mcpAuthorization+", Authorization Server Location; RFC 9728 §3").
		fixed("serve the document at %s without asking for a token", urls[0]).matters(c.Metadata == required).ends()
}

// contentType is a remark on a document that is fine but for its type.
func (f finding) contentType(h http.Header) finding {
	if f.result == OK && !isJSON(h) {
		return warn("%s, as %q", f.seen, h.Get("Content-Type")).by("RFC 9728 §3.2, RFC 8414 §3.2").fixed("send it as application/json")
	}
	return f
}

const noDocument = "no resource metadata"

// resourceIdentifier compares "resource" with the URL that was typed.
func (c *client) resourceIdentifier(context.Context) finding {
	if c.document == nil {
		return skip(noDocument)
	}
	typed, said := c.target.String(), c.document.text("resource")
	if c.matchesResource(typed, said) {
		return ok("%s", said)
	}
	f := wrong("resource is %q, the URL is %q", said, typed).by("RFC 9728 §3.3").
		fixed("let %s say resource %q, letter by letter", c.document.at, typed)
	if !c.IgnoresMismatch {
		return f
	}
	f.seen += "; the client reads it as if it were not there"
	c.document = nil
	return f.matters(false)
}

func (c *client) matchesResource(typed, said string) bool {
	if strings.TrimSuffix(typed, "/") == said && c.path() == "" || typed == said {
		return true
	}
	t, s := c.target, parsed(said)
	if s == nil || s.Scheme != t.Scheme || s.Host != t.Host {
		return false
	}
	switch c.Match {
	case prefix:
		return len(t.Path) >= len(s.Path) && strings.HasPrefix(strings.TrimSuffix(t.Path, "/")+"/", strings.TrimSuffix(s.Path, "/")+"/")
	case exactOrOrigin:
		return strings.Trim(s.Path, "/") == "" && s.RawQuery == ""
	case exactly:
		return t.String() == s.String() // letter case of scheme and host aside
	}
	return false
}

// parsed is a URL with its scheme and host in lower case; nil if it is none.
func parsed(address string) *url.URL {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	return u
}

// authorizationServers takes the first one, as clients do.
func (c *client) authorizationServers(context.Context) finding {
	if c.document == nil {
		c.issuer = c.origin()
		return skip(noDocument)
	}
	all := c.document.list("authorization_servers")
	rule := mcpAuthorization + ", Authorization Server Location; RFC 9728 §2"
	if len(all) == 0 {
		c.issuer = c.origin()
		return wrong("authorization_servers is missing or empty; clients that go on take the MCP server for its own").by(rule).
			fixed("list the issuer of the authorization server, such as %q", c.origin()).matters(c.Metadata == required).ends()
	}
	c.issuer = all[0]
	switch {
	case !c.secure(c.issuer):
		return wrong("%s is not an https URL", c.issuer).by(rule).
			fixed("behind a proxy that ends TLS, tell the server its public https origin").ends()
	case len(all) > 1:
		return warn("%d are listed; most clients take the first, %s, and no other", len(all), c.issuer).by(rule).fixed("list one")
	}
	return ok("%s", c.issuer)
}

// resourcePaths looks at both places, whatever the challenge said: other
// versions of the client, and other clients, look there.
func (c *client) resourcePaths(ctx context.Context) finding {
	if c.Metadata == never {
		return skip("this client does not read it")
	}
	if c.path() == "" {
		return skip("the MCP endpoint is at the root")
	}
	return c.once("resource-metadata-paths", func() finding {
		for _, place := range []struct{ path, resource string }{{c.path(), c.target.String()}, {"", c.origin()}} {
			address := c.wellKnown(place.path)
			d, err := readDocument(c.fetchAs(ctx, address))
			if err != nil {
				return warn("%s answers %v", address, err).by("RFC 9728 §3.1").fixed("serve the document there as well")
			}
			if said := d.text("resource"); said != place.resource {
				return warn("%s says resource %q", address, said).by("RFC 9728 §3.3").
					fixed("let the document at each path say the resource of that path, here %q", place.resource)
			}
		}
		return ok("both")
	})
}
