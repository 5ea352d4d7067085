package web

import (
	"time"

	"github.com/a-h/templ"
)

// A speaker says in one language what is on the pages.
type speaker struct {
	catalogue
	pages *Pages
	lang  string
}

// english marks a text as English where the page is not.
func (s *speaker) english() templ.Attributes {
	if s.lang == "en" {
		return nil
	}
	return templ.Attributes{"lang": "en"}
}

func (s *speaker) when(t time.Time) (string, error) {
	layout, err := s.plain("time")
	return t.UTC().Format(layout), err
}

// fault is the title of a fault, what happened, or what to do.
func (s *speaker) fault(f Fault, part string, about any) markup {
	return s.say(Key("fault."+string(f)+"."+part), about)
}
