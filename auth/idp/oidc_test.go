package idp_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp"
	"mcp-oauth2-proxy/auth/idp/idptest"
)

func TestOpenIDSignIn(t *testing.T) {
	server := idptest.New(t)
	p := newProvider(t, openID(server), server.Client())
	id, err := signIn(t, p, server.Visit)
	if err != nil {
		t.Fatal(err)
	}
	if id.Subject != "company:1815" || id.Provider != "company" || id.ID != "1815" {
		t.Errorf("T19: the subject is not namespaced: %+v", id)
	}
	if id.Email != "ada@example.com" || id.Username != "ada" || id.Name != "Ada Lovelace" || !slices.Equal(id.Groups, []string{"analysts"}) {
		t.Errorf("a claim is missing: %+v", id)
	}
	if server.Asked(idptest.UserInfo) != 0 {
		t.Error("userinfo was asked although the ID token says everything")
	}
}

func TestOpenIDBegin(t *testing.T) {
	server := idptest.New(t)
	p := newProvider(t, openID(server), server.Client())
	for prompt, sent := range map[string]string{
		"": "", "login": "login", "none": "", "login bogus consent": "login consent",
		"select_account": "login", "consent select_account": "consent login", "select_account login": "login", // not every provider knows it
	} {
		a := attempt
		a.Prompt = prompt
		begin, err := p.Flow.Begin(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(begin)
		q := u.Query()
		if q.Get("prompt") != sent {
			t.Errorf("prompt %q is sent as %q, want %q", prompt, q.Get("prompt"), sent)
		}
		for name, value := range map[string]string{
			"response_type": "code", "client_id": idptest.ClientID, "redirect_uri": callback,
			"state": attempt.State, "nonce": attempt.Nonce, "code_challenge_method": "S256", "scope": "openid profile email",
		} {
			if q.Get(name) != value {
				t.Errorf("S10: %s is %q, want %q", name, q.Get(name), value)
			}
		}
		if q.Get("code_challenge") == attempt.Verifier || len(q.Get("code_challenge")) != 43 {
			t.Errorf("S10: code_challenge %q", q.Get("code_challenge"))
		}
	}
	if _, err := p.Flow.Begin(t.Context(), idp.Attempt{RedirectURI: callback, State: "s", Verifier: "v"}); err == nil {
		t.Error("an attempt without a nonce began")
	}
}

func TestOpenIDPicksAnAccountWhereTheProviderCan(t *testing.T) {
	begins := func(p *idp.Provider) string {
		a := attempt
		a.Prompt = "select_account"
		begin, err := p.Flow.Begin(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(begin)
		return u.Query().Get("prompt")
	}
	server, google, microsoft, github := idptest.New(t), idptest.NewGoogle(t), idptest.NewMicrosoft(t), idptest.NewGitHub(t)
	server.Advertise(map[string]any{"prompt_values_supported": []string{"login", "select_account"}})
	config := func(name, tenant string) idp.Config {
		return idp.Config{Name: name, Tenant: tenant, AllowAnyone: true, ClientID: idptest.ClientID, ClientSecret: idptest.ClientSecret}
	}
	for name, p := range map[string]*idp.Provider{
		"one that says so": newProvider(t, openID(server), server.Client()),
		"Google":           newProvider(t, config("google", ""), google.Client()),
		"Microsoft":        newProvider(t, config("microsoft", idptest.Tenant), microsoft.Client()),
		"GitHub":           newProvider(t, config("github", ""), github.Client()),
	} {
		if got := begins(p); got != "select_account" {
			t.Errorf("%s is asked for %q", name, got)
		}
	}
}

func TestOpenIDCorruptedAnswer(t *testing.T) {
	claim := func(name string, value any) func(*idptest.Answer) {
		return func(a *idptest.Answer) {
			if a.Claims[name] = value; value == nil {
				delete(a.Claims, name)
			}
		}
	}
	server := idptest.New(t)
	p := newProvider(t, openID(server), server.Client())
	for name, tweak := range map[string]func(*idptest.Answer){
		"S10 iss of another issuer":                claim("iss", "https://accounts.google.com"),
		"S10 iss missing":                          claim("iss", nil),
		"S10 aud of another client":                claim("aud", "somebody-else"),
		"S10 aud missing":                          claim("aud", nil),
		"S10 several audiences without azp":        claim("aud", []string{idptest.ClientID, "other"}),
		"S10 azp of another client":                claim("azp", "other"),
		"S10 expired":                              claim("exp", time.Now().Add(-time.Minute).Unix()),
		"S10 exp missing":                          claim("exp", nil),
		"S10 not yet valid":                        claim("nbf", time.Now().Add(time.Hour).Unix()),
		"S10 nonce of another attempt":             claim("nonce", "another"),
		"S10 nonce missing":                        claim("nonce", nil),
		"S10 nonce empty":                          claim("nonce", ""),
		"sub missing":                              claim("sub", nil),
		"sub empty":                                claim("sub", ""),
		"sub not a string":                         claim("sub", 7),
		"sub with a line break":                    claim("sub", "18\n15"),
		"S10 signed with the client's secret":      func(a *idptest.Answer) { a.Alg = "HS256" },
		"S10 not signed":                           func(a *idptest.Answer) { a.Alg = "none" },
		"S10 signed by another key of that name":   func(a *idptest.Answer) { a.Forged = true },
		"S10 claims changed after they are signed": func(a *idptest.Answer) { a.Spoiled = true },
		"no ID token":                              func(a *idptest.Answer) { a.NoIDToken = true },
		"the ID token is not a string":             func(a *idptest.Answer) { a.Also = map[string]any{"id_token": 7} },
		"the ID token is not a token":              func(a *idptest.Answer) { a.Also = map[string]any{"id_token": "a.b.c"} },
	} {
		t.Run(name, func(t *testing.T) {
			server.Tweak(tweak)
			id, err := signIn(t, p, server.Visit)
			want{is: idp.ErrInvalid}.check(t, id, err)
		})
	}
	server.Tweak(claim("aud", []string{idptest.ClientID}))
	if _, err := signIn(t, p, server.Visit); err != nil {
		t.Errorf("after all that, a good answer is refused: %v", err)
	}
}

func TestOpenIDFaults(t *testing.T) {
	for _, path := range []string{idptest.Discovery, idptest.Token, idptest.Keys, idptest.UserInfo} {
		for _, fault := range []idptest.Fault{
			idptest.Slow, idptest.Huge, idptest.NotJSON, idptest.Broken, idptest.Limited, idptest.HangUp,
		} {
			t.Run(path+" "+string(fault), func(t *testing.T) {
				t.Parallel()
				server := idptest.New(t)
				server.SignIn(idptest.User{Sub: "1815"}) // so that userinfo is asked
				p := newProvider(t, openID(server), server.Client())
				server.Fail(path, fault)
				id, err := signIn(t, p, server.Visit)
				want{is: idp.ErrUnavailable}.check(t, id, err)
				server.Fail(path, idptest.None)
				// A fetch of keys is shared by who asks while it runs, and it
				// runs for an instant longer than its first answer is known.
				_, err = signIn(t, p, server.Visit)
				for again := 0; err != nil && again < 5; again++ {
					time.Sleep(20 * time.Millisecond)
					_, err = signIn(t, p, server.Visit)
				}
				if err != nil {
					t.Errorf("it works again, but the sign-in fails: %v", err)
				}
			})
		}
	}
}

func TestOpenIDRedirectIsNotFollowed(t *testing.T) {
	for _, path := range []string{idptest.Discovery, idptest.Token, idptest.Keys, idptest.UserInfo} {
		server := idptest.New(t)
		server.SignIn(idptest.User{Sub: "1815"})
		p := newProvider(t, openID(server), server.Client())
		server.Fail(path, idptest.Redirect)
		if _, err := signIn(t, p, server.Visit); err == nil || strings.Contains(err.Error(), "elsewhere") {
			t.Errorf("%s: got %v, want an error from the redirect itself", path, err)
		}
	}
}

func TestOpenIDCallback(t *testing.T) {
	server := idptest.New(t)
	p := newProvider(t, openID(server), server.Client())
	for name, tc := range map[string]struct {
		query url.Values
		want  error
	}{
		"the person cancels":                {url.Values{"error": {"access_denied"}}, idp.ErrCancelled},
		"another error":                     {url.Values{"error": {"invalid_scope"}}, idp.ErrInvalid},
		"the provider has trouble":          {url.Values{"error": {"temporarily_unavailable"}}, idp.ErrUnavailable},
		"an error beside a code":            {url.Values{"error": {"x"}, "code": {"c"}}, idp.ErrInvalid},
		"an empty error beside a code":      {url.Values{"error": {""}, "code": {"c"}}, idp.ErrInvalid},
		"no code":                           {url.Values{}, idp.ErrInvalid},
		"two codes":                         {url.Values{"code": {"a", "b"}}, idp.ErrInvalid},
		"a code nobody issued":              {url.Values{"code": {"guess"}}, idp.ErrInvalid},
		"S10 iss of another provider":       {url.Values{"code": {"c"}, "iss": {"https://evil.example"}}, idp.ErrInvalid},
		"S10 iss of another, with an error": {url.Values{"error": {"access_denied"}, "iss": {"https://evil.example"}}, idp.ErrInvalid},
		"S10 iss empty":                     {url.Values{"code": {"c"}, "iss": {""}}, idp.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := p.Flow.Finish(t.Context(), attempt, tc.query)
			want{is: tc.want}.check(t, id, err)
		})
	}
	t.Run("an error is repeated only if it is a word", func(t *testing.T) {
		_, err := p.Flow.Finish(t.Context(), attempt, url.Values{"error": {"<script>"}, "error_description": {"call 555"}})
		if err == nil || strings.Contains(err.Error(), "script") || strings.Contains(err.Error(), "555") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOpenIDIssuerInCallback(t *testing.T) {
	server := idptest.New(t)
	server.Advertise(map[string]any{"authorization_response_iss_parameter_supported": true})
	p := newProvider(t, openID(server), server.Client())
	if _, err := signIn(t, p, server.Visit); err != nil {
		t.Errorf("S10: the right iss is refused: %v", err)
	}
	id, err := signIn(t, p, func(t testing.TB, begin string) url.Values {
		q := server.Visit(t, begin)
		q.Del("iss")
		return q
	})
	want{is: idp.ErrInvalid}.check(t, id, err) // advertised, then it has to be there
}

func TestOpenIDCodeOfAnotherAttempt(t *testing.T) {
	server := idptest.New(t)
	p := newProvider(t, openID(server), server.Client())
	begin, err := p.Flow.Begin(t.Context(), attempt)
	if err != nil {
		t.Fatal(err)
	}
	query := server.Visit(t, begin)
	id, err := p.Flow.Finish(t.Context(), attempt, url.Values{"code": {query.Get("code"), "another"}})
	want{is: idp.ErrInvalid}.check(t, id, err) // and the good one is not spent
	if _, err := p.Flow.Finish(t.Context(), attempt, query); err != nil {
		t.Fatal(err)
	}
	id, err = p.Flow.Finish(t.Context(), attempt, query)
	want{is: idp.ErrInvalid}.check(t, id, err) // replayed

	other := attempt
	other.Verifier = "the-verifier-of-somebody-elses-attempt-in-a-tab"
	id, err = p.Flow.Finish(t.Context(), other, server.Visit(t, begin))
	want{is: idp.ErrInvalid}.check(t, id, err) // injected
}

func TestOpenIDPrepare(t *testing.T) {
	server := idptest.New(t)
	p := newProvider(t, openID(server), server.Client())
	server.Fail(idptest.Discovery, idptest.Broken)
	if err := p.Prepare(t.Context()); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	server.Fail(idptest.Discovery, idptest.None)
	if err := p.Prepare(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := signIn(t, p, server.Visit); err != nil || server.Asked(idptest.Discovery) != 2 {
		t.Errorf("asked %d times, %v", server.Asked(idptest.Discovery), err)
	}
}

func TestOpenIDClock(t *testing.T) {
	server := idptest.New(t)
	p, err := idp.New(openID(server), idp.Options{
		Client: server.Client(), Now: func() time.Time { return time.Now().Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := signIn(t, p, server.Visit)
	want{is: idp.ErrInvalid}.check(t, id, err)
}

func TestOpenIDKeyRotation(t *testing.T) {
	server := idptest.New(t)
	p := newProvider(t, openID(server), server.Client())
	for range 2 {
		if _, err := signIn(t, p, server.Visit); err != nil {
			t.Fatal(err)
		}
		server.RotateKey(t)
	}
}

func TestOpenIDDiscovery(t *testing.T) {
	for name, metadata := range map[string]map[string]any{
		"names another issuer":             {"issuer": "https://evil.example"},
		"token endpoint in clear":          {"token_endpoint": "http://idp.example.com/token"},
		"token endpoint missing":           {"token_endpoint": nil},
		"keys over file":                   {"jwks_uri": "file:///etc/passwd"},
		"only secrets as signing keys":     {"id_token_signing_alg_values_supported": []string{"HS256", "none"}},
		"authorization endpoint is a word": {"authorization_endpoint": "login"},
	} {
		t.Run(name, func(t *testing.T) {
			server := idptest.New(t)
			server.Advertise(metadata)
			p := newProvider(t, openID(server), server.Client())
			id, err := signIn(t, p, server.Visit)
			want{is: idp.ErrUnavailable}.check(t, id, err)
		})
	}
	t.Run("many at once ask once", func(t *testing.T) {
		server := idptest.New(t)
		p := newProvider(t, openID(server), server.Client())
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := p.Flow.Begin(t.Context(), attempt); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := server.Asked(idptest.Discovery); n != 1 {
			t.Errorf("discovery was fetched %d times", n)
		}
	})
}

func TestOpenIDUserInfo(t *testing.T) {
	bare := func(a *idptest.Answer) {
		for _, name := range []string{"email", "email_verified", "groups", "preferred_username"} {
			delete(a.Claims, name)
		}
	}
	for name, tc := range map[string]struct {
		user   idptest.User
		tweak  func(*idptest.Answer)
		email  string
		login  string
		groups []string
		err    error
	}{
		"fills what the ID token lacks": {user: idptest.Ada, tweak: bare, email: "ada@example.com", login: "ada", groups: []string{"analysts"}},
		"an address is verified by who named it": {user: idptest.User{Sub: "1", Email: "mine@example.com"}, tweak: func(a *idptest.Answer) {
			a.Claims["email"] = "boss@example.com"
			delete(a.Claims, "email_verified")
		}, email: "mine@example.com"},
		"what the ID token denies stays denied": {user: idptest.Ada, tweak: func(a *idptest.Answer) {
			a.Claims["email_verified"] = false
			delete(a.Claims, "groups")
		}, login: "ada", groups: []string{"analysts"}},
		"about somebody else": {user: idptest.User{Sub: "1"}, tweak: func(a *idptest.Answer) { a.Claims["sub"] = "2" }, err: idp.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			server := idptest.New(t)
			server.SignIn(tc.user)
			server.Tweak(tc.tweak)
			id, err := signIn(t, newProvider(t, openID(server), server.Client()), server.Visit)
			if !errors.Is(err, tc.err) || id.Email != tc.email || id.Username != tc.login || !slices.Equal(id.Groups, tc.groups) {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
}

func TestOpenIDClaims(t *testing.T) {
	for name, tc := range map[string]struct {
		claims map[string]any
		email  string
		login  string
		groups []string
	}{
		"verified as a string":                 {map[string]any{"email": "a@Example.COM", "email_verified": "true"}, "a@example.com", "", nil},
		"not verified":                         {map[string]any{"email": "a@example.com", "email_verified": false}, "", "", nil},
		"verified, but another string":         {map[string]any{"email": "a@example.com", "email_verified": "yes"}, "", "", nil},
		"verified, but a number":               {map[string]any{"email": "a@example.com", "email_verified": 1}, "", "", nil},
		"verified is never said":               {map[string]any{"email": "a@example.com"}, "", "", nil},
		"verified, but no address":             {map[string]any{"email": "a@b@example.com", "email_verified": true}, "", "", nil},
		"one group":                            {map[string]any{"groups": "one"}, "", "", []string{"one"}},
		"groups of another kind":               {map[string]any{"groups": []any{1, 2}}, "", "", nil},
		"a group that would split a header":    {map[string]any{"groups": []string{"a\nb", "c"}}, "", "", []string{"c"}},
		"a login that is somebody's address":   {map[string]any{"preferred_username": "boss@example.com"}, "", "", nil},
		"a login that is somebody's subject":   {map[string]any{"preferred_username": "company:1"}, "", "", nil},
		"a login that is the verified address": {map[string]any{"preferred_username": "a@example.com", "email": "a@example.com", "email_verified": true}, "a@example.com", "a@example.com", nil},
		"a login with a character nobody sees": {map[string]any{"preferred_username": "ad\u200ba"}, "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			server := idptest.New(t)
			server.SignIn(idptest.User{Sub: "1815", Claims: tc.claims})
			id, err := signIn(t, newProvider(t, openID(server), server.Client()), server.Visit)
			if err != nil || id.Email != tc.email || id.Username != tc.login || !slices.Equal(id.Groups, tc.groups) {
				t.Errorf("got %+v, %v", id, err)
			}
		})
	}
	t.Run("groups under another name", func(t *testing.T) {
		server := idptest.New(t)
		server.SignIn(idptest.User{Sub: "1", Claims: map[string]any{"https://example.com/roles": []string{"admin"}}})
		c := openID(server)
		c.GroupsClaim = "https://example.com/roles"
		id, err := signIn(t, newProvider(t, c, server.Client()), server.Visit)
		if err != nil || !slices.Equal(id.Groups, []string{"admin"}) {
			t.Errorf("got %+v, %v", id, err)
		}
	})
}

func TestOpenIDUsernameAsSubject(t *testing.T) {
	for name, tc := range map[string]struct {
		user    idptest.User
		subject string
		refused bool
	}{
		"the e-mail address":             {idptest.Ada, "ada@example.com", false},
		"else the login":                 {idptest.User{Sub: "1", Username: "ada"}, "ada", false},
		"not an address nobody verified": {idptest.User{Sub: "1", Email: "boss@example.com", Unverified: true}, "", true},
		"not a login that is an address": {idptest.User{Sub: "1", Username: "boss@example.com"}, "", true},
		"not a login that is a subject":  {idptest.User{Sub: "1", Username: "google:1"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := idptest.New(t)
			server.SignIn(tc.user)
			c := openID(server)
			c.UsernameAsSubject = true
			id, err := signIn(t, newProvider(t, c, server.Client()), server.Visit)
			want{refused: tc.refused}.check(t, id, err)
			if id.Subject != tc.subject {
				t.Errorf("subject is %q, want %q", id.Subject, tc.subject)
			}
		})
	}
}

func TestOpenIDClientAuthentication(t *testing.T) {
	server := idptest.New(t)
	server.Advertise(map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}})
	if _, err := signIn(t, newProvider(t, openID(server), server.Client()), server.Visit); err != nil {
		t.Errorf("client_secret_post: %v", err)
	}
	c := openID(server)
	c.ClientSecret = "another-secret"
	id, err := signIn(t, newProvider(t, c, server.Client()), server.Visit)
	want{is: idp.ErrUnavailable}.check(t, id, err) // nothing the person could do about it
	if strings.Contains(err.Error(), "another-secret") {
		t.Errorf("the error carries the secret: %v", err)
	}
}
