package doctor_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcp-oauth2-proxy/gateway/doctor"
	"mcp-oauth2-proxy/gateway/doctor/doctortest"
)

func TestDangersAreToldThoughNobodyFails(t *testing.T) {
	for name, tc := range map[string]struct {
		step  string
		fault doctortest.Fault
	}{
		"a redirect URI that nobody registered is followed": {"redirect-refused", doctortest.Fault{FollowAll: true}},
		"a token that nobody issued is accepted":            {"bad-token", doctortest.Fault{AnyToken: true}},
		"a private key is published": {"jwks", doctortest.Fault{Edit: func(doc string, m map[string]any) {
			if doc == "jwks" {
				m["keys"].([]any)[0].(map[string]any)["d"] = "AA"
			}
		}}},
		"a code is given before anybody was asked": {"authorize", doctortest.Fault{In: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if q := r.URL.Query(); r.URL.Path == "/authorize" && strings.HasPrefix(q.Get("redirect_uri"), "https://claude") {
					http.Redirect(w, r, q.Get("redirect_uri")+"?code=secret&state="+q.Get("state"), http.StatusFound)
					return
				}
				next.ServeHTTP(w, r)
			})
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := examine(t, doctortest.Deploy(t, tc.fault), nil)
			if got := failing(report); len(got) > 0 {
				t.Errorf("who fails: %v", got)
			}
			i := slices.IndexFunc(report.Steps, func(s doctor.Step) bool { return s.Name == tc.step })
			if s := report.Steps[i]; s.Result != doctor.Wrong || s.Findings[0].Clients == nil || len(s.Findings[0].Clients) != 0 {
				t.Errorf("the step: %+v", s)
			}
			if !report.Failed() {
				t.Error("the report has not failed")
			}
		})
	}
}

func TestGoodDeploymentIsGoodForAll(t *testing.T) {
	d := doctortest.Deploy(t, doctortest.Fault{})
	report := examine(t, d, nil)
	if got := failing(report); len(got) > 0 || report.Failed() {
		t.Fatalf("who fails: %v\n%s", got, shown(t, report))
	}
	for _, s := range report.Steps {
		if s.Result == doctor.Skipped && s.Name != "stateless" {
			t.Errorf("%s is skipped: %v", s.Name, s.Findings)
		}
		if s.Result == doctor.Warning && s.Name != "certificate-chain" && s.Name != "cors" {
			t.Errorf("a remark at %s: %v", s.Name, s.Findings)
		}
	}
	if n := d.Left(); n > 0 {
		t.Errorf("%d tokens are left behind", n)
	}
}

// TestNothingSecretIsReported lets the deployment repeat in its errors what it
// was sent.
func TestNothingSecretIsReported(t *testing.T) {
	echo := func(w http.ResponseWriter, code int, said string) {
		answer(w, code, map[string]any{"error": "invalid_request", "error_description": "you sent " + said})
	}
	secret := regexp.MustCompile(`(access|refresh)-[A-Z2-7]{20,}|\b[A-Z2-7]{26}\b`)
	for name, in := range map[string]func(http.Handler) http.Handler{
		"the code": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" && r.FormValue("client_id") != "" && len(r.FormValue("code")) == 26 {
					echo(w, http.StatusBadRequest, r.FormValue("code"))
					return
				}
				next.ServeHTTP(w, r)
			})
		},
		"the access token": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if auth := r.Header.Get("Authorization"); auth != "" {
					echo(w, http.StatusForbidden, auth)
					return
				}
				next.ServeHTTP(w, r)
			})
		},
		"the refresh token": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" && r.FormValue("refresh_token") != "" {
					echo(w, http.StatusBadRequest, r.FormValue("refresh_token"))
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := examine(t, doctortest.Deploy(t, doctortest.Fault{In: in}), nil)
			out, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			text := string(out) + shown(t, report)
			if !strings.Contains(text, "you sent") || !strings.Contains(text, "[hidden]") {
				t.Fatalf("the echo is not in the report: %s", text)
			}
			if leak := secret.FindString(text); leak != "" {
				t.Errorf("%q is in the report: %s", leak, text)
			}
		})
	}
}

func TestTokensStayAtTheirOrigin(t *testing.T) {
	var here, elsewhere atomic.Int64
	d := doctortest.Deploy(t, doctortest.Fault{
		Certificate: func(c *x509.Certificate) { c.DNSNames = []string{doctortest.Host, "other.example.com"} },
		In: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Host != doctortest.Host:
					elsewhere.Add(1)
				case r.URL.Path == "/mcp" && r.Header.Get("Authorization") != "":
					here.Add(1)
					http.Redirect(w, r, "https://other.example.com/mcp", http.StatusTemporaryRedirect)
					return
				}
				next.ServeHTTP(w, r)
			})
		},
	})
	report := examine(t, d, nil)
	if got := failing(report); got["cursor"] != "initialize" {
		t.Errorf("who fails: %v", got)
	}
	if here.Load() == 0 || elsewhere.Load() > 0 {
		t.Errorf("%d requests here, %d elsewhere", here.Load(), elsewhere.Load())
	}
}

func TestAnswersAreBounded(t *testing.T) {
	var sent atomic.Int64
	d := doctortest.Deploy(t, doctortest.Fault{Over: over(doctortest.PathDocument, func(w http.ResponseWriter, _ *http.Request) {
		for chunk := bytes.Repeat([]byte(" "), 1<<16); ; {
			n, err := w.Write(chunk)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})})
	report := examine(t, d, func(o *doctor.Options) { o.Profiles = []string{"chatgpt"} })
	if failing(report)["chatgpt"] != "resource-metadata" {
		t.Errorf("who fails: %v", failing(report))
	}
	d.Close()
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("%d bytes were read", n)
	}
}

func TestRedirectsEnd(t *testing.T) {
	var asked atomic.Int64
	d := doctortest.Deploy(t, doctortest.Fault{Over: over(doctortest.PathDocument, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, fmt.Sprintf("%s?n=%d", doctortest.PathDocument, asked.Load()), http.StatusFound)
	})})
	examine(t, d, func(o *doctor.Options) { o.Profiles = []string{"codex"}; o.SignIn = nil })
	if n := asked.Load(); n == 0 || n > 20 {
		t.Errorf("asked %d times", n)
	}
}

func TestRegistrationsAreTakenBackWhereThatIsPossible(t *testing.T) {
	var made, gone atomic.Int64
	d := doctortest.Deploy(t, doctortest.Fault{
		Edit: func(doc string, m map[string]any) {
			if doc == "registration" {
				made.Add(1)
				m["registration_client_uri"], m["registration_access_token"] = doctortest.Origin+"/register/it", "management"
			}
		},
		In: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodDelete && r.URL.Path == "/register/it" && r.Header.Get("Authorization") == "Bearer management" {
					gone.Add(1)
				}
				next.ServeHTTP(w, r)
			})
		},
	})
	examine(t, d, nil)
	if made.Load() == 0 || made.Load() != gone.Load() {
		t.Errorf("%d made, %d taken back", made.Load(), gone.Load())
	}
}

func TestAnAnswerOfAStrangerIsNotTaken(t *testing.T) {
	d := doctortest.Deploy(t, doctortest.Fault{})
	report := examine(t, d, func(o *doctor.Options) {
		o.Profiles = []string{"codex"}
		o.SignIn = func(_ context.Context, address string) error {
			u, err := url.Parse(address)
			if err != nil {
				return err
			}
			res, err := http.Get(u.Query().Get("redirect_uri") + "?code=injected&state=guessed")
			if err != nil {
				return err
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusNotFound {
				t.Errorf("a wrong state is answered with %s", res.Status)
			}
			return d.Person(address)
		}
	})
	if got := failing(report); len(got) > 0 {
		t.Errorf("who fails: %v", got)
	}
}

func TestWithoutAPersonTheWalkEndsBeforeTheSignIn(t *testing.T) {
	for name, tune := range map[string]func(*doctor.Options){
		"nobody is asked": func(o *doctor.Options) { o.SignIn = nil },
		"nobody comes":    func(o *doctor.Options) { o.SignIn, o.SignInWait = ignores, time.Millisecond },
		"nobody can be": func(o *doctor.Options) {
			o.SignIn = func(context.Context, string) error { return errors.New("no display") }
		},
		"nobody registers": func(o *doctor.Options) { o.ClientID = "" },
	} {
		t.Run(name, func(t *testing.T) {
			f := doctortest.Fault{}
			if name == "nobody registers" {
				f.Registers = func(uris []string) bool { return !doctortest.FromDoctor(uris[0]) }
			}
			report := examine(t, doctortest.Deploy(t, f), tune)
			if got := failing(report); len(got) > 0 || report.Failed() {
				t.Errorf("who fails: %v", got)
			}
			for _, s := range report.Steps {
				if (s.Name == "sign-in" || s.Name == "token" || s.Name == "revoke") && s.Result != doctor.Skipped {
					t.Errorf("%+v", s)
				}
			}
			if text := shown(t, report); !strings.Contains(text, "nothing wrong before the sign-in") || strings.Contains(text, "works") {
				t.Errorf("the summary: %s", text)
			}
		})
	}
}

func ignores(context.Context, string) error { return nil }

func TestAClientThatWasGivenSignsIn(t *testing.T) {
	d := doctortest.Deploy(t, doctortest.Fault{Edit: doctortest.Set("server", "registration_endpoint", nil)})
	d.Know("given", append([]string{"http://127.0.0.1/callback"}, allRedirects()...)...)
	report := examine(t, d, func(o *doctor.Options) { o.ClientID = "given" })
	if got := failing(report); len(got) > 0 || report.Failed() {
		t.Errorf("who fails: %v\n%s", got, shown(t, report))
	}
}

func allRedirects() []string {
	var all []string
	for _, p := range doctor.Profiles() {
		all = append(all, p.Returns...)
	}
	return all
}

func TestQuestionsThatCannotBeMeant(t *testing.T) {
	for name, tc := range map[string]struct{ address, as string }{
		"no URL":            {"mcp.example.com/mcp", "codex"},
		"another scheme":    {"ftp://mcp.example.com/mcp", "codex"},
		"a user in the URL": {"https://me:secret@mcp.example.com/mcp", "codex"},
		"a fragment":        {doctortest.URL + "#x", "codex"},
		"an unknown client": {doctortest.URL, "netscape"},
	} {
		_, err := doctor.Run(t.Context(), tc.address, doctor.Options{Profiles: []string{tc.as}})
		if !errors.Is(err, doctor.ErrUsage) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrintSaysWhetherSomethingIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		fault doctortest.Fault
		want  error
		says  string
	}{
		"good":  {doctortest.Fault{}, nil, "\ncodex            works"},
		"wrong": {doctortest.Fault{Over: over("/token", doctortest.Status(405))}, doctor.ErrWrong, "\ncodex            fails at token-errors: 405"},
	} {
		t.Run(name, func(t *testing.T) {
			d := doctortest.Deploy(t, tc.fault)
			for _, asJSON := range []bool{false, true} {
				o := d.Options()
				o.Profiles = []string{"codex"}
				var out bytes.Buffer
				if err := doctor.Print(t.Context(), &out, doctortest.URL, o, asJSON); !errors.Is(err, tc.want) {
					t.Errorf("json %v: %v", asJSON, err)
				}
				if !asJSON && !strings.Contains(out.String(), tc.says) {
					t.Errorf("it says: %s", out.String())
				}
				if asJSON {
					wantFields(t, out.Bytes())
				}
			}
		})
	}
}

// wantFields holds the JSON to what docs/doctor.md promises.
func wantFields(t *testing.T, text []byte) {
	t.Helper()
	var r struct {
		URL      string
		Clients  []string
		Steps    []map[string]any
		Outcomes []map[string]any
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.URL != doctortest.URL || !slices.Equal(r.Clients, []string{"codex"}) || len(r.Outcomes) != 1 || r.Outcomes[0]["client"] != "codex" {
		t.Errorf("%s", text)
	}
	for _, s := range r.Steps {
		findings, _ := s["findings"].([]any)
		if s["name"] == "" || s["title"] == "" || s["result"] == "" || len(findings) == 0 {
			t.Errorf("%v", s)
		}
		for _, f := range findings {
			if one := f.(map[string]any); one["result"] == "" || one["clients"] == nil || one["seen"] == "" {
				t.Errorf("%s: %v", s["name"], one)
			}
		}
	}
}

func TestTheGuideNamesEveryClientAndEveryStep(t *testing.T) {
	text, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(text)
	report := examine(t, doctortest.Deploy(t, doctortest.Fault{NoAddr: true}), nil)
	for _, s := range report.Steps {
		if !strings.Contains(guide, "`"+s.Name+"`") {
			t.Errorf("the step %s is not in the guide", s.Name)
		}
	}
	for _, name := range doctor.Names() {
		if !strings.Contains(guide, "`"+name+"`") {
			t.Errorf("the client %s is not in the guide", name)
		}
	}
}

// TestWordsOfTheServerCannotMoveTheTerminal: what a deployment says of itself
// is one line of plain characters.
func TestWordsOfTheServerCannotMoveTheTerminal(t *testing.T) {
	d := doctortest.Deploy(t, doctortest.Fault{Edit: doctortest.Set("server", "issuer", "https://a\x1b[2J\u202e\n"+strings.Repeat("x", 5000))})
	report := examine(t, d, func(o *doctor.Options) { o.SignIn = nil })
	text := shown(t, report)
	if strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, strings.Repeat("x", 500)) {
		t.Errorf("%q", text)
	}
}

func over(path string, h http.HandlerFunc) map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{path: h}
}

func answer(w http.ResponseWriter, code int, v map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}
