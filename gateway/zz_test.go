package gateway
import ("testing")
func TestZZ(t *testing.T) {
	for _, p := range []string{"testdata/original.yaml","testdata/original-open.yaml","../config.example.yaml"} {
		_, err := Load(p, nil)
		t.Log(err)
	}
	_, err := Parse([]byte("server: {addr: \":443\", adress: x, limit: {}}\nhosts: []\nproxy: {hosts: [{host: a.b, endpont: x}, 5], clients: [{clientID: x, grants: [a]}]}\ntls: {mode: acmee}\nprovider: {name: oidc, allowedUsers: x, clientID: 5}\nserver: 5\ntoken: {accessTTL: 3, refreshTTL: 1x}"), []string{"MCP_OAUTH2_PROXY_SERVER_PORT=443","MCP_OAUTH2_PROXY_PORT=tcp://1.2.3.4:80","MCP_OAUTH2_PROXY_SERVICE_HOST=x","MCP_OAUTH2_PROXY_PROXY_CORS=maybe","MCP_OAUTH2_PROXY_TLS_FILES_CERT=/x"})
	t.Log(err)
	_, err = Parse([]byte("a: [b\n"), nil)
	t.Log(err)
	_, err = Parse([]byte("tls: {mode: files, files: [{cert: /nope, key: /nope}]}"), nil)
	t.Log(err)
}
