package idptest

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// A Fault is a way for an endpoint to misbehave.
type Fault string

// The faults there are.
const (
	None     Fault = ""
	Slow     Fault = "slow"      // says nothing until the caller gives up
	Huge     Fault = "huge"      // valid JSON, larger than anybody should read
	NotJSON  Fault = "not JSON"  // 200 with a page
	Broken   Fault = "broken"    // 500 with a page
	Limited  Fault = "limited"   // 429
	Redirect Fault = "redirect"  // elsewhere, secrets and all
	HangUp   Fault = "hangs up"  // closes the connection
	Refusing Fault = "refusing"  // 403 in JSON
	Unknown  Fault = "not found" // 404 in JSON
)

// Fail makes the endpoint at path misbehave, None ends that. A path is one of
// the constants, or a whole path of an API.
func (s *site) Fail(path string, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[path] = f
}

// Canned is an answer that a test writes itself.
type Canned struct {
	Status int // 0: 200
	Header map[string]string
	Body   string // JSON
}

// Say makes the endpoint at path give that answer and no other.
func (s *site) Say(path string, c Canned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.canned[path] = c
}

func (c Canned) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	for name, value := range c.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(cmp.Or(c.Status, http.StatusOK))
	_, _ = io.WriteString(w, c.Body)
}

func (s *site) failing(base string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if base != "" {
			path = strings.TrimPrefix(path, base)
		}
		s.mu.Lock()
		s.seen = append(s.seen, path)
		fault := s.faults[path]
		canned, ok := s.canned[path]
		s.mu.Unlock()
		switch {
		case ok:
			canned.write(w)
		case fault != None:
			s.fail(w, r, fault)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *site) fail(w http.ResponseWriter, r *http.Request, fault Fault) {
	switch fault {
	case Slow:
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the caller left
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
	case Huge:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"sub":"1815","padding":%q}`, strings.Repeat("x", 4<<20))
	case NotJSON:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<h1>Under maintenance</h1>")
	case Limited:
		w.Header().Set("Retry-After", "60")
		writeJSON(w, http.StatusTooManyRequests, map[string]string{"message": "slow down"})
	case Redirect:
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusTemporaryRedirect)
	case HangUp:
		panic(http.ErrAbortHandler)
	case Refusing:
		writeJSON(w, http.StatusForbidden, map[string]string{"message": "Forbidden"})
	case Unknown:
		writeJSON(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
	default:
		http.Error(w, "<h1>Internal error</h1>", http.StatusInternalServerError)
	}
}
