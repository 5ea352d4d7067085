package web

import "time"

// A speaker says in one language what is on the pages.
type speaker struct {
	catalogue
	pages *Pages
	lang  string
}

// foreign says that a text in English has to be marked as one.
func (s *speaker) foreign() bool { return s.lang != "en" }

func (s *speaker) when(t time.Time) (string, error) {
	layout, err := s.plain("time")
	return t.UTC().Format(layout), err
}

// fault is the title of a fault, what happened, or what to do.
func (s *speaker) fault(f Fault, part string, about any) markup {
	return s.say(Key("fault."+string(f)+"."+part), about)
}
