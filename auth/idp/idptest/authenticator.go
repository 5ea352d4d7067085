package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"
)

// An Authenticator is a device with one passkey, and the browser around it. It
// writes what WebAuthn prescribes byte for byte, with no library that also
// reads it.
type Authenticator struct {
	Origin     string // where the browser says that it is
	Count      uint32 // signatures so far; the next one says one more
	Shared     bool   // the passkey is shared among devices, so it does not count
	Unverified bool   // it lets anybody who touches it sign

	key    *ecdsa.PrivateKey
	id     []byte
	handle string
}

// NewAuthenticator returns a device in a browser that shows pages of origin.
func NewAuthenticator(t testing.TB, origin string) *Authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Authenticator{Origin: origin, key: key, id: []byte(random())}
}

// Clone returns a second device with the same passkey.
func (a *Authenticator) Clone() *Authenticator {
	c := *a
	return &c
}

// ID is how the credential is known, as JSON has it.
func (a *Authenticator) ID() string { return b64(a.id) }

type asked struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
}

// Create answers navigator.credentials.create: the JSON of a credential.
func (a *Authenticator) Create(t testing.TB, ask string) string {
	t.Helper()
	q := readAsk(t, ask)
	a.handle = q.User.ID
	data := a.data(q.RP.ID, 0x40) // AT: with the credential
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), a.cose()...)
	object := append([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"), byte(len(data)>>8), byte(len(data)))
	return a.credential(map[string]any{
		"clientDataJSON": b64(a.client("webauthn.create", q.Challenge)), "attestationObject": b64(append(object, data...)), "transports": []string{"internal"},
	})
}

// Get answers navigator.credentials.get.
func (a *Authenticator) Get(t testing.TB, ask string) string {
	t.Helper()
	q := readAsk(t, ask)
	if !a.Shared {
		a.Count++
	}
	client, data := a.client("webauthn.get", q.Challenge), a.data(q.RPID, 0)
	hash := sha256.Sum256(client)
	signed := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, signed[:])
	if err != nil {
		t.Fatal(err)
	}
	return a.credential(map[string]any{
		"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": a.handle,
	})
}

func (a *Authenticator) credential(response map[string]any) string {
	b, _ := json.Marshal(map[string]any{
		"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
		"authenticatorAttachment": "platform",
	})
	return string(b)
}

// client is the client data of WebAuthn §5.8.1.
func (a *Authenticator) client(kind, challenge string) []byte {
	b, _ := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	return b
}

// data is the authenticator data of WebAuthn §6.1 without extensions.
func (a *Authenticator) data(rpID string, flags byte) []byte {
	if flags |= 0x01; !a.Unverified { // UP: somebody touched it
		flags |= 0x04 // UV: it knows who
	}
	if a.Shared {
		flags |= 0x18 // BE, BS: there is a copy of it
	}
	hash := sha256.Sum256([]byte(rpID))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), a.Count)
}

// cose is the public key as RFC 9053 §7.1 writes it: EC2, ES256, P-256.
func (a *Authenticator) cose() []byte {
	point, _ := a.key.PublicKey.Bytes() // 4, x, y
	out := append([]byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"), point[1:33]...)
	return append(append(out, "\x22\x58\x20"...), point[33:]...)
}

func readAsk(t testing.TB, ask string) asked {
	t.Helper()
	var q asked
	if err := json.Unmarshal([]byte(ask), &q); err != nil || q.Challenge == "" {
		t.Fatalf("the browser was asked %q: %v", ask, err)
	}
	return q
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
