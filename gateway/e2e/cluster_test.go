//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcp-oauth2-proxy/auth/idp/idptest"
)

// A cluster is the built program several times, behind a TCP balancer, with one
// store. Its host is the balancer's address.
type cluster struct {
	host     string   // the authority that clients type
	pins     []string // addresses that lead to one replica each, or to the next while it is down
	replicas []*replica
	upstream *upstream
	provider *idptest.Provider
}

func (c *cluster) origin() string { return "http://" + c.host }

// A replica is one process of a cluster, which can die and come back.
type replica struct {
	*process
	addr, admin, socket, config string
}

// newCluster starts n replicas on a store, with what the test changes in their
// configuration.
func newCluster(t *testing.T, n int, storeURL string, change ...func(settings)) *cluster {
	t.Helper()
	c := &cluster{host: freeAddr(t), upstream: startClusterUpstream(t), provider: idptest.New(t)}
	for i := range n {
		c.replicas = append(c.replicas, c.newReplica(t, i, storeURL, change))
		c.pins = append(c.pins, freeAddr(t))
	}
	for _, r := range c.replicas {
		r.up(t)
	}
	c.balance(t)
	return c
}

func (c *cluster) newReplica(t *testing.T, i int, storeURL string, change []func(settings)) *replica {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw-") //nolint:usetesting // the path of t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &replica{addr: freeAddr(t), admin: freeAddr(t), socket: filepath.Join(dir, "admin.sock")}
	conf := settings{
		"server": settings{
			"addr": r.addr, "adminAddr": r.admin, "adminSocket": r.socket, "httpAddr": "", "scheme": "http", "shutdownGrace": "5s",
			"limits": settings{"registrationsPerMinute": 0, "authorizationsPerMinute": 0, "failedSigninsPerMinute": 0, "streamsPerUser": 0},
		},
		"tls":   settings{"mode": "off"},
		"token": settings{"algorithm": "ES256"},
		"store": settings{"url": storeURL},
		"audit": settings{"path": filepath.Join(dir, "audit.log")},
		"provider": settings{"name": "oidc", "displayName": "Example", "issuerURL": c.provider.Issuer,
			"clientID": idptest.ClientID, "clientSecret": idptest.ClientSecret, "allowedEmailDomains": []string{`example\.com`}},
		"proxy": settings{"hosts": []settings{{"host": c.host, "endpoint": c.upstream.url, "name": fmt.Sprint("Notes ", i)}}},
	}
	for _, ch := range change {
		ch(conf)
	}
	r.config = writeConfig(t, conf)
	return r
}

// up starts the process and waits until it is ready.
func (r *replica) up(t *testing.T) {
	t.Helper()
	r.begin(t)
	r.ready(t)
}

func (r *replica) begin(t *testing.T) {
	t.Helper()
	r.process = start(t, exec.Command(must(t, product), "serve", "--config", r.config))
}

func (r *replica) ready(t *testing.T) {
	t.Helper()
	r.answers(t, "http://"+r.admin+"/readyz")
}

// command runs a management command against the process.
func (r *replica) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(must(t, product), append(args, "--config", r.config)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", args, err, out)
	}
	return string(out)
}

// balance starts HAProxy: in front, a connection goes to the next replica each
// time; behind a pin, to that replica.
func (c *cluster) balance(t *testing.T) {
	t.Helper()
	var conf strings.Builder
	fmt.Fprintf(&conf, `defaults
	mode tcp
	timeout connect 2s
	timeout client 10m
	timeout server 10m
	retries 3
	option redispatch 1
listen front
	bind %s
	balance roundrobin
	option httpchk GET /readyz
	default-server inter 100ms fastinter 50ms downinter 50ms rise 1 fall 1
`, c.host)
	for i, r := range c.replicas {
		fmt.Fprintf(&conf, "\tserver r%d %s check port %s\n", i, r.addr, port(t, r.admin))
	}
	for i, pin := range c.pins {
		fmt.Fprintf(&conf, "listen pin%d\n\tbind %s\n\tserver r%d %s track front/r%d\n", i, pin, i, c.replicas[i].addr, i)
		for j, r := range c.replicas {
			if j != i {
				fmt.Fprintf(&conf, "\tserver r%d %s track front/r%d backup\n", j, r.addr, j)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path = "/usr/sbin/haproxy" // where Debian has it, which is not in every PATH
	}
	start(t, exec.Command(path, "-db", "-f", file)).accepts(t, c.host)
}

// upstream is an MCP server: calls are the Go SDK's work, and whoever listens
// is told one thing and then nothing for as long as they like.
type upstream struct{ url string }

func startClusterUpstream(t *testing.T) *upstream {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{Name: "read"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "a note"}}}, nil, nil
	})
	calls := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			calls.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(w, ": you are heard\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	return &upstream{url: serveHTTP(t, handler) + "/mcp"}
}
