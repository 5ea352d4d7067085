package idp

import (
	"context"
	"net/url"
	"regexp"
)

const googleIssuer = "https://accounts.google.com"

// google is an OpenID provider whose addresses need a second look, and
// optionally the directory of a Workspace.
type google struct {
	*openID
	domains   []*regexp.Regexp
	directory *directory // nil unless asked for: never guessed from where we run
}

func newGoogle(c Config, o Options, rules Rules) *google {
	c.IssuerURL = googleIssuer
	f := &google{openID: newOIDC(c, o), domains: rules.EmailDomains}
	f.picks = true
	if c.Workspace {
		f.directory = newDirectory(c.WorkspaceAdmin, o)
	}
	return f
}

// Finish implements Flow. Google's ID token says everything that its userinfo
// would.
func (f *google) Finish(ctx context.Context, a Attempt, query url.Values) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, flowTimeout)
	defer cancel()
	_, _, c, err := f.prove(ctx, a, query)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{ID: c.text("sub"), Email: c.email(), Name: cleanText(c.text("name"))}
	if id.Email == "" {
		account := Identity{ID: id.ID, Email: cleanText(c.text("email"))}.Account() // to be shown, not believed
		return Identity{}, &Refusal{account, "Google has not verified the e-mail address of this account"}
	}
	id.Unhosted = !f.hosted(id.Email, c.text("hd"))
	if id, err = f.recheck(ctx, id); err != nil {
		return Identity{}, err
	}
	return f.naming.name(id)
}

// hosted tells whether Google answers for the domain of an address: its own
// domains, or the one of the account's Workspace (hd). The Workspace may have
// further domains; then hd itself has to be one that the rules admit.
func (f *google) hosted(email, hd string) bool {
	_, domain, _ := canonicalEmail(email)
	_, hosted, ok := canonicalEmail("any@" + hd)
	return googleDomain(domain) || ok && (hosted == domain || matchAny(f.domains, hosted))
}

func googleDomain(domain string) bool { return domain == "gmail.com" || domain == "googlemail.com" }

// recheck asks the directory about accounts that are in one.
func (f *google) recheck(ctx context.Context, id Identity) (Identity, error) {
	_, domain, _ := canonicalEmail(id.Email)
	if f.directory == nil || id.Unhosted || googleDomain(domain) {
		return id, nil
	}
	return f.directory.look(ctx, id)
}
