package idp

import "strings"

// naming gives identities their subject.
type naming struct {
	provider   string
	byUsername bool // usernameAsSubject
	loginFirst bool // the login is the better known name of the two
}

// name fills in provider and subject. A subject made of a name that the
// account does not have is nobody's.
func (n naming) name(id Identity) (Identity, error) {
	id.Provider = n.provider
	id.Subject = n.provider + ":" + id.ID
	if !n.byUsername {
		return id, nil
	}
	id.Subject = id.Email
	if id.Subject == "" || n.loginFirst && id.Username != "" {
		id.Subject = id.Username
	}
	// A colon is what tells "<provider>:<id>" apart from a login.
	if id.Subject == "" || strings.Contains(id.Subject, ":") {
		return Identity{}, &Refusal{id.Account(), "this account has neither a verified e-mail address nor a login name to go by"}
	}
	return id, nil
}
