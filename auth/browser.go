package auth

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mcp-oauth2-proxy/auth/grants"
)

const (
	cookieBase = "mcp-oauth2-proxy-"
	maxSealed  = 3 << 10 // bytes of a request in a cookie
	maxPending = 8       // requests of one browser at one host
)

// Browser ties one browser to a request and to a session: it makes, reads and
// ends our cookies at one host.
type Browser struct {
	origin string
	secure bool
	mark   string // a short hash of the authority: cookies do not know ports
	aead   cipher.AEAD

	deflaters sync.Pool // of *flate.Writer: each measures a megabyte
}

// NewBrowser returns the cookies of the host at origin, sealed under a key of
// the store's secret, so that every replica opens them.
func NewBrowser(origin string, secret []byte) (*Browser, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "browser cookie", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the cookie key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive the cookie key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("derive the cookie key: %w", err)
	}
	scheme, _, _ := strings.Cut(origin, "://")
	return &Browser{origin: origin, secure: scheme == "https", mark: Mark(origin), aead: aead}, nil
}

// Mark names the host at origin in cookies, which do not know ports, and in
// states.
func Mark(origin string) string {
	_, authority, _ := strings.Cut(origin, "://")
	sum := sha256.Sum256([]byte(authority))
	return hex.EncodeToString(sum[:4])
}

// OwnCookie says whether a cookie is one of ours, at whatever host and in
// whatever case: browsers tell cases apart, other readers may not.
func OwnCookie(name string) bool {
	return strings.HasPrefix(strings.TrimPrefix(strings.ToLower(name), "__host-"), cookieBase)
}

// carried is what a browser carries for one request: the request itself until
// it is approved, then only the secret that names it.
type carried struct {
	Request   *grants.Request `json:"q,omitempty"`
	Secret    string          `json:"k,omitempty"`
	Challenge string          `json:"c,omitempty"` // of a passkey
	Owner     string          `json:"o,omitempty"` // who was asked for one, or has signed in here
}

// newID names a request. It begins with the time, so that the oldest of
// several is the smallest.
func newID(now time.Time) string {
	return fmt.Sprintf("%09x", now.Unix()) + strings.ToLower(rand.Text()[:16])
}

func validID(id string) bool {
	return len(id) == 25 && !strings.ContainsFunc(id, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') })
}

// cookie is the one place that decides how our cookies look. The prefix and
// Secure are left out on plain http, which is loopback: browsers drop them there.
func (b *Browser) cookie(kind, id, value string, life time.Duration) *http.Cookie {
	c := &http.Cookie{
		Name: cookieBase + kind + "-" + b.mark, Value: value, Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life.Seconds()),
	}
	if id != "" {
		c.Name += "-" + id
	}
	if value == "" {
		c.MaxAge = -1
	}
	if b.secure {
		c.Name, c.Secure = "__Host-"+c.Name, true
	}
	return c
}

// read returns the value of a cookie, if the browser sent exactly one.
func (b *Browser) read(r *http.Request, kind, id string) string {
	found := r.CookiesNamed(b.cookie(kind, id, "", 0).Name)
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// carry gives the browser a request to carry. Of too many the oldest goes.
func (b *Browser) carry(w http.ResponseWriter, r *http.Request, id string, what carried) error {
	c := b.cookie("r", id, "", grants.RequestLife)
	sealed, err := b.seal(c.Name, what)
	if err != nil {
		return err
	}
	if len(sealed) > maxSealed {
		return errTooLong
	}
	ids := b.pending(r)
	ids = slices.DeleteFunc(ids, func(other string) bool { return other == id })
	for len(ids) >= maxPending {
		http.SetCookie(w, b.cookie("r", ids[0], "", 0))
		ids = ids[1:]
	}
	http.SetCookie(w, b.cookie("r", id, sealed, grants.RequestLife))
	return nil
}

var errTooLong = errors.New("the request is too long")

// pending lists the requests that the browser carries here, oldest first.
func (b *Browser) pending(r *http.Request) []string {
	prefix := b.cookie("r", "", "", 0).Name + "-"
	var ids []string
	for _, c := range r.Cookies() {
		if id, ok := strings.CutPrefix(c.Name, prefix); ok && validID(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// carries returns what the browser carries under id.
func (b *Browser) carries(r *http.Request, id string) (carried, error) {
	if !validID(id) {
		return carried{}, errors.New("no request is named")
	}
	value := b.read(r, "r", id)
	if value == "" {
		return carried{}, errors.New("the browser carries no such request")
	}
	return b.open(b.cookie("r", id, "", 0).Name, value)
}

// drop ends what the browser carries under id.
func (b *Browser) drop(w http.ResponseWriter, id string) { http.SetCookie(w, b.cookie("r", id, "", 0)) }

// session is the secret of the browser's session; empty if it has none.
func (b *Browser) session(r *http.Request) string { return b.read(r, "s", "") }

func (b *Browser) setSession(w http.ResponseWriter, secret string, life time.Duration) {
	http.SetCookie(w, b.cookie("s", "", secret, life))
}

// carryChallenge gives the browser the challenge of a new passkey to carry.
func (b *Browser) carryChallenge(w http.ResponseWriter, what carried, life time.Duration) error {
	return b.set(w, "p", what, life)
}

// carriesChallenge returns the challenge that the browser carries.
func (b *Browser) carriesChallenge(r *http.Request) (carried, error) {
	return b.open(b.cookie("p", "", "", 0).Name, b.read(r, "p", ""))
}

// setDevice marks the browser as one in which somebody has signed in.
func (b *Browser) setDevice(w http.ResponseWriter, what carried, life time.Duration) error {
	return b.set(w, "d", what, life)
}

// device names the browser, if the owner has signed in here before.
func (b *Browser) device(r *http.Request, owner string) string {
	what, err := b.open(b.cookie("d", "", "", 0).Name, b.read(r, "d", ""))
	if err != nil || what.Owner != owner {
		return ""
	}
	return what.Secret
}

func (b *Browser) set(w http.ResponseWriter, kind string, what carried, life time.Duration) error {
	c := b.cookie(kind, "", "", life)
	sealed, err := b.seal(c.Name, what)
	if err != nil {
		return err
	}
	http.SetCookie(w, b.cookie(kind, "", sealed, life))
	return nil
}

func (b *Browser) seal(name string, what carried) (string, error) {
	plain, err := json.Marshal(what)
	if err != nil {
		return "", fmt.Errorf("seal a request: %w", err)
	}
	var small bytes.Buffer
	z, pooled := b.deflaters.Get().(*flate.Writer)
	if !pooled {
		if z, err = flate.NewWriter(nil, flate.BestCompression); err != nil {
			return "", fmt.Errorf("seal a request: %w", err)
		}
	}
	defer b.deflaters.Put(z)
	z.Reset(&small)
	if _, err := z.Write(plain); err != nil {
		return "", fmt.Errorf("seal a request: %w", err)
	}
	if err := z.Close(); err != nil {
		return "", fmt.Errorf("seal a request: %w", err)
	}
	nonce := make([]byte, b.aead.NonceSize())
	rand.Read(nonce) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b.aead.Seal(nonce, nonce, small.Bytes(), b.bound(name))), nil
}

// bound is what a sealed cookie is good for: its own name at its own host.
func (b *Browser) bound(name string) []byte {
	return []byte(strconv.Itoa(len(b.origin)) + b.origin + name)
}

func (b *Browser) open(name, value string) (carried, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(raw) < b.aead.NonceSize() {
		return carried{}, errors.New("open a request: not one of ours")
	}
	n := b.aead.NonceSize()
	small, err := b.aead.Open(nil, raw[:n], raw[n:], b.bound(name))
	if err != nil {
		return carried{}, errors.New("open a request: not one of ours")
	}
	// What was sealed was small, and nobody else can seal.
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(small)), 64<<10))
	if err != nil {
		return carried{}, fmt.Errorf("open a request: %w", err)
	}
	var what carried
	if err := json.Unmarshal(plain, &what); err != nil {
		return carried{}, fmt.Errorf("open a request: %w", err)
	}
	return what, nil
}
