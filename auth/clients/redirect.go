package clients

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// maxRedirectURI is far above any in use and keeps one URI from filling a
// document or a page.
const maxRedirectURI = 2000

// neverSchemes run or read something where the browser is, or are not a way
// back to a client; no configuration can allow them (U5).
var neverSchemes = map[string]bool{
	"javascript": true, "data": true, "file": true, "vbscript": true, "blob": true, "about": true,
	"filesystem": true, "view-source": true, "jar": true, "intent": true, "ws": true, "wss": true, "ftp": true,
}

// knownSchemes are the private-use schemes that MCP clients in the field own
// although they have no dot. Any other undotted scheme is refused, as OAuth 2.1
// §2.3.1 asks: whoever comes first on a machine owns it.
var knownSchemes = map[string]bool{
	"cursor": true, "vscode": true, "vscode-insiders": true, "windsurf": true, "claude": true,
}

// reverseDomain is a scheme named after a domain its owner holds
// (com.example.app), the form RFC 8252 §7.1 and OAuth 2.1 §8.4.3 ask of native
// apps. It is accepted by default: the consent page says that an app gets the
// answer, and is shown each time.
var reverseDomain = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$`)

// rules are the operator's: which redirect URIs a client may register.
type rules struct {
	allowed []*regexp.Regexp // empty: https, http on loopback, known and reverse-domain schemes
}

// check says what is wrong with a redirect URI.
func (r rules) check(uri string) error {
	u, err := parseRedirect(uri)
	if err != nil {
		return err
	}
	if len(r.allowed) > 0 {
		return r.match(uri)
	}
	switch {
	case u.Scheme == "https", u.Scheme == "http": // http is loopback, or it had not parsed
	case knownSchemes[u.Scheme], reverseDomain.MatchString(u.Scheme):
	default:
		return errors.New("its scheme is not one that is known to belong to an MCP client")
	}
	return nil
}

// describe tells a client what would pass.
func (r rules) describe() string {
	if len(r.allowed) > 0 {
		return "none of the redirect_uris is one that the operator of this server allows"
	}
	return "none of the redirect_uris can be used: they are https, http on 127.0.0.1, [::1] or localhost, " +
		"or have the scheme of a known MCP client or a reverse domain name; without fragment, userinfo or wildcard"
}

// match holds uri against the operator's expressions, which decide alone. The
// port of a loopback URI is the request's to choose (U2), so it is not theirs
// to judge: the spellings without one, and with some other, count as well.
func (r rules) match(uri string) error {
	spellings := []string{uri}
	if l, ok := parseLoopback(uri); ok {
		spellings = append(spellings, "http://"+l.host+l.rest, "http://"+l.host+":49152"+l.rest)
	}
	for _, re := range r.allowed {
		for _, s := range spellings {
			if re.MatchString(s) {
				return nil
			}
		}
	}
	return errors.New("it is not one that the operator allows")
}

// keep returns those of uris that pass, without repetitions, at most limit of
// them, and why the last one that did not was left out.
func (r rules) keep(uris []string, limit int) (kept []string, cause error) {
	seen := make(map[string]bool)
	for _, uri := range uris {
		if len(kept) == limit {
			return kept, fmt.Errorf("more than %d", limit)
		}
		if seen[uri] {
			continue
		}
		seen[uri] = true
		if err := r.check(uri); err != nil {
			cause = fmt.Errorf("%.200q: %w", uri, err)
			continue
		}
		kept = append(kept, uri)
	}
	return kept, cause
}

// parseRedirect holds the rules that nobody can lift. What it accepts is
// absolute, of plain URI characters, without fragment, userinfo or wildcard,
// and not http unless on loopback.
func parseRedirect(uri string) (*url.URL, error) {
	if uri == "" || len(uri) > maxRedirectURI {
		return nil, errors.New("it is empty or too long")
	}
	if i := strings.IndexFunc(uri, notInRedirect); i >= 0 {
		return nil, fmt.Errorf("%q is not allowed in it", uri[i])
	}
	u, err := url.Parse(uri)
	if err != nil {
		return nil, errors.New("it is not a URI") // the cause repeats the whole of it
	}
	switch {
	case u.Scheme == "" || !strings.HasPrefix(uri, u.Scheme+":"):
		return nil, errors.New("its scheme is missing or not in lower case")
	case neverSchemes[u.Scheme]:
		return nil, errors.New("its scheme is never a redirect")
	case u.User != nil:
		return nil, errors.New("it holds userinfo")
	case u.Scheme == "http":
		if _, ok := parseLoopback(uri); !ok {
			return nil, errors.New("http is for 127.0.0.1, [::1] and localhost only")
		}
	case u.Scheme == "https":
		return u, checkAuthority(u)
	case u.Opaque != "" || !strings.HasPrefix(uri[len(u.Scheme):], ":/"):
		return nil, errors.New("no path follows its scheme")
	}
	return u, nil
}

// notInRedirect is all but the characters of RFC 3986, without the fragment's
// '#' and the '*' that other servers read as a wildcard. Backslashes, which
// browsers take for slashes, and look-alike letters are outside already.
func notInRedirect(r rune) bool {
	return !isAlphanumeric(r) && !strings.ContainsRune("-._~:/?[]@!$&'()+,;=%", r)
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
