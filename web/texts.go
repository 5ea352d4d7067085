package web

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A Key names a sentence of the catalogue, texts/*.json.
type Key string

// A Message is a sentence of ours on a page, and the foreign texts it names.
type Message struct {
	Key   Key
	About []string
}

// Say is the message of a key.
func Say(key Key, about ...string) Message { return Message{key, about} }

// What can be wrong with an answer.
const (
	NothingTicked  Key = "problem.nothing-ticked"
	OfferChanged   Key = "problem.offer-changed"
	LimitUnusable  Key = "problem.limit" // argument, tool
	WrongPassword  Key = "problem.password"
	WrongPasskey   Key = "problem.passkey"
	PasskeyKnown   Key = "notice.passkey-known"
	PasskeysFull   Key = "notice.passkeys-full"
	PasskeyLate    Key = "notice.passkey-late"
	PasskeyRefused Key = "notice.passkey-refused"
)

// What an action on the account page did.
const (
	OneEnded       Key = "notice.one-ended"
	AllEnded       Key = "notice.all-ended"
	PasskeyAdded   Key = "notice.passkey-added"
	PasskeyRemoved Key = "notice.passkey-removed"
	PasskeyGone    Key = "notice.passkey-gone"
)

// A Fault is what went wrong, as people are told: what happened, and what they
// can do.
type Fault string

// The faults of error pages. Where one is about somebody, that is in brackets.
const (
	FaultGeneral       Fault = "general"
	FaultOurs          Fault = "ours"
	FaultNotNow        Fault = "not-now"
	FaultTooMany       Fault = "too-many"
	FaultExpired       Fault = "expired"
	FaultForeignForm   Fault = "foreign-form"
	FaultIncomplete    Fault = "incomplete"
	FaultUnknownClient Fault = "unknown-client"
	FaultBadClient     Fault = "bad-client"
	FaultRedirect      Fault = "redirect"
	FaultUnanswerable  Fault = "unanswerable"
	FaultNotFound      Fault = "not-found"
	FaultNoServer      Fault = "no-server"
	FaultNotAllowed    Fault = "not-allowed" // account
	FaultSignin        Fault = "signin"      // identity provider
	FaultCancelled     Fault = "cancelled"   // identity provider
	FaultUnavailable   Fault = "unavailable" // identity provider
)

// Vague says that the page needs the description that programs get, too, for
// the fault alone does not say enough.
func (f Fault) Vague() bool {
	switch f {
	case "", FaultGeneral, FaultBadClient, FaultUnanswerable:
		return true
	}
	return false
}

// A sentence is a text in pieces: every second is the number of what is put in.
type sentence struct {
	pieces []string
	holes  []int
}

// a catalogue is every sentence in one language.
type catalogue map[Key]sentence

// readTexts reads the catalogue of a language.
func readTexts(lang string) (catalogue, error) {
	raw, err := files.ReadFile("texts/" + lang + ".json")
	if err != nil {
		return nil, err
	}
	var texts map[Key]string
	if err := json.Unmarshal(raw, &texts); err != nil {
		return nil, fmt.Errorf("texts/%s.json: %w", lang, err)
	}
	c := catalogue{}
	for key, text := range texts {
		if c[key], err = parseSentence(text); err != nil {
			return nil, fmt.Errorf("texts/%s.json: %s: %w", lang, key, err)
		}
	}
	return c, nil
}

// parseSentence finds the holes of a text: {0}, {1} and so on.
func parseSentence(text string) (sentence, error) {
	var s sentence
	for {
		before, rest, ok := strings.Cut(text, "{")
		s.pieces = append(s.pieces, before)
		if !ok {
			return s, nil
		}
		number, after, _ := strings.Cut(rest, "}")
		hole, err := strconv.Atoi(number)
		if err != nil {
			return s, fmt.Errorf("{%s} is no hole", number)
		}
		s.holes, text = append(s.holes, hole), after
	}
}

// say is a sentence with its holes filled: by markup as it is, by all else as
// text.
func (c catalogue) say(key Key, fill ...any) markup {
	s, ok := c[key]
	if !ok {
		return markup{err: fmt.Errorf("no text %q", key)}
	}
	var b strings.Builder
	for i, piece := range s.pieces {
		b.WriteString(text(piece).html)
		if i == len(s.holes) {
			break
		}
		if s.holes[i] >= len(fill) {
			return markup{err: fmt.Errorf("text %q lacks {%d}", key, s.holes[i])}
		}
		m, ok := fill[s.holes[i]].(markup)
		if !ok {
			m = text(fmt.Sprint(fill[s.holes[i]]))
		}
		if m.err != nil {
			return m
		}
		b.WriteString(m.html)
	}
	return markup{html: b.String()}
}

// plain is a sentence without holes, for an attribute.
func (c catalogue) plain(key Key) (string, error) {
	s, ok := c[key]
	if !ok || len(s.holes) > 0 {
		return "", fmt.Errorf("no text %q without holes", key)
	}
	return s.pieces[0], nil
}

// count is a sentence about n things: key.one for one, key.many for others.
func (c catalogue) count(key Key, n int) markup {
	if n == 1 {
		return c.say(key+".one", n)
	}
	return c.say(key+".many", n)
}

// message is a message in words.
func (c catalogue) message(m Message) markup {
	fill := make([]any, len(m.About))
	for i, about := range m.About {
		fill[i] = bdi(line(60, about))
	}
	return c.say(m.Key, fill...)
}
