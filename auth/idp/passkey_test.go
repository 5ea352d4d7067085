package idp_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/auth/idp/idptest"
)

const site = "https://mcp.example.com:8443"

func newPasskeys(t *testing.T, origin string) *idp.Passkeys {
	t.Helper()
	p, err := idp.NewPasskeys(origin, "Toolbox", []byte("a secret of the store"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// made is a passkey of ada, and the device that has it.
func made(t *testing.T, p *idp.Passkeys, device *idptest.Authenticator) idp.Passkey {
	t.Helper()
	challenge := idp.NewChallenge()
	ask, err := p.AskNew("local:ada", "ada@example.com", challenge, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := p.New("local:ada", challenge, device.Create(t, ask))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPasskeysAskForWhatReplacesAPassword(t *testing.T) {
	p := newPasskeys(t, site)
	if p.Host() != "mcp.example.com" {
		t.Errorf("the RP ID is %q, want the host without its port", p.Host())
	}
	known := made(t, p, idptest.NewAuthenticator(t, site))
	ask, err := p.AskNew("local:ada", "ada@example.com", idp.NewChallenge(), []idp.Passkey{known})
	if err != nil {
		t.Fatal(err)
	}
	var create struct {
		RP      struct{ ID, Name string }
		User    struct{ ID, Name, DisplayName string }
		Exclude []struct{ ID string } `json:"excludeCredentials"`
		Device  struct {
			ResidentKey      string
			UserVerification string
		} `json:"authenticatorSelection"`
		Attestation string
	}
	if err := json.Unmarshal([]byte(ask), &create); err != nil {
		t.Fatal(err)
	}
	if create.RP.ID != "mcp.example.com" || create.RP.Name != "Toolbox" || create.User.Name != "ada@example.com" ||
		create.Device.ResidentKey != "required" || create.Device.UserVerification != "required" || create.Attestation != "none" || len(create.Exclude) != 1 {
		t.Errorf("the browser is asked %s", ask)
	}
	if strings.Contains(create.User.ID, "ada") || len(create.User.ID) != 43 {
		t.Errorf("the user handle is %q, which says who it is", create.User.ID)
	}
	again, err := p.Ask(idp.NewChallenge())
	if err != nil || strings.Contains(again, "allowCredentials") || !strings.Contains(again, `"userVerification":"required"`) {
		t.Errorf("the sign-in asks %s (%v)", again, err)
	}
}

func TestAddressesHaveNoPasskeys(t *testing.T) {
	for _, origin := range []string{"http://127.0.0.1:8080", "https://[::1]:8443", "https://192.0.2.1"} {
		if p := newPasskeys(t, origin); p != nil {
			t.Errorf("%s has passkeys, though no browser would make one", origin)
		}
	}
	if p := newPasskeys(t, "http://localhost:8080"); p == nil || p.Host() != "localhost" {
		t.Error("localhost has no passkeys")
	}
}

func TestPasskeyProves(t *testing.T) {
	p := newPasskeys(t, site)
	for name, shared := range map[string]bool{"one device": false, "a shared passkey": true} {
		device := idptest.NewAuthenticator(t, site)
		device.Shared = shared
		key := made(t, p, device)
		challenge := idp.NewChallenge()
		ask, err := p.Ask(challenge)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := p.Verify(challenge, device.Get(t, ask), func(id []byte) (string, idp.Passkey, error) {
			if string(id) != string(key.ID) {
				t.Errorf("%s: another credential is looked up", name)
			}
			return "local:ada", key, nil
		})
		if err != nil || proof.Owner != "local:ada" || proof.Count != device.Count {
			t.Errorf("%s: %+v, %v", name, proof, err)
		}
	}
}

func TestPasskeyThatProvesNothing(t *testing.T) {
	p := newPasskeys(t, site)
	device := idptest.NewAuthenticator(t, site)
	key := made(t, p, device)
	other := made(t, p, idptest.NewAuthenticator(t, site))
	challenge := idp.NewChallenge()
	ask, err := p.Ask(challenge)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, loose := device.Clone(), device.Clone()
	elsewhere.Origin, loose.Unverified = "https://evil.example.com", true
	good := device.Get(t, ask)
	spoilt := strings.Replace(good, `"signature":"M`, `"signature":"N`, 1)
	for name, tc := range map[string]struct {
		challenge, answer, owner string
		key                      idp.Passkey
	}{
		"a challenge of another browser":             {idp.NewChallenge(), good, "local:ada", key},
		"no challenge":                               {"", good, "local:ada", key},
		"a page of another host":                     {challenge, elsewhere.Get(t, ask), "local:ada", key},
		"a device that does not know who touches it": {challenge, loose.Get(t, ask), "local:ada", key},
		"another key":                                {challenge, good, "local:ada", idp.Passkey{ID: key.ID, Key: other.Key, Flags: key.Flags}},
		"another credential":                         {challenge, good, "local:ada", other},
		"another user":                               {challenge, good, "local:bob", key},
		"another signature":                          {challenge, spoilt, "local:ada", key},
		"the answer of a registration":               {challenge, idptest.NewAuthenticator(t, site).Create(t, ask), "local:ada", key},
		"no JSON":                                    {challenge, "signed, ada", "local:ada", key},
		"nothing":                                    {challenge, "", "local:ada", key},
		"a null":                                     {challenge, "null", "local:ada", key},
	} {
		t.Run(name, func(t *testing.T) {
			proof, err := p.Verify(tc.challenge, tc.answer, func([]byte) (string, idp.Passkey, error) { return tc.owner, tc.key, nil })
			if !errors.Is(err, idp.ErrInvalid) || proof.Owner != "" {
				t.Errorf("got %+v, %v", proof, err)
			}
		})
	}
	gone := errors.New("there is none")
	if _, err := p.Verify(challenge, good, func([]byte) (string, idp.Passkey, error) { return "", idp.Passkey{}, gone }); !errors.Is(err, gone) {
		t.Errorf("a credential that is not kept: %v", err)
	}
	if proof, err := p.Verify(challenge, good, func([]byte) (string, idp.Passkey, error) { return "local:ada", key, nil }); err != nil {
		t.Errorf("after all that, a good answer is refused: %+v, %v", proof, err)
	}
}

func TestPasskeyThatIsNotMade(t *testing.T) {
	p := newPasskeys(t, site)
	challenge := idp.NewChallenge()
	ask, err := p.AskNew("local:ada", "ada", challenge, nil)
	if err != nil {
		t.Fatal(err)
	}
	device, elsewhere, loose := idptest.NewAuthenticator(t, site), idptest.NewAuthenticator(t, "https://evil.example.com"), idptest.NewAuthenticator(t, site)
	loose.Unverified = true
	otherHost := strings.ReplaceAll(ask, `"id":"mcp.example.com"`, `"id":"example.com"`)
	for name, tc := range map[string]struct{ challenge, answer string }{
		"a challenge of another browser":             {idp.NewChallenge(), device.Create(t, ask)},
		"a page of another host":                     {challenge, elsewhere.Create(t, ask)},
		"a credential of another host":               {challenge, device.Create(t, otherHost)},
		"a device that does not know who touches it": {challenge, loose.Create(t, ask)},
		"the answer of a sign-in":                    {challenge, device.Get(t, ask)},
		"nothing":                                    {challenge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if key, err := p.New("local:ada", tc.challenge, tc.answer); !errors.Is(err, idp.ErrInvalid) || key.ID != nil {
				t.Errorf("got %+v, %v", key, err)
			}
		})
	}
}

func FuzzPasskeyAnswer(f *testing.F) {
	p, err := idp.NewPasskeys(site, "Toolbox", []byte("a secret of the store"))
	if err != nil {
		f.Fatal(err)
	}
	device := idptest.NewAuthenticator(f, site)
	ask, err := p.AskNew("local:ada", "ada", idp.NewChallenge(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(device.Create(f, ask))
	f.Add(device.Get(f, ask))
	f.Add(`{"id":"AA","rawId":"AA","type":"public-key","response":{}}`)
	f.Fuzz(func(t *testing.T, answer string) {
		// Nobody signed this challenge, whatever the bytes.
		if proof, err := p.Verify(idp.NewChallenge(), answer, func([]byte) (string, idp.Passkey, error) { return "local:ada", idp.Passkey{}, nil }); err == nil {
			t.Errorf("believed %+v", proof)
		}
		if key, err := p.New("local:ada", idp.NewChallenge(), answer); err == nil {
			t.Errorf("made %+v", key)
		}
	})
}
