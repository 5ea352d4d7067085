package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A registration is who a client is at the authorization server.
type registration struct {
	id, secret  string
	document    bool     // id is a URL that the server fetches
	redirects   []string // that the server kept
	management  string   // where it can be taken back (RFC 7592)
	accessToken string   // for that
}

// register makes the client known in its own way: by the URL of its metadata
// document where the server takes that, else by registering.
func (c *client) register(ctx context.Context) finding {
	if c.ClientID != "" {
		c.registered = registration{id: c.ClientID, secret: c.ClientSecret}
		return ok("as %s, which was given", c.ClientID)
	}
	takes := c.server != nil && c.server.flag("client_id_metadata_document_supported")
	address := c.registrationEndpoint()
	switch {
	case takes && c.Document != "":
		c.registered = registration{id: c.Document, document: true}
		return ok("as %s", c.Document)
	case address == "" && takes && c.HasDocument && slices.Contains(c.server.list("token_endpoint_auth_methods_supported"), "none"):
		return skip("the client uses its metadata document, whose URL is not public")
	case address == "":
		return wrong("there is no registration_endpoint%s", c.noDocument(takes)).
			by(mcpAuthorization + ", Client Registration Approaches; RFC 7591").
			fixed("let clients register, or configure this client at the authorization server and in the client").ends()
	case !c.secure(address):
		return wrong("%s is not an https URL", address).ends()
	}
	a, r, err := c.registerClient(ctx, address, c.metadata())
	if err == nil && c.Strict {
		err = strictRegistration(a)
	}
	if err != nil {
		return wrong("%v", err).by("RFC 7591 §3.2; MCP authorization, Dynamic Client Registration").
			fixed("accept %s; leave out of the answer what has no value", strings.Join(c.Redirects, ", ")).ends()
	}
	c.registered = r
	for _, uri := range c.Returns {
		if len(r.redirects) > 0 && !slices.Contains(r.redirects, uri) {
			return wrong("the server did not keep %s", uri).by("RFC 7591 §3.2.1").fixed("accept this redirect URI")
		}
	}
	if a.status != http.StatusCreated {
		return warn("%s", a).by("RFC 7591 §3.2.1").fixed("answer 201")
	}
	return ok("%s", a)
}

func (c *client) noDocument(takes bool) string {
	if takes {
		return ", and this client has no metadata document"
	}
	return ", and no client_id_metadata_document_supported"
}

// metadata is what the client says of itself when it registers.
func (c *client) metadata() map[string]any {
	kind := "native"
	if c.Hosted {
		kind = "web"
	}
	m := map[string]any{
		"client_name":                c.Name + " (doctor)",
		"redirect_uris":              c.Redirects,
		"token_endpoint_auth_method": "none",
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
	}
	if c.Metadata != never {
		m["application_type"] = kind
	}
	if scope := c.scope(); scope != "" {
		m["scope"] = scope
	}
	return m
}

// registerClient registers, and remembers what has to be taken back.
func (s *site) registerClient(ctx context.Context, address string, metadata map[string]any) (*answer, registration, error) {
	body, err := json.Marshal(metadata)
	if err != nil {
		return nil, registration{}, err
	}
	a := s.web.do(ctx, http.MethodPost, address, body, "Content-Type", jsonType, "Accept", jsonType)
	if a.err != nil {
		return a, registration{}, a.err
	}
	if a.status/100 != 2 {
		return a, registration{}, fmt.Errorf("%s%s", a, oauthError(a))
	}
	var said struct {
		ID          string   `json:"client_id"`
		Secret      string   `json:"client_secret"`
		Redirects   []string `json:"redirect_uris"`
		Management  string   `json:"registration_client_uri"`
		AccessToken string   `json:"registration_access_token"`
	}
	if err := json.Unmarshal(a.body, &said); err != nil || said.ID == "" {
		return a, registration{}, fmt.Errorf("%s without a client_id in JSON", a)
	}
	r := registration{id: said.ID, secret: said.Secret, redirects: said.Redirects, management: said.Management, accessToken: said.AccessToken}
	if r.management != "" && r.accessToken != "" && sameOrigin(r.management, address) {
		s.mine = append(s.mine, r)
	}
	return a, r, nil
}

// strictRegistration holds the answer to the schema of the TypeScript SDK.
func strictRegistration(a *answer) error {
	d := &document{}
	if err := json.Unmarshal(a.body, &d.fields); err != nil {
		return err
	}
	if err := d.strictly(
		[]string{"client_id", "client_secret", "token_endpoint_auth_method", "client_name", "client_uri", "scope", "policy_uri"},
		nil, []string{"redirect_uris", "grant_types", "response_types", "contacts"}, "client_id", "redirect_uris"); err != nil {
		return fmt.Errorf("%s: the client refuses it: %w", a, err)
	}
	return nil
}

// oauthError is what an error says of itself, by the members that RFC 6749
// §5.2 defines and no others.
func oauthError(a *answer) string {
	var said struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(a.body, &said) != nil || said.Error == "" {
		return ""
	}
	if said.Description == "" {
		return ": " + plain(said.Error)
	}
	return ": " + plain(said.Error) + ": " + plain(said.Description)
}

func sameOrigin(a, b string) bool {
	x, y := parsed(a), parsed(b)
	return x != nil && y != nil && x.Scheme == y.Scheme && x.Host == y.Host
}

// unregister takes back what the server lets one take back. The run is over, so
// nobody is told of a failure.
func (s *site) unregister() {
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	for _, r := range s.mine {
		s.web.do(ctx, http.MethodDelete, r.management, nil, "Authorization", "Bearer "+r.accessToken)
	}
}
