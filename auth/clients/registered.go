package clients

import (
	"bytes"
	"compress/flate"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

const (
	// maxID is what an id may measure: it travels in URLs, cookies and tokens.
	maxID = 1024
	// prefix names the format: "r", then the version of everything below it.
	prefix = "r1."
	// tagSize: forging a tag takes asking us 2^128 times.
	tagSize = 16
	// maxInflated bounds what an id can grow to, should ever the key leak.
	maxInflated = 64 << 10
)

// dictionary is what registrations have in common, the most frequent last. It
// is part of the format: changed, no id made before it could be read.
const dictionary = `{"n":"ChatGPT","r":["https://chatgpt.com/connector_platform_oauth_redirect"]` +
	`"https://insiders.vscode.dev/redirect","https://vscode.dev/redirect","http://127.0.0.1/","http://127.0.0.1:33418/"` +
	`"https://www.cursor.com/agents/mcp/oauth/callback","cursor://anysphere.cursor-mcp/oauth/callback","http://localhost:8787/callback"` +
	`{"n":"Claude Code","r":["https://claude.com/api/mcp/auth_callback","https://claude.ai/api/mcp/auth_callback"` +
	`"http://127.0.0.1:19876/mcp/oauth/callback","http://localhost:6274/oauth/callback/debug"` +
	`"],"m":"b","g":"c","x":""],"m":"p","t":"n","g":"cr","r":["http://localhost:3"http://127.0.0.1:5"],"m":"n","g":"cr"}`

var errNotOurs = errors.New("the id was not made here for this issuer")

// ids makes and reads the ids of registered clients. An id is
//
//	"r1." base64url( HMAC(key, issuer NUL body)[:16] body ),  body = deflate(JSON)
//
// so nothing has to be stored and nobody else can make one. The body is not
// secret: it is what the client said of itself.
type ids struct {
	key, secretKey []byte
	deflaters      sync.Pool // of *flate.Writer: each measures a megabyte
	inflaters      sync.Pool
}

// sealed is a registration as the body spells it: short, for a short id.
type sealed struct {
	Name         string   `json:"n,omitempty"`
	RedirectURIs []string `json:"r"`
	Method       string   `json:"m"`           // n, b or p
	Type         string   `json:"t,omitempty"` // n: native
	Grants       string   `json:"g"`           // c: code, r: refresh
	Salt         string   `json:"x,omitempty"` // of a client with a secret: no other gets the same
}

var methodLetters = map[string]string{MethodNone: "n", MethodSecretBasic: "b", MethodSecretPost: "p"}

func newIDs(secret []byte) (*ids, error) {
	if len(secret) < 32 {
		return nil, errors.New("clients: the secret is shorter than 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "mcp-oauth2-proxy registered client id", 32)
	if err != nil {
		return nil, fmt.Errorf("clients: derive the key of client ids: %w", err)
	}
	secretKey, err := hkdf.Key(sha256.New, secret, nil, "mcp-oauth2-proxy registered client secret", 32)
	if err != nil {
		return nil, fmt.Errorf("clients: derive the key of client secrets: %w", err)
	}
	return &ids{key: key, secretKey: secretKey}, nil
}

// encode makes the id. The same metadata gives the same one, unless there is a
// secret to keep apart.
func (s *ids) encode(issuer string, meta metadata) (string, error) {
	short := sealed{Name: meta.Name, RedirectURIs: meta.RedirectURIs, Method: methodLetters[meta.Method], Grants: "c"}
	if meta.Type == typeNative {
		short.Type = "n"
	}
	if len(meta.Grants) > 1 {
		short.Grants = "cr"
	}
	if meta.Method != MethodNone {
		short.Salt = rand.Text()
	}
	body, err := s.deflate(short)
	if err != nil {
		return "", fmt.Errorf("encode a client id: %w", err)
	}
	id := prefix + base64.RawURLEncoding.EncodeToString(append(s.tag(issuer, body), body...))
	if len(id) > maxID {
		return "", fmt.Errorf("a client id of %d characters", len(id))
	}
	return id, nil
}

// decode reads an id that encode made for this issuer, and no other text:
// alphabet and length are checked first, because a lenient decoder would give
// one client several ids.
func (s *ids) decode(issuer, id string) (metadata, error) {
	text, ok := strings.CutPrefix(id, prefix)
	if !ok || len(id) > maxID || strings.ContainsAny(text, "\r\n") {
		return metadata{}, errNotOurs
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) <= tagSize {
		return metadata{}, errNotOurs
	}
	tag, body := raw[:tagSize], raw[tagSize:]
	if !hmac.Equal(tag, s.tag(issuer, body)) {
		return metadata{}, errNotOurs
	}
	short, err := s.inflate(body)
	if err != nil {
		return metadata{}, fmt.Errorf("read a client id of our own: %w", err)
	}
	return short.metadata()
}

func (s sealed) metadata() (metadata, error) {
	meta := metadata{Name: s.Name, RedirectURIs: s.RedirectURIs, Type: typeWeb, Grants: []string{grantCode}}
	for method, letter := range methodLetters {
		if s.Method == letter {
			meta.Method = method
		}
	}
	if meta.Method == "" {
		return meta, fmt.Errorf("read a client id of our own: method %q", s.Method)
	}
	if s.Type == "n" {
		meta.Type = typeNative
	}
	if s.Grants == "cr" {
		meta.Grants = append(meta.Grants, grantRefresh)
	}
	return meta, nil
}

// secret is derived from the id, so it needs no storing either. Whoever knows
// the id cannot tell it: it takes the key.
func (s *ids) secret(id string) string {
	mac := hmac.New(sha256.New, s.secretKey)
	mac.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *ids) tag(issuer string, body []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(issuer)) // a URL, so the NUL ends it without doubt
	mac.Write([]byte{0})
	mac.Write(body)
	return mac.Sum(nil)[:tagSize]
}

func (s *ids) deflate(short sealed) ([]byte, error) {
	var out bytes.Buffer
	w, ok := s.deflaters.Get().(*flate.Writer)
	if ok {
		w.Reset(&out)
	} else {
		var err error
		if w, err = flate.NewWriterDict(&out, flate.BestCompression, []byte(dictionary)); err != nil {
			return nil, err
		}
	}
	defer s.deflaters.Put(w)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // an '&' would measure six characters
	if err := enc.Encode(short); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (s *ids) inflate(body []byte) (sealed, error) {
	var short sealed
	in, ok := s.inflaters.Get().(io.ReadCloser)
	if !ok {
		in = flate.NewReaderDict(nil, []byte(dictionary))
	}
	defer s.inflaters.Put(in)
	if err := in.(flate.Resetter).Reset(bytes.NewReader(body), []byte(dictionary)); err != nil {
		return short, err
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInflated))
	if err != nil {
		return short, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	return short, dec.Decode(&short)
}
