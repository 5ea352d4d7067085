package routing_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"mcp-oauth2-proxy/routing"
)

func TestCanonical(t *testing.T) {
	for name, tc := range map[string]struct{ host, scheme, want string }{
		"as it is":                             {"mcp.example.com", "https", "mcp.example.com"},
		"capitals":                             {"MCP.Example.COM", "https", "mcp.example.com"},
		"the default port of https":            {"mcp.example.com:443", "https", "mcp.example.com"},
		"the default port of http":             {"localhost:80", "http", "localhost"},
		"another port stays":                   {"localhost:8080", "http", "localhost:8080"},
		"443 is no default of http":            {"localhost:443", "http", "localhost:443"},
		"a trailing dot":                       {"mcp.example.com.", "https", "mcp.example.com"},
		"a trailing dot and the port":          {"mcp.example.com.:443", "https", "mcp.example.com"},
		"an empty port":                        {"mcp.example.com:", "https", "mcp.example.com"},
		"a port with zeros":                    {"mcp.example.com:08443", "https", "mcp.example.com:8443"},
		"two dots are no host":                 {"mcp.example.com..", "https", "mcp.example.com.."},
		"IPv6 in one spelling":                 {"[0:0:0:0:0:0:0:1]:8080", "http", "[::1]:8080"},
		"IPv6 without a port":                  {"[::1]", "http", "[::1]"},
		"IPv6 without brackets is left alone":  {"::1", "http", "::1"},
		"the Kelvin sign is no k":              {"\u212Aube.example.com", "https", "\u212Aube.example.com"},
		"a port that is no number is no port":  {"mcp.example.com:x", "https", "mcp.example.com:x"},
		"nothing":                              {"", "https", ""},
		"IPv4 keeps its port":                  {"127.0.0.1:3000", "http", "127.0.0.1:3000"},
		"a zone stays in capitals of its host": {"[FE80::1%eth0]:443", "https", "[fe80::1%eth0]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := routing.Canonical(tc.host, tc.scheme); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"a.example", "A.:443", "[::1]:80", "a..:0", "[", ":", ".:", "a:b:443", "[::1].:443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		for _, scheme := range []string{"http", "https"} {
			once := routing.Canonical(host, scheme)
			if twice := routing.Canonical(once, scheme); twice != once {
				t.Errorf("%s %q: %q, then %q", scheme, host, once, twice)
			}
			if strings.ContainsFunc(once, func(r rune) bool { return 'A' <= r && r <= 'Z' }) {
				t.Errorf("capitals in %q", once)
			}
		}
	})
}

func TestLookup(t *testing.T) {
	table, err := routing.NewTable([]routing.Config{
		{Host: "Notes.example.com", Endpoint: parse(t, "http://127.0.0.1:1/mcp")},
		{Host: "localhost:8080", Scheme: "http"},
		{Host: "localhost", Scheme: "http"},
	}, routing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"notes.example.com":       "notes.example.com",
		"NOTES.example.com.:443":  "notes.example.com",
		"localhost:8080":          "localhost:8080",
		"LOCALHOST:80":            "localhost",
		"localhost:443":           "",
		"notes.example.com:80":    "",
		"other.example.com":       "",
		"":                        "",
		"notes.example.com.evil":  "",
		"notes.example.com:443 x": "",
	} {
		t.Run("X2 "+host, func(t *testing.T) {
			r, ok := table.Lookup(host)
			if ok != (want != "") || ok && r.Host != want {
				t.Errorf("%q: %v %v", host, r, ok)
			}
		})
	}
	if n := len(table.Routes()); n != 3 {
		t.Errorf("%d routes", n)
	}
}

func TestTwoSpellingsOfOneHostAreRefused(t *testing.T) {
	for name, hosts := range map[string][2]string{
		"capitals":       {"a.example.com", "A.example.com"},
		"a default port": {"a.example.com", "a.example.com:443"},
		"a dot":          {"a.example.com.", "a.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := routing.NewTable([]routing.Config{{Host: hosts[0]}, {Host: hosts[1]}}, routing.Options{})
			if err == nil || !strings.Contains(err.Error(), "proxy.hosts[1].host") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNewTableTellsAllFaults(t *testing.T) {
	_, err := routing.NewTable([]routing.Config{
		{Host: ""}, {Host: "a.example.com", Endpoint: &url.URL{Scheme: "ftp", Host: "x"}}, {Host: "b.example.com", Scheme: "gopher"},
	}, routing.Options{})
	for _, key := range []string{"proxy.hosts[0]: host", "proxy.hosts[1]: endpoint", "proxy.hosts[2]: scheme"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("no %q in %v", key, err)
		}
	}
}

func TestAudience(t *testing.T) {
	const origin = "https://notes.example.com"
	mcp := []string{origin, origin + "/mcp"}
	route := route(t, routing.Config{Host: "notes.example.com", Endpoint: parse(t, "http://127.0.0.1:3001/mcp")})
	for name, tc := range map[string]struct {
		resource string
		want     []string
	}{
		"Z6 absent means the endpoint":         {"", mcp},
		"Z6 the origin means the endpoint":     {origin, mcp},
		"Z6 the origin with a slash":           {origin + "/", mcp},
		"Z6 the endpoint":                      {origin + "/mcp", mcp},
		"Z6 the endpoint with a slash":         {origin + "/mcp/", mcp},
		"Z6 a path below":                      {origin + "/other/one", []string{origin, origin + "/other/one"}},
		"Z6 scheme and host in capitals":       {"HTTPS://Notes.EXAMPLE.com/mcp", mcp},
		"Z6 the default port":                  {"https://notes.example.com:443/mcp", mcp},
		"Z6 a trailing dot":                    {"https://notes.example.com./mcp", mcp},
		"Z6 a path keeps its case and escapes": {origin + "/M%2Fx", []string{origin, origin + "/M%2Fx"}},
		"Z7 another host":                      {"https://mail.example.com/mcp", nil},
		"Z7 a host that begins the same":       {"https://notes.example.com.evil.example/mcp", nil},
		"Z7 another port":                      {"https://notes.example.com:8443/mcp", nil},
		"Z7 another scheme":                    {"http://notes.example.com/mcp", nil},
		"Z7 userinfo":                          {"https://notes.example.com@evil.example/mcp", nil},
		"Z7 our host as userinfo's host":       {"https://evil@notes.example.com/mcp", nil},
		"Z7 a backslash":                       {"https://evil.example\\@notes.example.com/", nil},
		"Z5 a fragment":                        {origin + "/mcp#x", nil},
		"Z5 an empty fragment":                 {origin + "/mcp#", nil},
		"Z5 a query":                           {origin + "/mcp?x=1", nil},
		"Z5 an empty query":                    {origin + "/mcp?", nil},
		"Z5 not absolute":                      {"/mcp", nil},
		"Z5 without a scheme":                  {"notes.example.com/mcp", nil},
		"Z5 opaque":                            {"https:notes.example.com/mcp", nil},
		"Z5 a path that leaves":                {origin + "/mcp/../x", nil},
		"Z5 a path that leaves, encoded":       {origin + "/mcp/%2e%2e/x", nil},
		"Z5 a space":                           {origin + "/m cp", nil},
		"Z5 a bad escape":                      {origin + "/%zz", nil},
		"Z5 a URI without end":                 {origin + "/" + strings.Repeat("a", 4096), nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := route.Audience(tc.resource)
			if !slices.Equal(got, tc.want) || ok != (tc.want != nil) {
				t.Errorf("got %q %v, want %q", got, ok, tc.want)
			}
		})
	}
}

func TestAudienceWhereTheEndpointIsTheOrigin(t *testing.T) {
	r := route(t, routing.Config{Host: "localhost:8080", Scheme: "http", Endpoint: parse(t, "http://127.0.0.1:3001/")})
	for _, asked := range []string{"", "http://localhost:8080", "http://localhost:8080/"} {
		if got, ok := r.Audience(asked); !ok || !slices.Equal(got, []string{"http://localhost:8080"}) {
			t.Errorf("%q: %q %v", asked, got, ok)
		}
	}
	if r.Resource() != "http://localhost:8080" {
		t.Errorf("resource %q", r.Resource())
	}
}

func FuzzAudience(f *testing.F) {
	r := route(f, routing.Config{Host: "notes.example.com", Endpoint: parse(f, "http://127.0.0.1:3001/mcp")})
	f.Add("https://notes.example.com/mcp")
	f.Add("https://notes.example.com:443/%2e/")
	f.Add("https://notes.example.com@evil.example")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := r.Audience(s)
		if !ok {
			return
		}
		// Z7: whatever was asked, the token is for this host, and asking again
		// for what it is for gives the same.
		for _, aud := range got {
			if aud != r.Origin && !strings.HasPrefix(aud, r.Origin+"/") {
				t.Errorf("%q: %q", s, aud)
			}
		}
		if again, ok := r.Audience(got[len(got)-1]); !ok || !slices.Equal(again, got) {
			t.Errorf("%q: %q, then %q", s, got, again)
		}
	})
}

func TestServes(t *testing.T) {
	some := routing.Config{Host: "a.example", Endpoint: parse(t, "http://127.0.0.1:1/mcp"), Paths: []string{"/messages", "/files/"}}
	all := routing.Config{Host: "a.example", Endpoint: parse(t, "http://127.0.0.1:1/mcp")}
	root := routing.Config{Host: "a.example", Endpoint: parse(t, "http://127.0.0.1:1"), Paths: []string{"/messages"}}
	for name, tc := range map[string]struct {
		c    routing.Config
		path string
		want bool
	}{
		"X23 without paths everything":                {all, "/anything//%2f..", true},
		"X23 the endpoint":                            {some, "/mcp", true},
		"X23 below the endpoint":                      {some, "/mcp/", true},
		"X23 a listed path":                           {some, "/messages", true},
		"X23 below a listed path":                     {some, "/files/a%20b", true},
		"X23 what only begins like a listed path":     {some, "/messagesx", false},
		"X23 not listed":                              {some, "/admin", false},
		"X23 the root is not listed":                  {some, "/", false},
		"X23 a way out":                               {some, "/mcp/../admin", false},
		"X23 a way out, encoded":                      {some, "/mcp/%2e%2e/admin", false},
		"X23 a way out, encoded twice":                {some, "/mcp/%252e%252e/admin", false},
		"X23 an encoded slash":                        {some, "/mcp%2f..%2fadmin", false},
		"X23 a backslash":                             {some, "/mcp/..\\admin", false},
		"X23 a path parameter":                        {some, "/mcp/..;/admin", false},
		"X23 slashes in a row":                        {some, "//mcp", false},
		"X23 a bad escape":                            {some, "/mcp/%zz", false},
		"X23 an endpoint at the root is not all":      {root, "/admin", false},
		"X23 an endpoint at the root":                 {root, "/", true},
		"X23 an endpoint at the root, without slash":  {root, "", true},
		"X23 what is no path":                         {all, "*", false},
		"X23 where nothing is proxied, nothing":       {routing.Config{Host: "a.example"}, "/mcp", false},
		"X23 a listed path, at a host with the root":  {root, "/messages/1", true},
		"X23 the endpoint in capitals is another one": {some, "/MCP", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := route(t, tc.c).Serves(tc.path); got != tc.want {
				t.Errorf("%q: %v", tc.path, got)
			}
		})
	}
}

func parse(tb testing.TB, s string) *url.URL {
	tb.Helper()
	u, err := url.Parse(s)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

// route makes a table of one.
func route(tb testing.TB, c routing.Config, opts ...func(*routing.Options)) *routing.Route {
	tb.Helper()
	var o routing.Options
	for _, opt := range opts {
		opt(&o)
	}
	table, err := routing.NewTable([]routing.Config{c}, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(table.Close)
	return table.Routes()[0]
}
