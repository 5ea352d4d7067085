package idp

import (
	"encoding/json"
	"slices"
	"strings"
)

// claims are what an ID token, or the userinfo endpoint, says about somebody.
type claims map[string]json.RawMessage

func (c claims) text(name string) string {
	var s string
	if json.Unmarshal(c[name], &s) != nil {
		return ""
	}
	return s
}

func (c claims) has(name string) bool {
	value, ok := c[name]
	return ok && string(value) != "null"
}

// yes reads a boolean that some providers write as a string.
func (c claims) yes(name string) bool {
	value := string(c[name])
	return value == "true" || value == `"true"`
}

// texts reads an array of strings, or one string.
func (c claims) texts(name string) []string {
	var many []string
	if json.Unmarshal(c[name], &many) == nil {
		return many
	}
	if one := c.text(name); one != "" {
		return []string{one}
	}
	return nil
}

// email is the verified address, in canonical form. A provider that does not
// say that it verified an address gives none.
func (c claims) email() string {
	if !c.yes("email_verified") {
		return ""
	}
	email, _, _ := canonicalEmail(c.text("email"))
	return email
}

// username is the login. OpenID Connect Core §5.7 does not promise that a
// person cannot choose it, so an address is only taken if it is theirs.
func (c claims) username(email string) string {
	name := cleanUsername(c.text("preferred_username"))
	if strings.Contains(name, "@") && !sameEmail(name, email) {
		return ""
	}
	return name
}

func sameEmail(a, b string) bool {
	canonical, _, ok := canonicalEmail(a)
	return ok && canonical == b
}

// groups drops what could be read as another group than it is.
func (c claims) groups(name string) []string {
	return slices.DeleteFunc(c.texts(name), func(group string) bool { return cleanText(group) == "" })
}

// fill adds the claims that c lacks. What belongs together stays together: an
// address is only verified by who named it.
func (c claims) fill(other claims) {
	if !c.has("email") || !c.has("email_verified") {
		delete(c, "email")
		delete(c, "email_verified")
	}
	for name, value := range other {
		if !c.has(name) {
			c[name] = value
		}
	}
}

// claimsOf reads a claim that is an object itself.
func claimsOf(c claims, name string) claims {
	var inner claims
	_ = json.Unmarshal(c[name], &inner) // nothing, if it is none
	return inner
}
