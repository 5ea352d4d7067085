package gateway

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"mcp-oauth2-proxy/gateway/doctor"
	"mcp-oauth2-proxy/routing/routingtest"
)

// vendors serves the client ID metadata documents of real clients, as their
// makers publish them.
func vendors(t *testing.T) *http.Client {
	t.Helper()
	documents := map[string]string{
		"claude.ai":   `"client_name":"Claude Code","redirect_uris":["http://localhost/callback","http://127.0.0.1/callback"]`,
		"chatgpt.com": `"client_name":"ChatGPT","redirect_uris":["https://chatgpt.com/connector_platform_oauth_redirect"]`,
		"vscode.dev": `"client_name":"Visual Studio Code","redirect_uris":["http://127.0.0.1:33418/","https://vscode.dev/redirect"],` +
			`"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"]`,
	}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"client_id":"https://%s%s","token_endpoint_auth_method":"none",%s}`, r.Host, r.URL.Path, documents[r.Host])
	}))
	t.Cleanup(s.Close)
	c := s.Client()
	transport := c.Transport.(*http.Transport)
	transport.TLSClientConfig.ServerName = "example.com" // what the server has a certificate for
	transport.DialContext = dialing(s)
	return c
}

func dialing(s *httptest.Server) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasSuffix(addr, ":80") {
			return nil, fmt.Errorf("%s: connection refused", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}
}

// TestDoctorFindsThatAllClientsWork plays every client against a gateway: the
// documents, the registrations, the pages and a sign-in are ours, the MCP
// server is the official SDK's.
func TestDoctorFindsThatAllClientsWork(t *testing.T) {
	for name, era := range map[string]routingtest.Era{
		"before an MCP server with sessions and streams": routingtest.Sessions,
		"before one of every revision, without sessions": routingtest.Both,
	} {
		t.Run(name, func(t *testing.T) {
			upstream := notesServer()
			upstream.Era = era
			f := newFixture(t, before(upstream), fetching(vendors(t)))
			front := httptest.NewUnstartedServer(f.Gateway)
			front.EnableHTTP2 = true
			front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // a connection that says nothing is the port step
			front.StartTLS()
			t.Cleanup(func() { f.streams.close(); front.CloseClientConnections(); front.Close() })
			report, err := doctor.Run(t.Context(), notes+"/mcp", f.examined(t, front))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range report.Outcomes {
				if o.Result == doctor.Wrong {
					t.Errorf("%s fails at %s: %s", o.Client, o.Step, o.Because)
				}
			}
			if len(report.Outcomes) != 8 || report.Failed() {
				t.Errorf("%d clients, failed: %v", len(report.Outcomes), report.Failed())
			}
			wantNoRemarks(t, report)
			if strings.Contains(f.logged.String(), `"level":"ERROR"`) {
				t.Errorf("errors are logged: %s", f.logged)
			}
		})
	}
}

// wantNoRemarks: the certificate of the test is of no public authority, no
// browser origin is configured, and the MCP server of the test answers at every
// path.
func wantNoRemarks(t *testing.T, r *doctor.Report) {
	t.Helper()
	mayBeSkipped := map[string]bool{"stateless": true, "idle": true}
	remarks := map[string]bool{"certificate-chain": true, "cors": true, "other-path": true}
	for _, s := range r.Steps {
		switch {
		case s.Result == doctor.Skipped && !mayBeSkipped[s.Name]:
			t.Errorf("%s is skipped: %+v", s.Name, s.Findings)
		case s.Result == doctor.Warning && !remarks[s.Name]:
			t.Errorf("a remark at %s: %+v", s.Name, s.Findings)
		}
	}
}

// examined leads a doctor to the fixture, where ada signs in.
func (f *fixture) examined(t *testing.T, front *httptest.Server) doctor.Options {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate())
	return doctor.Options{
		CA: roots, Dial: dialing(front), Idle: 1,
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("203.0.113.7")}, nil
		},
		SignIn: func(ctx context.Context, address string) error {
			u, err := url.Parse(address)
			if err != nil {
				return err
			}
			c, b := &client{f: f, origin: notes, redirect: "http://127.0.0.1:"}, f.newBrowser(t)
			q := c.finish(t, b, b.open(t, address), "notes:read")
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Query().Get("redirect_uri")+"?"+q.Encode(), nil)
			if err != nil {
				return err
			}
			return send(t, http.DefaultClient, req).Body.Close()
		},
	}
}
