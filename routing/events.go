package routing

import (
	"bytes"
	"fmt"
	"io"
)

// shortened is an event stream in which events that may hold a list of tools
// are edited. All else passes byte for byte, as soon as an event is complete.
type shortened struct {
	io.ReadCloser
	limit int64
	edit  func(message []byte) ([]byte, error)

	held  []byte // what has come of an event
	seen  int    // how far into held there is no end of an event
	ready []byte // what may go
	owed  bool   // an edited event ended in a CR, whose LF may still come
	err   error
}

// Read reads on.
func (s *shortened) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		n, err := s.ReadCloser.Read(p)
		s.held = append(s.held, p[:n]...)
		if s.take(); err != nil && s.err == nil {
			s.err = err
			if err == io.EOF && len(s.held) > 0 { // some clients take it for an event
				s.event(s.held)
				s.held = nil
			}
		}
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// take lets go of what is complete.
func (s *shortened) take() {
	if s.owed && len(s.held) > 0 {
		s.held, s.owed = bytes.TrimPrefix(s.held, []byte("\n")), false
	}
	for s.err == nil {
		end := s.end()
		if end < 0 {
			break
		}
		s.event(s.held[:end])
		s.held, s.seen = s.held[end:], 0
	}
	if int64(len(s.held)) > s.limit && s.err == nil {
		s.err = fmt.Errorf("%w: an event is over %d bytes", errUnreadable, s.limit)
	}
}

// end is where the first thing ends that can go: an event, or a comment in
// front of it, which keeps connections awake.
func (s *shortened) end() int {
	comment := len(s.held) > 0 && s.held[0] == ':'
	for s.seen < len(s.held) {
		i := bytes.IndexAny(s.held[s.seen:], "\r\n")
		if i < 0 {
			return -1
		}
		at := s.seen + i
		after := at + 1
		if s.held[at] == '\r' {
			if after == len(s.held) && i > 0 && !comment {
				return -1 // there may be more of the line's end
			}
			if after < len(s.held) && s.held[after] == '\n' {
				after++
			}
		}
		if s.seen = after; i == 0 || comment {
			return after
		}
	}
	return -1
}

// event lets an event go, edited where it must be.
func (s *shortened) event(event []byte) {
	if !bytes.Contains(event, []byte("tools")) && !bytes.Contains(event, []byte(`\u`)) {
		s.ready = append(s.ready, event...)
		return
	}
	var data, rest []byte
	for line := range bytes.FieldsFuncSeq(event, func(r rune) bool { return r == '\r' || r == '\n' }) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != "data" {
			rest = append(append(rest, line...), '\n')
			continue
		}
		data = append(append(data, bytes.TrimPrefix(value, []byte(" "))...), '\n')
	}
	if trimmed := bytes.TrimLeft(data, " \t\n"); len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' { // no message
		s.ready = append(s.ready, event...)
		return
	}
	data = data[:len(data)-1]
	edited, err := s.edit(data)
	switch {
	case err != nil:
		s.err = err
	case bytes.Equal(edited, data):
		s.ready = append(s.ready, event...)
	default:
		s.ready = append(append(append(append(s.ready, rest...), "data: "...), edited...), "\n\n"...)
		s.owed = len(event) == len(s.held) && event[len(event)-1] == '\r'
	}
}
