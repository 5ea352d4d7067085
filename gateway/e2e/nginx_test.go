//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

// TestNginxAsksForEachRequest: nginx as in the guide, and with what ingress-nginx
// makes of the annotations of the chart, sends requests to the MCP server itself
// and asks the gateway about each. A client connects through it as it would to
// the gateway.
func TestNginxAsksForEachRequest(t *testing.T) {
	for name, location := range map[string]func(t *testing.T, n *nginx) string{
		"as in the guide":                   func(t *testing.T, _ *nginx) string { return guideServer(t) },
		"with the annotations of the chart": ingressServer,
	} {
		t.Run(name, func(t *testing.T) {
			n := newNginx(t)
			n.start(t, location(t, n))
			n.challenges(t)
			c := errands["notes"]
			client := startTypeScript(t, n.authority, n.origin, c, "authorization_code", "refresh_token")
			browse(t, n.authority).consents(t, client.asks(t, 1), "TypeScript SDK", names["notes"])
			got := client.ends(t)
			if got.text() != c.answer {
				t.Errorf("%s answers %+v, want %q", c.tool, got.Result, c.answer)
			}
			n.tellsWhoItIs(t, got.Token)
		})
	}
}

// nginx is Debian's, in front of a gateway that is only asked, and of what
// stands for two MCP servers: a real one, and /echo, which says what reached it.
type nginx struct {
	*authority
	addr, origin       string
	gateway, mcp, echo string // addresses
	cert, key          string
}

func newNginx(t *testing.T) *nginx {
	t.Helper()
	n := &nginx{authority: newAuthority(t), addr: freeAddr(t), gateway: freeAddr(t)}
	host := "notes.example.test:" + port(t, n.addr)
	n.origin = "https://" + host
	n.cert, n.key = n.issue(t, "notes.example.test")
	n.mcp = strings.TrimSuffix(strings.TrimPrefix(startEverything(t), "http://"), "/mcp")
	n.echo = echoHeaders(t)
	serve(t, n.gateway, settings{
		"server": settings{"trustedProxies": []string{"127.0.0.1/32"}},
		"tls":    settings{"mode": "off"},
		"provider": settings{"name": "oidc", "issuerURL": startProvider(t, n.origin+"/callback"),
			"clientID": "gateway", "clientSecret": clientSecret, "allowedEmailDomains": []string{"example.com"}},
		"proxy": settings{"hosts": []settings{{"host": host, "name": names["notes"]}}},
	})
	return n
}

// echoHeaders answers with the headers of the request.
func echoHeaders(t *testing.T) (addr string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = r.Header.Write(w) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// start runs nginx with a server block that was written for the usual ports.
func (n *nginx) start(t *testing.T, server string) {
	t.Helper()
	dir := t.TempDir()
	server = strings.NewReplacer(
		"listen 443 ssl", "listen "+n.addr+" ssl", "/etc/ssl/notes.pem", n.cert, "/etc/ssl/notes.key", n.key,
		"notes.example.com", "notes.example.test", "127.0.0.1:8080", n.gateway,
		"http://127.0.0.1:3001", "http://$mcp", "$host;", "$http_host;",
	).Replace(server)
	conf := fmt.Sprintf(`pid %[1]s/pid; error_log stderr; daemon off; master_process off;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	map $uri $mcp { default %[2]s; /echo %[3]s; }
	%[4]s
}`, dir, n.mcp, n.echo, server)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	bin, err := exec.LookPath("nginx")
	if err != nil {
		bin = "/usr/sbin/nginx"
	}
	start(t, exec.Command(bin, "-p", dir, "-c", file)).accepts(t, n.addr)
}

// challenges: without a token nobody passes, and is told where to get one.
func (n *nginx) challenges(t *testing.T) {
	t.Helper()
	res := n.get(t, "/mcp", "")
	want := fmt.Sprintf(`Bearer realm="mcp-oauth2-proxy", resource_metadata="%s/.well-known/oauth-protected-resource"`, n.origin)
	if got := res.Header.Get("WWW-Authenticate"); res.StatusCode != http.StatusUnauthorized || got != want {
		t.Errorf("%s, WWW-Authenticate: %q, want 401, %q", res.Status, got, want)
	}
}

// tellsWhoItIs: the MCP server hears from the gateway who calls, whatever the
// client says of itself.
func (n *nginx) tellsWhoItIs(t *testing.T, token string) {
	t.Helper()
	res := n.get(t, "/echo", token)
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Email"} {
		if strings.Contains(string(body), name+": mallory") || !strings.Contains(string(body), name+": ") {
			t.Errorf("%s is not the gateway's:\n%s", name, body)
		}
	}
	if strings.Contains(string(body), "mallory") {
		t.Errorf("what the client said of itself got through:\n%s", body)
	}
}

func (n *nginx) get(t *testing.T, path, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.origin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"User", "Email", "Groups", "Access-Scopes", "Client-Id", "Preferred-Username"} {
		req.Header.Set("X-Forwarded-"+name, "mallory")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := n.client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() }) // it was read
	return res
}

// guideServer is the server block of docs/https.md that asks.
func guideServer(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/https.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```nginx\n(.*?)```").FindAllSubmatch(text, -1) {
		if strings.Contains(string(m[1]), "auth_request ") {
			return string(m[1])
		}
	}
	t.Fatal("docs/https.md has no server block with auth_request")
	return ""
}

// ingressServer is a server block with what ingress-nginx (nginx.tmpl, v1.14)
// makes of the two Ingresses of the chart. The name in auth-url leads back to
// nginx itself, as DNS would lead to the ingress controller.
func ingressServer(t *testing.T, n *nginx) string {
	t.Helper()
	ingresses := objectsOf[networkingv1.Ingress](t, install(t, "--values", filepath.Join(chart, "ci", "ingress-asks-values.yaml")), "Ingress")
	var b strings.Builder
	b.WriteString("server {\nlisten 443 ssl;\nserver_name notes.example.com;\nssl_certificate /etc/ssl/notes.pem;\nssl_certificate_key /etc/ssl/notes.key;\n")
	for _, path := range ingresses[0].Spec.Rules[0].HTTP.Paths { // those of the gateway
		fmt.Fprintf(&b, `location %s {
	proxy_pass http://127.0.0.1:8080;
	proxy_set_header Host $host; proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Forwarded-For $remote_addr;
}
`, path.Path)
	}
	annotation := func(name string) string { return ingresses[1].Annotations["nginx.ingress.kubernetes.io/"+name] }
	fmt.Fprintf(&b, `location = /_external-auth {
	internal;
	proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header X-Forwarded-Proto "";
	proxy_method %s;
	proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
	proxy_ssl_server_name on; proxy_pass_request_headers on;
	proxy_pass %s;
}
location / {
	auth_request /_external-auth;
	proxy_pass http://127.0.0.1:3001;
	proxy_http_version 1.1; proxy_set_header Connection "";
	proxy_buffering %s; proxy_read_timeout %ss; client_max_body_size %s;
`, annotation("auth-method"), strings.Replace(annotation("auth-url"), "$host", n.addr, 1),
		annotation("proxy-buffering"), annotation("proxy-read-timeout"), annotation("proxy-body-size"))
	for i, header := range strings.Split(annotation("auth-response-headers"), ",") {
		variable := "$upstream_http_" + strings.ToLower(strings.ReplaceAll(header, "-", "_"))
		fmt.Fprintf(&b, "\tauth_request_set $authHeader%d %s;\n\tproxy_set_header '%s' $authHeader%d;\n", i, variable, header, i)
	}
	b.WriteString("}\n}\n")
	return b.String()
}
