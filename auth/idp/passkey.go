package idp

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Passkeys are the ceremonies of WebAuthn at one host: what its browsers are
// asked, and what their answers prove. It keeps nothing: challenges and
// credentials are the caller's.
type Passkeys struct {
	rp     *webauthn.WebAuthn
	secret []byte
}

// A Passkey is what has to be kept of a credential.
type Passkey struct {
	ID         []byte
	Key        []byte // COSE
	Flags      byte
	Count      uint32
	Transports []string
}

// NewPasskeys returns the ceremonies of the host at origin, which people know
// by name; nil if it can have none: browsers want a domain for the RP ID, and
// an address is no domain (WebAuthn §5.1.2). secret names users to
// authenticators, without saying who they are.
func NewPasskeys(origin, name string, secret []byte) (*Passkeys, error) {
	u, err := url.Parse(origin)
	if err != nil {
		return nil, fmt.Errorf("passkeys: %w", err)
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return nil, nil
	}
	rp, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: name, RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation, // any authenticator will do
		// It stands in for user name and password: so the authenticator has to
		// know the user, and to have the person prove who they are.
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		// Some password managers answer what nobody asked; we read none of it.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkeys of %s: %w", origin, err)
	}
	return &Passkeys{rp, secret}, nil
}

// Host is the RP ID: the only host where browsers offer what is made here.
func (p *Passkeys) Host() string { return p.rp.Config.RPID }

// NewChallenge returns a challenge for one ceremony in one browser.
func NewChallenge() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails: it ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// owner is a user as the library wants one.
type owner struct {
	handle []byte
	name   string
	keys   []webauthn.Credential
}

func (o owner) WebAuthnID() []byte                         { return o.handle }
func (o owner) WebAuthnName() string                       { return o.name }
func (o owner) WebAuthnDisplayName() string                { return o.name }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.keys }

// handle is how authenticators know an owner. They may show it to anybody who
// finds them, so it says nothing (WebAuthn §14.6.1).
func (p *Passkeys) handle(who string) []byte {
	mac := hmac.New(sha256.New, p.secret)
	mac.Write([]byte("passkey user handle:" + who))
	return mac.Sum(nil)
}

// AskNew returns what navigator.credentials.create is given, as JSON, so that
// who gets a passkey besides those they have. name is what they know their
// account by.
func (p *Passkeys) AskNew(who, name, challenge string, have []Passkey) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return "", fmt.Errorf("ask for a new passkey: %w", err)
	}
	var known []protocol.CredentialDescriptor
	for _, k := range have {
		known = append(known, protocol.CredentialDescriptor{
			Type: protocol.PublicKeyCredentialType, CredentialID: k.ID, Transport: transports(k.Transports),
		})
	}
	options, _, err := p.rp.BeginRegistration(owner{handle: p.handle(who), name: name}, webauthn.WithExclusions(known),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = raw
			return nil
		})
	if err != nil {
		return "", fmt.Errorf("ask for a new passkey: %w", err)
	}
	return asJSON(options.Response)
}

// New returns the passkey that a browser made for who when it was asked with
// challenge. The error is ErrInvalid.
func (p *Passkeys) New(who, challenge, answer string) (Passkey, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(answer))
	if err != nil {
		return Passkey{}, passkeyFault(err)
	}
	handle := p.handle(who)
	made, err := p.rp.CreateCredential(owner{handle: handle}, webauthn.SessionData{
		Challenge: challenge, UserID: handle, UserVerification: protocol.VerificationRequired,
		CredParams: webauthn.CredentialParametersDefault(),
	}, parsed)
	if err != nil {
		return Passkey{}, passkeyFault(err)
	}
	out := Passkey{ID: made.ID, Key: made.PublicKey, Flags: byte(made.Flags.ProtocolValue()), Count: made.Authenticator.SignCount}
	for _, t := range made.Transport {
		out.Transports = append(out.Transports, string(t))
	}
	return out, nil
}

// Ask returns what navigator.credentials.get is given, as JSON. Nobody is
// named: the authenticator knows whose passkeys it has.
func (p *Passkeys) Ask(challenge string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(challenge)
	if err != nil {
		return "", fmt.Errorf("ask for a passkey: %w", err)
	}
	options, _, err := p.rp.BeginDiscoverableLogin(func(o *protocol.PublicKeyCredentialRequestOptions) error {
		o.Challenge, o.UserVerification = raw, protocol.VerificationRequired
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("ask for a passkey: %w", err)
	}
	return asJSON(options.Response)
}

// Proof is who signed a challenge, and with what. The caller still has to hold
// Count against the last one, at once with noting it.
type Proof struct {
	Owner string
	Passkey
}

// Verify returns what an answer proves that a browser gave when it was asked
// with challenge. find looks a credential up, and says whose it is. The error
// is ErrInvalid, or that of find.
func (p *Passkeys) Verify(challenge, answer string, find func(id []byte) (who string, key Passkey, err error)) (Proof, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return Proof{}, passkeyFault(err)
	}
	who, kept, err := find(parsed.RawID)
	if err != nil {
		return Proof{}, err
	}
	session := webauthn.SessionData{Challenge: challenge, UserVerification: protocol.VerificationRequired}
	_, used, err := p.rp.ValidatePasskeyLogin(func(id, handle []byte) (webauthn.User, error) {
		if !bytes.Equal(id, kept.ID) {
			return nil, errors.New("another credential was looked up")
		}
		return owner{handle: p.handle(who), keys: []webauthn.Credential{kept.credential()}}, nil
	}, session, parsed)
	if err != nil {
		return Proof{}, passkeyFault(err)
	}
	kept.Flags, kept.Count = byte(used.Flags.ProtocolValue()), parsed.Response.AuthenticatorData.Counter
	return Proof{who, kept}, nil
}

func (k Passkey) credential() webauthn.Credential {
	return webauthn.Credential{
		ID: k.ID, PublicKey: k.Key, Transport: transports(k.Transports),
		Flags:         webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(k.Flags)),
		Authenticator: webauthn.Authenticator{SignCount: k.Count},
	}
}

func transports(names []string) []protocol.AuthenticatorTransport {
	var out []protocol.AuthenticatorTransport
	for _, name := range names {
		out = append(out, protocol.AuthenticatorTransport(name))
	}
	return out
}

// passkeyFault is ErrInvalid with what the library knows, which is for the log.
func passkeyFault(err error) error {
	var fault *protocol.Error
	if errors.As(err, &fault) {
		return fmt.Errorf("%w: passkey: %s (%.200q)", ErrInvalid, fault.Details, fault.DevInfo)
	}
	return fmt.Errorf("%w: passkey: %w", ErrInvalid, err)
}

func asJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("passkey options: %w", err)
	}
	return string(b), nil
}
