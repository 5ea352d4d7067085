//go:build e2e

package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mcp-oauth2-proxy/gateway/doctor/doctortest"
)

// patient is a gateway of the built program for a doctor to look at: https with
// a certificate of its own authority, and a local sign-in. There is no internet
// here to fetch client metadata documents from, so clients register.
func patient(t *testing.T) (address, caFile string, v *visitor) {
	t.Helper()
	addr := freeAddr(t)
	g := serve(t, addr, settings{
		"tls":      settings{"mode": "selfsigned"},
		"provider": settings{"name": "local", "allowedUsers": []string{"ada"}, "users": []settings{{"username": "ada", "passwordHash": hashPassword(t, "correct horse")}}},
		"proxy": settings{
			"hosts":        []settings{{"host": addr, "endpoint": startReference(t, "-stateless=false")}},
			"registration": settings{"metadataDocuments": false},
		},
	})
	ca, err := exec.Command(must(t, product), "selfsigned-ca", "--config", g.cmd.Args[len(g.cmd.Args)-1]).Output()
	if err != nil {
		t.Fatal(err)
	}
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("selfsigned-ca prints %s", ca)
	}
	v = &visitor{client: clientThatTrusts(t, roots), types: map[string]string{"username": "ada", "password": "correct horse"}}
	return "https://" + addr + "/mcp", caFile, v
}

// TestDoctor runs the command as people do: it prints an address, a person
// signs in there, and all clients work.
func TestDoctor(t *testing.T) {
	address, ca, v := patient(t)
	p := start(t, exec.Command(must(t, product), "doctor", address, "--ca", ca, "--idle", "1s"))
	begin := p.says(t, `(https://\S+/authorize\?\S+)`)[1]
	u, err := url.Parse(begin)
	if err != nil {
		t.Fatal(err)
	}
	redirect := u.Query().Get("redirect_uri")
	res, err := http.Get(redirect + "?" + v.visit(t, begin, redirect).Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	p.wait(t)
	if p.err != nil {
		t.Errorf("it ends with %v", p.err)
	}
	said := p.out.String()
	for _, name := range []string{"claude.ai", "claude-code", "chatgpt", "vscode", "cursor", "codex", "inspector", "sdk-2025-03-26"} {
		if !strings.Contains(said, "\n"+name+" ") {
			t.Errorf("it says nothing of %s", name)
		}
	}
	if strings.Contains(said, "wrong ") || strings.Contains(said, "fails at") {
		t.Errorf("something is wrong:\n%s", said)
	}
	for _, step := range []string{"ok       token ", "ok       initialize ", "ok       stream ", "ok       idle ", "ok       revoke "} {
		if !strings.Contains(said, step) {
			t.Errorf("%q is missing:\n%s", step, said)
		}
	}
}

func TestDoctorAnswersInJSONAndByItsExitCode(t *testing.T) {
	address, ca, _ := patient(t)
	for name, tc := range map[string]struct {
		args []string
		code int
		step string
	}{
		"good":                 {[]string{address, "--ca", ca}, 0, ""},
		"an unknown authority": {[]string{address}, 1, "certificate-chain"},
		"a path that is none":  {[]string{strings.TrimSuffix(address, "/mcp") + "/token", "--ca", ca}, 1, "anonymous-post"},
	} {
		out, err := exec.Command(must(t, product), append([]string{"doctor", "--json", "--no-signin", "--as", "cursor"}, tc.args...)...).Output()
		var exit *exec.ExitError
		if (err != nil) != (tc.code != 0) || errors.As(err, &exit) && exit.ExitCode() != tc.code {
			t.Errorf("%s: %v", name, err)
		}
		var report struct {
			Outcomes []struct{ Client, Result, Step string }
		}
		if err := json.Unmarshal(out, &report); err != nil || len(report.Outcomes) != 1 {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if o := report.Outcomes[0]; o.Client != "cursor" || tc.step != "" && o.Step != tc.step || (o.Result == "wrong") != (tc.code != 0) {
			t.Errorf("%s: %+v", name, o)
		}
	}
	fails(t, []string{"doctor", "mcp.example.com"}, 2, "is not the URL of an MCP endpoint")
	fails(t, []string{"doctor"}, 2, "doctor takes URL")
	fails(t, []string{"doctor", address, "--as", "netscape"}, 2, "netscape")
	fails(t, []string{"doctor", address, "--ca", "/nowhere"}, 2, "--ca: open /nowhere")
}

// TestDoctorAgreesWithRealClients lets two releases of the TypeScript SDK walk
// through every faulty deployment: they fail where the doctor says that their
// profile fails, and nowhere else. Left out is what they do not do here: run in a
// browser, mind their streams, stay connected, look a name up.
func TestDoctorAgreesWithRealClients(t *testing.T) {
	for profile, sdk := range map[string][]string{
		"inspector":      {"@modelcontextprotocol/sdk", "http://localhost:6274/oauth/callback", "http://127.0.0.1:6276/oauth/callback"},
		"sdk-2025-03-26": {"sdk-2025-03-26", "http://localhost:3334/oauth/callback"},
	} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			type deployment struct {
				Name    string `json:"name"`
				URL     string `json:"url"`
				Address string `json:"address"`
				CA      string `json:"ca,omitempty"`
			}
			var all []deployment
			want := map[string]bool{}
			for _, row := range doctortest.Matrix() {
				if slices.Contains([]string{"dns", "cors", "stream", "idle", "refresh", "refresh-token"}, row.Step) || row.Name == "token errors are pages" {
					continue
				}
				d := doctortest.Deploy(t, row.Fault)
				one := deployment{Name: row.Name, URL: doctortest.URL, Address: d.Addr()}
				if !row.Fault.Stranger {
					one.CA = string(d.Authority())
				}
				all, want[row.Name] = append(all, one), slices.Contains(row.Fails, profile)
			}
			input, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			cmd := nodeCommand(t, "walk.mjs", sdk...)
			cmd.Stdin = bytes.NewReader(input)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			var got map[string]*string
			if err := json.Unmarshal(out, &got); err != nil || len(got) != len(all) || len(all) < 30 {
				t.Fatalf("%d of %d answers: %v\n%s", len(got), len(all), err, out)
			}
			for name, failed := range got {
				switch {
				case want[name] && failed == nil:
					t.Errorf("%s: the doctor says that it fails, and it works", name)
				case !want[name] && failed != nil:
					t.Errorf("%s: the doctor says that it works, and it fails: %s", name, *failed)
				}
			}
		})
	}
}
