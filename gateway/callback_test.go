package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// callbackHouse is a house whose callback is at host.
func callbackHouse(t *testing.T, host string) (*house, *person, *idptest.Provider) {
	t.Helper()
	server := idptest.New(t)
	h := newHouse(t, signinConfig(oidcProvider(server, "company", "allowAnyone: true"), "callbackHost: "+host), server.Client())
	return h, h.person(t, server.Visit), server
}

func TestOneCallbackForManyHosts(t *testing.T) {
	for name, host := range map[string]string{
		"a host of its own": "sign-in.example.com", "one of the hosts": "notes.example.com", "another spelling": "Sign-In.Example.com:443",
	} {
		t.Run(name, func(t *testing.T) {
			h, p, _ := callbackHouse(t, host)
			for _, origin := range []string{notes, tasks} {
				v := p.asks(t, origin, nil)
				u, err := url.Parse(v.to)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := u.Query().Get("redirect_uri"), "https://"+h.site.Load().names()+"/callback"; got != want {
					t.Errorf("the provider is told %q, want %q", got, want)
				}
				got := p.redeem(t, origin, p.follow(t, v))
				if user, _ := p.whoami(t, origin, got.Access); user != "company:1815" {
					t.Errorf("the token of %s is of %q", origin, user)
				}
			}
		})
	}
}

// names is the callback host as it is spelled in redirect URIs.
func (s *site) names() string {
	if s.callback != "" {
		return s.callback
	}
	return "notes.example.com"
}

// handedOver goes as far as the address with the code at the flow's own host.
func (p *person) handedOver(t *testing.T, origin string) string {
	t.Helper()
	v := p.get(t, p.back(t, p.asks(t, origin, nil).to))
	if v.at.Host != "sign-in.example.com" || !strings.HasPrefix(v.to, origin+"/callback?") || strings.Contains(v.to, "state=") {
		t.Fatalf("the callback host answers %d %q", v.status, v.to)
	}
	return v.to
}

func TestHandedOverCodeIsForTheBrowserThatBegan(t *testing.T) {
	h, _, server := callbackHouse(t, "sign-in.example.com")
	stale := func(t *testing.T, v view) {
		t.Helper()
		if v.status != http.StatusBadRequest || v.title() != "This page has expired" {
			t.Errorf("it is answered by %d %q %q", v.status, v.title(), v.to)
		}
	}
	t.Run("another browser gets nothing and spends nothing", func(t *testing.T) {
		p := h.person(t, server.Visit)
		to := p.handedOver(t, notes)
		stale(t, h.person(t, nil).get(t, to))
		// Not even one with a request of its own.
		thief := h.person(t, server.Visit)
		own, theirs := queryOf(t, thief.handedOver(t, notes)), queryOf(t, to)
		stale(t, thief.get(t, notes+"/callback?"+url.Values{"r": own["r"], "handoff": theirs["handoff"]}.Encode()))
		stale(t, thief.get(t, notes+"/callback?"+theirs.Encode()))
		p.redeem(t, notes, p.follow(t, p.get(t, to)))
	})
	t.Run("it works once", func(t *testing.T) {
		p := h.person(t, server.Visit)
		to := p.handedOver(t, tasks)
		p.redeem(t, tasks, p.follow(t, p.get(t, to)))
		stale(t, p.get(t, to))
	})
	t.Run("it is of no use at another host", func(t *testing.T) {
		p := h.person(t, server.Visit)
		to := p.handedOver(t, notes)
		stale(t, p.get(t, strings.Replace(to, notes, tasks, 1)))
		p.redeem(t, notes, p.follow(t, p.get(t, to))) // nor is it spent there
	})
	t.Run("it lasts for a minute", func(t *testing.T) {
		p := h.person(t, server.Visit)
		to := p.handedOver(t, notes)
		h.late.Store(int64(time.Minute))
		stale(t, p.get(t, to))
	})
	t.Run("an answer of another attempt is refused", func(t *testing.T) {
		p, mallory := h.person(t, server.Visit), h.person(t, server.Visit)
		mine := p.asks(t, notes, nil).to
		begin := mallory.asks(t, notes, nil).to
		// Mallory's code under the state of the victim's request, and the other
		// way around: a login that somebody else began.
		answer := queryOf(t, mallory.back(t, begin))
		answer.Set("state", queryOf(t, mine).Get("state"))
		v := p.follow(t, p.get(t, "https://sign-in.example.com/callback?"+answer.Encode()))
		if v.status == http.StatusOK || v.to != "" {
			t.Errorf("it is answered by %d %q", v.status, v.to)
		}
		stale(t, p.follow(t, p.get(t, mallory.back(t, begin))))
	})
}

func queryOf(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestCallbackHostAnswersNothingElse(t *testing.T) {
	h, p, _ := callbackHouse(t, "sign-in.example.com")
	host := "https://sign-in.example.com"
	for _, path := range []string{"/", "/mcp", "/authorize", "/signin", "/account", "/token", "/.well-known/oauth-authorization-server", "/authenticate"} {
		if v := p.get(t, host+path); v.status != http.StatusNotFound {
			t.Errorf("%s is answered by %d", path, v.status)
		}
	}
	for query, why := range map[string]string{
		"":               "no state",
		"code=c&state=x": "a state that is none of ours",
		"code=c&state=" + strings.Repeat("0", 25) + ".00000000.x": "a state of an unknown host",
		"handoff=x&r=y": "a code that was handed over",
	} {
		v := p.get(t, host+"/callback?"+query)
		if v.status != http.StatusBadRequest || v.to != "" || v.title() == "" {
			t.Errorf("%s is answered by %d %q", why, v.status, v.to)
		}
	}
	begin := p.asks(t, notes, nil).to
	long := queryOf(t, p.back(t, begin))
	long.Set("code", strings.Repeat("c", 9<<10))
	if v := p.get(t, host+"/callback?"+long.Encode()); v.status != http.StatusBadRequest {
		t.Errorf("an answer that is too long is answered by %d", v.status)
	}
	if got := h.hostNamesOf(); !strings.Contains(got, "sign-in.example.com") {
		t.Errorf("certificates are for %s only", got)
	}
}

func (h *house) hostNamesOf() string { return strings.Join(h.hostNames(), " ") }

func TestCallbackHostIsChecked(t *testing.T) {
	at := func(host, more string) string {
		return strings.Replace(sound, "proxy:\n", "proxy:\n  callbackHost: "+host+"\n", 1) + more
	}
	for host, want := range map[string]string{
		"https://a.example/callback": `proxy.callbackHost: "https://a.example/callback" is not a host`,
		"a_b!.example":               `proxy.callbackHost: "a_b!.example" is not a host`,
	} {
		wantFaults(t, faultsOf(t, at(host, "")), want)
	}
	public := strings.Replace(at("notes.example.com", ""), "{host: notes", "{host: two.example.com, endpoint: http://a}\n    - {public: true, host: notes", 1)
	wantFaults(t, faultsOf(t, public), `proxy.callbackHost: "notes.example.com" is proxy.hosts[1], which is public`)
	if c := loads(t, at("Sign-In.example.com:443", "")); c.Proxy.CallbackHost != "sign-in.example.com" {
		t.Errorf("it is spelled %q", c.Proxy.CallbackHost)
	}
	loads(t, at("notes.example.com", ""))
	wantFaults(t, faultsOf(t, sound+"providers: [{name: local, users: [{username: a, passwordHash: '"+hash(t, "x")+"'}]}, {name: local, id: b, users: [{username: b, passwordHash: '"+hash(t, "x")+"'}]}]\n"),
		"providers[1].name: providers[0] is local already")
}
