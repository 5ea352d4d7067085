package clients

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxDocument is the size the draft suggests (C11).
const maxDocument = 5 << 10

// parseDocumentURL holds the rules for a client_id that is a URL (C2). Plain
// characters only, and no dot segments however they are spelt: the id is
// compared to the letter, but what is fetched goes by what it means.
func parseDocumentURL(id string) (*url.URL, error) {
	if len(id) > maxID || strings.ContainsFunc(id, notInRedirect) {
		return nil, errors.New("the URL is too long, or has a fragment or characters that URLs have not")
	}
	u, err := url.Parse(id)
	if err != nil || !strings.HasPrefix(id, "https://") {
		return nil, errors.New("not an https URL")
	}
	if u.User != nil {
		return nil, errors.New("the URL holds userinfo")
	}
	if err := checkAuthority(u); err != nil {
		return nil, fmt.Errorf("the URL: %w", err)
	}
	if u.Path == "" {
		return nil, errors.New("the URL has no path")
	}
	for segment := range strings.SplitSeq(u.Path, "/") { // decoded: "%2e%2e" is a dot segment, too
		if segment == "." || segment == ".." {
			return nil, errors.New("the URL's path has a dot segment")
		}
	}
	return u, nil
}

// parseDocument reads the client from the text found at its id. The errors are
// for the log and for the client's developer; they hold nothing of the text.
func parseDocument(id string, text []byte, rules rules) (*Client, error) {
	u, err := parseDocumentURL(id)
	if err != nil {
		return nil, err
	}
	m, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	r := &reader{members: m}
	if r.text("client_id") != id {
		r.fail("client_id is not the URL of the document")
	}
	for _, name := range []string{"client_secret", "client_secret_expires_at"} {
		if _, ok := m[name]; ok {
			r.fail(name + " is in the document, where everybody can read it")
		}
	}
	if r.text("client_name") == "" {
		r.fail("client_name is missing")
	}
	if r.err != nil {
		return nil, r.err
	}
	meta, err := readMetadata(m)
	if err != nil {
		return nil, err
	}
	return documentClient(u, id, meta, r, rules)
}

func documentClient(u *url.URL, id string, meta metadata, r *reader, rules rules) (*Client, error) {
	kept, cause := rules.keep(meta.RedirectURIs, maxDocument) // the text's size is limit enough
	if len(kept) == 0 {
		return nil, fmt.Errorf("none of the redirect_uris can be used: %w", cmp.Or(cause, errors.New("there are none")))
	}
	c := &Client{
		ID: id, Kind: KindDocument, Name: meta.Name, RedirectURIs: kept, AuthMethod: meta.Method,
		GrantTypes: meta.Grants, ApplicationType: meta.Type, Host: strings.ToLower(u.Hostname()),
	}
	switch meta.Method {
	case "":
		// The default of RFC 7591 is a secret, which a document cannot have.
		c.AuthMethod = MethodNone
	case MethodNone:
	case MethodPrivateKeyJWT:
		return c, documentKeys(c, r)
	default:
		return nil, errors.New("token_endpoint_auth_method is neither none nor private_key_jwt")
	}
	return c, nil
}

// documentKeys finds where the keys of a client with private_key_jwt are (C15).
func documentKeys(c *Client, r *reader) (err error) {
	inline, uri := r.has("jwks"), r.text("jwks_uri")
	switch {
	case r.err != nil:
		return r.err
	case inline == (uri != ""):
		return errors.New("private_key_jwt takes either jwks or jwks_uri")
	case inline:
		c.keys, err = parseKeys(r.members["jwks"])
		return err
	}
	// Under the same rules as the document's own URL, and later fetched under
	// the same guard (C12).
	if _, err := parseDocumentURL(uri); err != nil {
		return fmt.Errorf("jwks_uri: %w", err)
	}
	c.keysURI = uri
	return nil
}
