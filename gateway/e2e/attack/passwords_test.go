//go:build e2e

package attack

import (
	"fmt"
	"net/http"
	"net/url"
)

// The gateway knows some people itself, by a password. Passkeys are not in the
// model: a browser that signs in by one has to be a real one.

// An account is one of them. The hash is cheap, as there are many sign-ins here.
type account struct{ password, hash string }

var accounts = map[string]account{
	"victim":   {"correct-horse-battery-staple", "$2a$04$OGI/W7reHW/vXldiXCnLIevlDjnS6XE/HiiQIwGrdyCJfREV/RjUO"},
	"attacker": {"attacker-knows-this-one-only", "$2a$04$A6GtAYrh3.77G.FfifY8Su7C2IFmIaGTv5kpoSOw7aild3ayHGPli"},
}

// house is the provider of these accounts.
func house() settings {
	var users []settings
	for _, name := range []string{"victim", "attacker"} {
		users = append(users, settings{"username": name, "email": name + "@example.com", "passwordHash": accounts[name].hash})
	}
	return settings{"id": "house", "name": "local", "displayName": "The house", "users": users}
}

// signsIn fills in the form with the name and the password. The attacker would
// like to be somebody else.
func (b *browser) signsIn(data url.Values) {
	name, password := b.name, accounts[b.name].password
	if b.name == "attacker" && b.w.chance(2) {
		own := password
		guess := pick(b.w, [][]string{
			{"victim", ""}, {"victim", own}, {"victim", accounts["victim"].hash}, {"victim", "password"}, {fmt.Sprint("nobody", b.w.rng.IntN(1000)), own}, {"Attacker", own},
			{"attacker ", own}, {"victim", accounts["victim"].password[:12]}, {markup, "x"}, {"", own},
		})
		name, password = guess[0], guess[1]
	}
	data.Set("username", name)
	data.Set("password", password)
	b.w.said["a password is tried"]++
}

// judgePassword: a session is its person's who typed the right password.
func (w *world) judgePassword(p *prospect) {
	name := p.form.Get("username")
	if a, known := accounts[name]; !known || a.password != p.form.Get("password") {
		w.breaks("no session without the password", "%s begins one as %q", p.b, name)
		return
	}
	if name != p.b.name {
		w.breaks("no session without the password", "%s is signed in as %s", p.b, name)
	}
	p.b.signedIn[p.site] = "house:" + name
	w.said["a person signs in with a password"]++
}

// judgeFresh: a sign-in begins a session that was not there before, and ends the
// one that was.
func (w *world) judgeFresh(p *prospect, session *http.Cookie) {
	if w.sessions[session.Value] {
		w.breaks("every sign-in begins a session", "%s goes on with one that was there before", p.b)
	}
	w.sessions[session.Value] = true
	before, err := p.r.Cookie(session.Name)
	if err != nil || !w.chance(3) {
		return
	}
	w.replaySession(p.b, p.site, []*cookie{{name: before.Name, value: before.Value, host: p.site.host}})
}
