package idp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const (
	microsoftLogin = "https://login.microsoftonline.com/"
	microsoftGraph = "https://graph.microsoft.com/v1.0"
)

// microsoft is Entra ID with one tenant, which makes what the tenant's
// administrators control believable: the object id, the login, the groups.
type microsoft struct {
	*openID
	tenant string
}

func newMicrosoft(c Config, o Options) *microsoft {
	tenant := strings.ToLower(c.Tenant)
	c.IssuerURL = microsoftLogin + tenant + "/v2.0"
	c.Scopes = append([]string{"User.Read"}, c.Scopes...) // for Graph, where groups overflow
	f := &microsoft{openID: newOIDC(c, o), tenant: tenant}
	f.picks = true
	return f
}

// Finish implements Flow. The id is oid: sub is another one for every app, and
// e-mail addresses and names change. An e-mail address is only taken with
// xms_edov, an optional claim that the app registration can ask for: without
// it, Entra does not say that the tenant owns the address's domain.
func (f *microsoft) Finish(ctx context.Context, a Attempt, query url.Values) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, flowTimeout)
	defer cancel()
	_, token, c, err := f.prove(ctx, a, query)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{
		ID:       strings.ToLower(c.text("oid")),
		Username: cleanUsername(c.text("preferred_username")),
		Name:     cleanText(c.text("name")),
		Groups:   c.groups(defaultGroupsClaim),
	}
	if !guid.MatchString(id.ID) || !strings.EqualFold(c.text("tid"), f.tenant) {
		return Identity{}, fmt.Errorf("%w: ID token: it is not about an account of the tenant (oid, tid)", ErrInvalid)
	}
	if ownDomain(c) {
		id.Email, _, _ = canonicalEmail(c.text("email"))
	}
	if overflows(c) {
		if id.Groups, err = f.memberOf(ctx, token.AccessToken); err != nil {
			return Identity{}, apiError(fmt.Errorf("ask Graph for groups: %w", err))
		}
	}
	return f.naming.name(id)
}

// ownDomain reads xms_edov, which has been seen as a boolean, a number and
// either in quotes.
func ownDomain(c claims) bool {
	value := strings.Trim(string(c["xms_edov"]), `"`)
	return value == "true" || value == "1"
}

// overflows tells whether the groups are too many for a token (over 200):
// then it names a source instead. The source is not believed, only the fact.
func overflows(c claims) bool {
	return claimsOf(c, "_claim_names").has(defaultGroupsClaim) || c.yes("hasgroups")
}

// memberOf are the ids of all groups that somebody is in, nested ones too,
// which is what the claim would have held.
func (f *microsoft) memberOf(ctx context.Context, token string) ([]string, error) {
	type object struct {
		Type string `json:"@odata.type"`
		ID   string `json:"id"`
	}
	var groups []string
	next := microsoftGraph + "/me/transitiveMemberOf?$select=id&$top=999"
	for range maxPages {
		var page struct {
			Value []object `json:"value"`
			Next  string   `json:"@odata.nextLink"`
		}
		if err := getJSON(ctx, f.client, next, token, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Value { // roles and administrative units are listed with them
			if o.Type == "#microsoft.graph.group" && cleanText(o.ID) != "" {
				groups = append(groups, o.ID)
			}
		}
		if next = page.Next; next == "" {
			return groups, nil
		}
		if !strings.HasPrefix(next, microsoftGraph+"/") { // the token goes nowhere else
			return nil, errors.New("the next page is at another host")
		}
	}
	return nil, fmt.Errorf("there are more than %d pages", maxPages)
}
