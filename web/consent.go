package web

import (
	"strings"
	"time"
)

// vouched says that the client's name is not its own claim: the operator wrote it.
func (c Consent) vouched() bool { return c.Client.Verified && c.Client.Host == "" }

// onDevice says that the answer goes to a program on the person's own device:
// no address on the web says whose it is.
func (c Consent) onDevice() bool {
	return c.Client.LoopbackOnly || !strings.HasPrefix(c.Client.RedirectURI, "https://") && !strings.HasPrefix(c.Client.RedirectURI, "http://")
}

// ways are the identity providers that the page names.
func (c Consent) ways() []Choice { return c.Providers[:min(len(c.Providers), 8)] }

// mixed says that some of the scopes were asked for and others not, so that
// the difference is worth a mark.
func (c Consent) mixed() bool {
	asked := 0
	for _, s := range c.Scopes {
		if s.Asked {
			asked++
		}
	}
	return asked > 0 && asked < len(c.Scopes)
}

// usable is RFC 6749's scope-token, of a length a person can read. Only such a
// name can stand in a token, so nothing else is offered.
func usable(name string) bool {
	if name == "" || len(name) > 128 {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r >= 0x7f })
}

// effect is what the worst of tools may do.
func effect(readOnly, destructive, known bool) string {
	switch {
	case destructive:
		return "deletes"
	case readOnly:
		return "reads"
	case known:
		return "changes"
	}
	return ""
}

// unit is the key of what a duration is counted in.
func (d Duration) unit() Key {
	key, _ := d.inWords()
	return key
}

// count is how many of unit it is.
func (d Duration) count() int {
	_, n := d.inWords()
	return n
}

func (d Duration) inWords() (Key, int) {
	switch {
	case d.Lasts >= 48*time.Hour || d.Lasts == 24*time.Hour:
		return "days", int(d.Lasts / (24 * time.Hour))
	case d.Lasts >= time.Hour:
		return "hours", int(d.Lasts / time.Hour)
	}
	return "minutes", int(d.Lasts / time.Minute)
}
