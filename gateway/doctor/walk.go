package doctor

import (
	"context"
	"fmt"
	"slices"
)

// A step asks one question on behalf of one client.
type step struct {
	name, title string
	ask         func(*client, context.Context) finding
}

// walk is the way of a client, from the name to the end of a token.
var walk = []step{
	{"dns", "the name has addresses", (*client).dns},
	{"port", "the port answers", (*client).port},
	{"tls", "a TLS handshake", (*client).handshake},
	{"certificate-name", "the certificate is for this host", (*client).certificateName},
	{"certificate-dates", "the certificate is valid today", (*client).certificateDates},
	{"certificate-chain", "the served chain leads to a known authority", (*client).certificateChain},
	{"http-redirect", "plain http leads to https", (*client).httpRedirect},
	{"anonymous-post", "a call without a token is told to sign in", (*client).anonymousPost},
	{"anonymous-get", "a stream without a token is told to sign in", (*client).anonymousGet},
	{"challenge", "the challenge says where to read on", (*client).readChallenge},
	{"resource-metadata", "the protected resource metadata is found", (*client).resourceMetadata},
	{"resource", "it describes this URL", (*client).resourceIdentifier},
	{"authorization-servers", "it names the authorization server", (*client).authorizationServers},
	{"resource-metadata-paths", "it is at both well-known paths", (*client).resourcePaths},
	{"server-metadata", "the authorization server metadata is found", (*client).serverMetadata},
	{"issuer", "its issuer is the one that was asked for", (*client).issuerIdentity},
	{"endpoints", "its endpoints are https", (*client).endpointURLs},
	{"response-types", "it grants codes", (*client).responseTypes},
	{"pkce", "it advertises PKCE with S256", (*client).pkce},
	{"client-authentication", "it accepts clients without a secret", (*client).clientAuthentication},
	{"grant-types", "it grants refresh tokens", (*client).grantTypes},
	{"openid-configuration", "the OpenID document is there", (*client).openID},
	{"jwks", "the signing keys are published", (*client).jwks},
	{"scopes", "the scopes are where the client looks", (*client).scopes},
	{"cors", "browsers may read the answers", (*client).cors},
	{"registration", "the client becomes known", (*client).register},
	{"authorize", "the person gets a page", (*client).authorize},
	{"redirect-refused", "a foreign redirect URI is not followed", (*client).redirectRefused},
	{"token-errors", "the token endpoint speaks JSON", (*client).tokenErrors},
	{"sign-in", "a person signs in", (*client).signIn},
	{"iss", "the answer names its issuer", (*client).iss},
	{"token", "the code becomes a token", (*client).codeForToken},
	{"refresh-token", "a refresh token comes with it", (*client).refreshGiven},
	{"refresh", "it can be used, and rotates", (*client).refresh},
	{"initialize", "the MCP server answers", (*client).initialize},
	{"tools-list", "it lists its tools", (*client).toolsList},
	{"stateless", "it speaks 2026-07-28", (*client).stateless},
	{"protocol-version", "an unknown protocol version is refused", (*client).protocolVersion},
	{"bad-token", "another token is refused", (*client).badToken},
	{"other-path", "the token opens nothing else", (*client).otherPath},
	{"stream", "a stream begins at once", (*client).stream},
	{"idle", "an idle stream lives", (*client).idle},
	{"revoke", "the token can be ended", (*client).revoke},
}

// A client is one profile on its way: what it has learnt so far.
type client struct {
	Profile
	*site

	gone string // the step that it does not get past

	challenge  challenge
	document   *document // protected resource metadata; nil: none that this client reads
	issuer     string    // of the authorization server, as the client understood it
	server     *document // authorization server metadata; nil: default endpoints
	registered registration
}

// A finding is the answer of a step for one client.
type finding struct {
	result          Result
	seen, rule, fix string
	fatal           bool // the client cannot go on
	unsafe          bool // no client fails by it
}

func ok(format string, args ...any) finding {
	return finding{result: OK, seen: fmt.Sprintf(format, args...)}
}

func skip(why string) finding { return finding{result: Skipped, seen: why} }

func wrong(format string, args ...any) finding {
	return finding{result: Wrong, seen: fmt.Sprintf(format, args...)}
}

func warn(format string, args ...any) finding {
	return finding{result: Warning, seen: fmt.Sprintf(format, args...)}
}

func (f finding) by(rule string) finding { f.rule = rule; return f }

func (f finding) fixed(format string, args ...any) finding {
	f.fix = fmt.Sprintf(format, args...)
	return f
}

// ends says that the client cannot go on from here, if something is wrong or
// could not be tried.
func (f finding) ends() finding {
	f.fatal = f.result == Skipped || f.result == Wrong && !f.unsafe
	return f
}

// matters leaves a fault wrong for those clients that fail by it, and makes it
// a remark for the others.
func (f finding) matters(fails bool) finding {
	if f.result == Wrong && !fails {
		f.result = Warning
	}
	return f
}

// danger is a fault that no client notices.
func (f finding) danger() finding { f.unsafe = f.result == Wrong; return f }

// askAll asks for every client, and puts equal answers together.
func (st step) askAll(ctx context.Context, clients []*client) Step {
	done := Step{Name: st.name, Title: st.title, Result: Skipped}
	for _, c := range clients {
		f := st.askOne(ctx, c)
		if f.result.rank() > done.Result.rank() {
			done.Result = f.result
		}
		done.add(c.Name, f)
	}
	slices.SortStableFunc(done.Findings, func(a, b Finding) int { return b.Result.rank() - a.Result.rank() })
	return done
}

func (st step) askOne(ctx context.Context, c *client) finding {
	if c.gone != "" {
		return skip("not reached: " + c.gone)
	}
	f := st.ask(c, ctx)
	f.seen, f.fix = c.redact(f.seen), c.redact(f.fix)
	if f.fatal {
		c.gone = st.name
	}
	return f
}

func (s *Step) add(name string, f finding) {
	next := Finding{Result: f.result, Clients: []string{name}, Seen: plain(f.seen), Rule: f.rule, Fix: plain(f.fix)}
	if f.unsafe {
		next.Clients = []string{}
	}
	for i, old := range s.Findings {
		if old.Result == next.Result && old.Seen == next.Seen && old.Rule == next.Rule && old.Fix == next.Fix {
			s.Findings[i].Clients = append(s.Findings[i].Clients, next.Clients...)
			return
		}
	}
	s.Findings = append(s.Findings, next)
}
