package routing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"net/http"
	"strings"
)

// ErrSession is why OnError is told to answer 404: the request names a session
// that is not the caller's. What is nobody's is answered alike, so that nobody
// learns which sessions there are; a client that gets it begins a new one.
var ErrSession = errors.New("the session is not the caller's")

const sessionHeader = "Mcp-Session-Id"

// The id of a session, as a client sees it, ends in a dot and these many
// characters, which nobody else could have made.
const (
	tagBytes = 16
	tagChars = 22
)

// sessionless is the first revision of MCP without sessions: an id that is sent
// all the same means nothing there.
const sessionless = "2026-07-28"

// binds tells whether sessions belong to somebody here.
func (r *Route) binds(caller *Caller) bool {
	return len(r.options.SessionKey) > 0 && caller != nil && !r.Public
}

// bound returns a session's id as its caller may see it. It is the same every
// time, for servers repeat the id in every answer; nothing is stored.
func (r *Route) bound(id string, caller *Caller) string {
	tag := r.tag(id, caller)
	return id + "." + string(tag[:])
}

// unbound returns the id that the MCP server knows, or false if it was not
// given to this caller at this host.
func (r *Route) unbound(seen string, caller *Caller) (string, bool) {
	end := len(seen) - tagChars - 1
	if end < 1 || seen[end] != '.' {
		return "", false
	}
	id := seen[:end]
	tag := r.tag(id, caller)
	return id, hmac.Equal(tag[:], []byte(seen[end+1:]))
}

// tag says for whom an id was minted. The length stands before each part, so
// that no two callers are spelled alike.
func (r *Route) tag(id string, caller *Caller) (tag [tagChars]byte) {
	t, ok := r.taggers.Get().(*tagger)
	if !ok {
		t = &tagger{mac: hmac.New(sha256.New, r.options.SessionKey)}
	}
	defer r.taggers.Put(t)
	t.text = t.text[:0]
	for _, part := range [...]string{r.Host, caller.Subject, caller.ClientID, id} {
		t.text = append(binary.AppendUvarint(t.text, uint64(len(part))), part...)
	}
	t.mac.Reset()
	t.mac.Write(t.text)
	base64.RawURLEncoding.Encode(tag[:], t.mac.Sum(t.sum[:0])[:tagBytes])
	return tag
}

// A tagger is used again: to make one costs more than a tag, of which every call
// needs two.
type tagger struct {
	mac  hash.Hash
	text []byte
	sum  [sha256.Size]byte
}

// sessions reads which sessions a request names, in its header and, where it
// posts a message of the transport of 2024-11-05, in its query, and notes them as
// the MCP server knows them. It returns false if one is not the caller's.
func (x *exchange) sessions() bool {
	x.session, x.query = x.req.Header[sessionHeader], x.req.URL.RawQuery
	if !x.route.binds(x.caller) {
		return true
	}
	ok := x.headerSession()
	if ok && x.req.Method == http.MethodPost {
		x.query, ok = x.route.querySession(x.query, x.caller)
	}
	return ok
}

func (x *exchange) headerSession() bool {
	seen, version := x.session, x.req.Header["Mcp-Protocol-Version"]
	if x.session = nil; len(seen) == 0 {
		return true
	}
	if len(seen) == 1 {
		if id, ok := x.route.unbound(seen[0], x.caller); ok {
			x.sessionRoom[0] = id
			x.session = x.sessionRoom[:]
			return true
		}
	}
	// Not passed on even where it has no meaning: the MCP server may speak the
	// older revisions too, whatever the request says.
	return len(version) == 1 && len(version[0]) == len(sessionless) && version[0] >= sessionless
}

// querySession takes the tags out of a query. All else stays as it was written.
func (r *Route) querySession(query string, caller *Caller) (string, bool) {
	ok := true
	query = eachSession(query, func(written, id string) string {
		plain, isOurs := r.unbound(id, caller)
		tag := id[len(plain):]
		if !isOurs || !strings.HasSuffix(written, tag) {
			ok = false
			return written
		}
		return strings.TrimSuffix(written, tag)
	})
	return query, ok
}
