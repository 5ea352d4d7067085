package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

var errSkip = errors.New("binary absent")

// inst is a running contender.
type inst struct {
	procs   []*proc
	addr    string
	token   string
	session string // Mcp-Session-Id as the contender shows it
	tls     bool
	h2      bool
	noAuth  bool
	bins    []string
	login   func() (string, error)        // obtains the token once the servers answer
	fresh   func(n int) ([]string, error) // as many tokens that nobody has sent yet; nil: it cannot be had
}

func (i *inst) pids() (out []int) {
	for _, p := range i.procs {
		out = append(out, family(p.cmd.Process.Pid)...)
	}
	return
}

// born is when the first of its processes was started; at, if it has none.
func (i *inst) born(at time.Time) time.Time {
	for n, p := range i.procs {
		if n == 0 || p.born.Before(at) {
			at = p.born
		}
	}
	return at
}

func (i *inst) stop() {
	for _, p := range i.procs {
		p.stop()
	}
}

type contender struct {
	name  string
	start func(e *env) (*inst, error)
}

func port() string {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	return l.Addr().String()
}

func (e *env) bin(envName, fallback string) (string, error) {
	b := os.Getenv(envName)
	if b == "" {
		b = fallback
	}
	if b == "" {
		return "", errSkip
	}
	p, err := exec.LookPath(b)
	if err != nil {
		return "", errSkip
	}
	return p, nil
}

func (e *env) file(name, content string) string {
	p := filepath.Join(e.dir, name)
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		panic(err)
	}
	return p
}

func (e *env) path(n string) string { return filepath.Join(e.dir, n) }

func direct(useTLS bool) func(e *env) (*inst, error) {
	return func(e *env) (*inst, error) {
		i := &inst{addr: e.upHTTP, tls: useTLS, noAuth: true, bins: []string{e.tool("upstream")}}
		if useTLS {
			i.addr = e.upTLS
		}
		return i, nil
	}
}

// goref: variants of the reference Go gateway of this harness.
func goref(alg string, environ []string, flags ...string) func(e *env) (*inst, error) {
	return func(e *env) (*inst, error) {
		a := port()
		bin := e.tool("goref")
		if b := os.Getenv("GOREF_PGO_BIN"); b != "" && len(environ) > 0 && environ[0] == "PGO=1" {
			bin = b
		}
		args := append([]string{bin, "-listen", a, "-upstream", "http://" + e.upHTTP, "-cert", e.path("cert.pem"), "-key", e.path("key.pem")}, flags...)
		i := &inst{addr: a, tls: true, h2: true, noAuth: true, bins: []string{bin}}
		if alg != "" {
			args = append(args, "-alg", alg, "-pub", e.path(alg+".pub"))
			i.noAuth = false
			i.token, i.fresh = e.token(alg), e.fresh(alg)
		}
		p, err := e.spawn("goref-"+strings.ReplaceAll(a, ":", "-"), environ, args...)
		if err != nil {
			return nil, err
		}
		i.procs = []*proc{p}
		return i, nil
	}
}

// nginxConf: TLS + HTTP/2, buffering off as needed for SSE, upstream keep-alive.
func nginxConf(e *env, addr, extraHTTP, extraLoc, target string) string {
	return fmt.Sprintf(`
user root;
worker_processes 2;
worker_rlimit_nofile 20000;
pid %[1]s.pid;
error_log %[1]s.err crit;
events { worker_connections 19000; multi_accept on; }
http {
  access_log off;
  client_body_temp_path %[1]s.body; proxy_temp_path %[1]s.tmp; fastcgi_temp_path %[1]s.f; uwsgi_temp_path %[1]s.u; scgi_temp_path %[1]s.s;
  keepalive_requests 100000000; keepalive_timeout 300s;
  http2_max_concurrent_streams 256;
  tcp_nodelay on;
  upstream origin { server %[2]s; keepalive 512; keepalive_requests 100000000; }
  %[3]s
  server {
    listen %[4]s ssl http2 backlog=4096;
    server_name mcp.bench.test;
    ssl_certificate %[5]s; ssl_certificate_key %[6]s;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:SSL:10m; ssl_session_tickets on;
    proxy_http_version 1.1;
    location / {
      %[7]s
      proxy_set_header Host $host; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https;
      proxy_buffering off; proxy_request_buffering on; proxy_read_timeout 1h;
      proxy_pass http://%[8]s;
    }
    %[9]s
  }
}`, filepath.Join(e.dir, "ng-"+strings.ReplaceAll(addr, ":", "-")), e.upHTTP, extraHTTP, addr, e.path("cert.pem"), e.path("key.pem"), extraLoc, target, "@@SERVER@@")
}

func nginxStart(e *env, addr, conf string) (*proc, string, error) {
	bin, err := e.bin("NGINX_BIN", "nginx")
	if err != nil {
		return nil, "", err
	}
	n := "ng-" + strings.ReplaceAll(addr, ":", "-")
	f := e.file(n+".conf", conf)
	p, err := e.spawn(n, nil, bin, "-p", e.dir, "-c", f, "-g", "daemon off;")
	return p, bin, err
}

func nginx(e *env) (*inst, error) {
	a := port()
	p, bin, err := nginxStart(e, a, strings.Replace(nginxConf(e, a, "", "", "origin"), "@@SERVER@@", "", 1))
	if err != nil {
		return nil, err
	}
	return &inst{procs: []*proc{p}, addr: a, tls: true, h2: true, noAuth: true, bins: []string{bin}}, nil
}

// seed starts mcp-oauth2-proxy behind the fake GitHub.
func (e *env) seed() (*proc, string, string, error) {
	bin, err := e.bin("SEED_BIN", "")
	if err != nil {
		return nil, "", "", err
	}
	a := port()
	cfg := e.file("seed-"+strings.ReplaceAll(a, ":", "-")+".yaml", fmt.Sprintf(`
provider: {name: github, clientID: bench, clientSecret: bench}
proxy: {hosts: [{host: %s}], disableConsentScreen: true}
server: {addr: "%s"}
`, host, a))
	p, err := e.spawn("seed-"+strings.ReplaceAll(a, ":", "-"), []string{"MCP_OAUTH2_PROXY_CONFIG=" + cfg, "HTTPS_PROXY=http://" + e.idp.addr, "https_proxy=http://" + e.idp.addr,
		"SSL_CERT_FILE=" + e.path("idp-ca.pem"), "NO_PROXY=127.0.0.1"}, bin)
	return p, a, bin, err
}

// nginxSeed: auth_request to the seed's /authenticate over kept-alive plain HTTP.
func nginxSeed(e *env) (*inst, error) {
	sp, sa, sbin, err := e.seed()
	if err != nil {
		return nil, err
	}
	a := port()
	conf := nginxConf(e, a, "upstream auth { server "+sa+"; keepalive 512; keepalive_requests 100000000; }",
		`auth_request /_auth; proxy_set_header Authorization "";`, "origin")
	conf = strings.Replace(conf, "@@SERVER@@", `location = /_auth { internal; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header Host $host; proxy_set_header Connection ""; proxy_pass http://auth/authenticate; }`, 1)
	p, bin, err := nginxStart(e, a, conf)
	if err != nil {
		sp.stop()
		return nil, err
	}
	return &inst{procs: []*proc{p, sp}, addr: a, tls: true, h2: true, bins: []string{bin, sbin},
		login: func() (string, error) { return e.idp.oauthToken("http://" + sa) }}, nil
}

// nginxSeedIngress: the annotation the seed's README recommends for
// ingress-nginx, auth-url https://$host/authenticate: the auth request goes
// back through the TLS front door, without upstream keep-alive.
func nginxSeedIngress(e *env) (*inst, error) {
	sp, sa, sbin, err := e.seed()
	if err != nil {
		return nil, err
	}
	a := port()
	conf := nginxConf(e, a, "upstream auth { server "+sa+"; keepalive 512; keepalive_requests 100000000; }",
		`auth_request /_auth; proxy_set_header Authorization "";`, "origin")
	conf = strings.Replace(conf, "@@SERVER@@", `location = /_auth { internal; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header Host $host; proxy_ssl_server_name on; proxy_ssl_name $host; proxy_pass https://`+a+`/authenticate; }
    location = /authenticate { proxy_set_header Host $host; proxy_set_header Connection ""; proxy_pass http://auth/authenticate; }`, 1)
	p, bin, err := nginxStart(e, a, conf)
	if err != nil {
		sp.stop()
		return nil, err
	}
	return &inst{procs: []*proc{p, sp}, addr: a, tls: true, h2: true, bins: []string{bin, sbin},
		login: func() (string, error) { return e.idp.oauthToken("http://" + sa) }}, nil
}

func haproxyStart(e *env, rules string) (*inst, error) {
	bin, err := e.bin("HAPROXY_BIN", "haproxy")
	if err != nil {
		return nil, err
	}
	a := port()
	f := e.file("ha-"+strings.ReplaceAll(a, ":", "-")+".cfg", fmt.Sprintf(`
global
  nbthread 2
  maxconn 9900
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 300s
  http-reuse always
  option http-no-delay
frontend fe
  bind %s ssl crt %s alpn h2,http/1.1 backlog 4096
%s
  http-request set-header X-Forwarded-Proto https
  option forwardfor
  default_backend be
backend be
  server s1 %s pool-max-conn 1024
`, a, e.path("both.pem"), rules, e.upHTTP))
	p, err := e.spawn("ha-"+strings.ReplaceAll(a, ":", "-"), nil, bin, "-db", "-f", f)
	if err != nil {
		return nil, err
	}
	return &inst{procs: []*proc{p}, addr: a, tls: true, h2: true, noAuth: rules == "", bins: []string{bin}}, nil
}

func haproxy(e *env) (*inst, error) { return haproxyStart(e, "") }

func haproxyJWT(e *env) (*inst, error) {
	i, err := haproxyStart(e, fmt.Sprintf(`
  http-request set-var(txn.tok) http_auth_bearer
  http-request return status 401 hdr WWW-Authenticate Bearer unless { var(txn.tok) -m found }
  http-request set-var(txn.alg) var(txn.tok),jwt_header_query('$.alg')
  http-request return status 401 unless { var(txn.alg) -m str RS256 }
  http-request return status 401 unless { var(txn.tok),jwt_payload_query('$.iss') -m str https://%[1]s }
  http-request return status 401 unless { var(txn.tok),jwt_payload_query('$.aud[0]') -m str https://%[1]s }
  http-request set-var(txn.exp) var(txn.tok),jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request return status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
  http-request return status 401 unless { var(txn.tok),jwt_verify(txn.alg,"%[2]s") 1 }
  http-request del-header Authorization`, host, e.path("RS256.pub")))
	if err == nil {
		i.token, i.fresh = e.token("RS256"), e.fresh("RS256")
	}
	return i, err
}

func caddyStart(e *env, mid string) (*inst, error) {
	bin, err := e.bin("CADDY_BIN", "caddy")
	if err != nil {
		return nil, err
	}
	a := port()
	_, pt, _ := net.SplitHostPort(a)
	f := e.file("caddy-"+pt, fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https disable_redirects
	log {
		level ERROR
	}
	servers {
		protocols h1 h2
	}
}
https://%s:%s {
	bind 127.0.0.1
	tls %s %s
	%s
	reverse_proxy %s {
		flush_interval -1
		header_up -Authorization
		transport http {
			keepalive_idle_conns_per_host 512
		}
	}
}
`, host, pt, e.path("cert.pem"), e.path("key.pem"), mid, e.upHTTP))
	p, err := e.spawn("caddy-"+pt, []string{"HOME=" + e.dir, "XDG_DATA_HOME=" + e.dir, "XDG_CONFIG_HOME=" + e.dir}, bin, "run", "--config", f, "--adapter", "caddyfile")
	if err != nil {
		return nil, err
	}
	return &inst{procs: []*proc{p}, addr: a, tls: true, h2: true, noAuth: mid == "", bins: []string{bin}}, nil
}

func caddy(e *env) (*inst, error) { return caddyStart(e, "") }

func caddySeed(e *env) (*inst, error) {
	sp, sa, sbin, err := e.seed()
	if err != nil {
		return nil, err
	}
	i, err := caddyStart(e, "forward_auth "+sa+" {\n uri /authenticate\n transport http {\n keepalive_idle_conns_per_host 512\n }\n}")
	if err != nil {
		sp.stop()
		return nil, err
	}
	i.procs = append(i.procs, sp)
	i.bins = append(i.bins, sbin)
	i.login = func() (string, error) { return e.idp.oauthToken("http://" + sa) }
	return i, nil
}

// sigbit's mcp-auth-proxy with its own TLS; it accepts a JWT signed by the
// key given in JWT_PRIVATE_KEY.
func sigbit(e *env) (*inst, error) {
	bin, err := e.bin("SIGBIT_BIN", "")
	if err != nil {
		return nil, err
	}
	a, plain := port(), port()
	pem := must(os.ReadFile(e.path("rsa-priv.pem")))
	p, err := e.spawn("sigbit-"+strings.ReplaceAll(a, ":", "-"), []string{"JWT_PRIVATE_KEY=" + string(pem)}, bin, "--listen", plain, "--tls-listen", a,
		"--tls-cert-file", e.path("cert.pem"), "--tls-key-file", e.path("key.pem"), "--external-url", "https://"+host,
		"--data-path", e.path("sigbit-"+strings.ReplaceAll(a, ":", "-")), "--password", "bench", "http://"+e.upHTTP)
	if err != nil {
		return nil, err
	}
	itself := *e
	itself.slash = "/"
	return &inst{procs: []*proc{p}, addr: a, tls: true, h2: true, bins: []string{bin}, token: itself.token("RS256"), fresh: itself.fresh("RS256")}, nil
}

// nginxBabs: babs' mcp-auth-proxy has no TLS listener, so nginx terminates TLS for it.
func nginxBabs(e *env) (*inst, error) {
	bin, err := e.bin("BABS_BIN", "")
	if err != nil {
		return nil, err
	}
	a, ba, ma := port(), port(), port()
	bp, err := e.spawn("babs-"+strings.ReplaceAll(ba, ":", "-"), []string{"LISTEN_ADDR=" + ba, "METRICS_ADDR=" + ma, "OIDC_ISSUER_URL=" + e.idp.issuer(), "OIDC_CLIENT_ID=bench", "OIDC_CLIENT_SECRET=bench",
		"OIDC_ALLOW_INSECURE_HTTP=true", "PROD_MODE=false", "REDIS_REQUIRED=false", "RENDER_CONSENT_PAGE=false", "RATE_LIMIT_ENABLED=false", "MCP_PER_SUBJECT_CONCURRENCY=0",
		"PROXY_BASE_URL=https://" + host, "UPSTREAM_MCP_URL=http://" + e.upHTTP + "/mcp", "ACCESS_LOG_SKIP_RE=.*",
		"TOKEN_SIGNING_SECRET=q8Jw3vTz0bXn5LpYc7RfGd1Ks9HmUe2AoViQx6Zt4BhNjMrWyEgDlCuFaPkS0TqI"}, bin)
	if err != nil {
		return nil, err
	}
	conf := nginxConf(e, a, "upstream babs { server "+ba+"; keepalive 512; keepalive_requests 100000000; }", "", "babs")
	p, nbin, err := nginxStart(e, a, strings.Replace(conf, "@@SERVER@@", "", 1))
	if err != nil {
		bp.stop()
		return nil, err
	}
	return &inst{procs: []*proc{p, bp}, addr: a, tls: true, h2: true, bins: []string{nbin, bin},
		login: func() (string, error) { return e.idp.oauthToken("http://" + ba) }}, nil
}

func contenders() []contender {
	jwx := "RS256"
	return []contender{
		{"direct-http", direct(false)},
		{"direct-tls", direct(true)},
		{"nginx", nginx},
		{"haproxy", haproxy},
		{"caddy", caddy},
		{"go-bare", goref("", nil)},
		{"haproxy-jwt", haproxyJWT},
		{"nginx+seed", nginxSeed},
		{"nginx+seed-ingress", nginxSeedIngress},
		{"caddy+seed", caddySeed},
		{"sigbit", sigbit},
		{"ours", ours},
		{"nginx+babs", nginxBabs},
		{"go-jwx", goref(jwx, nil, "-auth", "jwx")},
		{"go-jwxcache", goref(jwx, nil, "-auth", "jwxcache")},
		{"go-echo-jwx", goref(jwx, nil, "-auth", "jwx", "-echo")},
		{"go-std", goref(jwx, []string{"GOGC=400"}, "-echo", "-auth", "jwxcache", "-bufpool", "16384", "-prebuf", "65536", "-ssebuf", "4096")},
		// levers, one at a time (for -contenders '^t-')
		{"t-base", goref("", nil)},
		{"t-idle2", goref("", nil, "-idle", "0")},
		{"t-bufpool4k", goref("", nil, "-bufpool", "4096")},
		{"t-bufpool16k", goref("", nil, "-bufpool", "16384")},
		{"t-bufpool32k", goref("", nil, "-bufpool", "32768")},
		{"t-prebuf", goref("", nil, "-prebuf", "65536")},
		{"t-stdtuned", goref("", []string{"GOGC=400"}, "-bufpool", "16384", "-prebuf", "65536")},
		{"t-gogc400", goref("", []string{"GOGC=400"})},
		{"t-gogc-mem", goref("", []string{"GOGC=off", "GOMEMLIMIT=128MiB"})},
		{"t-echo", goref("", nil, "-echo")},
		{"t-h2win", goref("", nil, "-h2rbuf", "1048576", "-h2streams", "1000")},
		{"t-tbuf16k", goref("", nil, "-tbuf", "16384")},
		{"t-classical", goref("", nil, "-classical")},
		{"t-pgo", goref("", []string{"PGO=1"})},
		{"t-minheap", goref("", nil, "-minheap", "64")},
		{"t-stdtuned-minheap", goref("", nil, "-bufpool", "16384", "-prebuf", "65536", "-minheap", "64")},
		{"t-jwx-rs256", goref("RS256", nil, "-auth", "jwx")},
		{"t-jwx-es256", goref("ES256", nil, "-auth", "jwx")},
		{"t-jwx-eddsa", goref("EdDSA", nil, "-auth", "jwx")},
		{"t-jwxcache", goref("RS256", nil, "-auth", "jwxcache")},
		{"t-gojwt-rs256", goref("RS256", nil, "-auth", "gojwt")},
		{"t-sse-own4k", goref("", nil, "-ssebuf", "4096")},
		{"t-sse-own2k-tbuf1k", goref("", nil, "-ssebuf", "2048", "-tbuf", "1024")},
		{"t-echo-log", goref("", nil, "-echo", "-reqlog")},
	}
}
