package clients

import (
	"slices"
	"strings"
	"testing"
)

func TestRedirect(t *testing.T) {
	for name, tc := range map[string]struct {
		registered []string
		asked      string
		want       string // "": refused
	}{
		"U1 the registered URI itself":                  {[]string{"https://claude.ai/cb"}, "https://claude.ai/cb", "https://claude.ai/cb"},
		"U1 one of several":                             {[]string{"https://a.example/cb", "https://b.example/cb"}, "https://b.example/cb", "https://b.example/cb"},
		"U1 a longer path is another URI":               {[]string{"https://claude.ai/cb"}, "https://claude.ai/cb/x", ""},
		"U1 a shorter path is another URI":              {[]string{"https://claude.ai/cb"}, "https://claude.ai/", ""},
		"U1 a trailing slash counts":                    {[]string{"https://claude.ai/cb"}, "https://claude.ai/cb/", ""},
		"U1 an added query counts":                      {[]string{"https://claude.ai/cb"}, "https://claude.ai/cb?a=1", ""},
		"U1 letter case counts":                         {[]string{"https://claude.ai/cb"}, "https://Claude.ai/cb", ""},
		"U1 a default port counts":                      {[]string{"https://claude.ai/cb"}, "https://claude.ai:443/cb", ""},
		"U1 percent encoding counts":                    {[]string{"https://claude.ai/cb"}, "https://claude.ai/%63b", ""},
		"U1 dot segments count":                         {[]string{"https://claude.ai/cb"}, "https://claude.ai/x/../cb", ""},
		"U1 an added fragment counts":                   {[]string{"https://claude.ai/cb"}, "https://claude.ai/cb#x", ""},
		"U1 private schemes too are compared exactly":   {[]string{"cursor://anysphere.cursor-mcp/oauth/callback"}, "cursor://anysphere.cursor-mcp:1/oauth/callback", ""},
		"U2 any port on 127.0.0.1":                      {[]string{"http://127.0.0.1:33418/"}, "http://127.0.0.1:50000/", "http://127.0.0.1:50000/"},
		"U2 any port on ::1":                            {[]string{"http://[::1]:1/cb"}, "http://[::1]:2/cb", "http://[::1]:2/cb"},
		"U2 a port where none is registered":            {[]string{"http://127.0.0.1/callback"}, "http://127.0.0.1:61234/callback", "http://127.0.0.1:61234/callback"},
		"U2 none where a port is registered":            {[]string{"http://127.0.0.1:61234/callback"}, "http://127.0.0.1/callback", "http://127.0.0.1/callback"},
		"U2 without a path":                             {[]string{"http://127.0.0.1"}, "http://127.0.0.1:5", "http://127.0.0.1:5"},
		"U3 any port on localhost":                      {[]string{"http://localhost/callback"}, "http://localhost:3118/callback", "http://localhost:3118/callback"},
		"U3 the path stays exact":                       {[]string{"http://localhost/callback"}, "http://localhost:3118/callback/", ""},
		"U3 the query stays exact":                      {[]string{"http://localhost/callback?a=1"}, "http://localhost:3118/callback?a=2", ""},
		"U3 the same query is fine":                     {[]string{"http://localhost/callback?a=1"}, "http://localhost:9/callback?a=1", "http://localhost:9/callback?a=1"},
		"U3 localhost is not 127.0.0.1":                 {[]string{"http://localhost/callback"}, "http://127.0.0.1:3118/callback", ""},
		"U3 127.0.0.1 is not ::1":                       {[]string{"http://127.0.0.1/callback"}, "http://[::1]:3118/callback", ""},
		"U3 127.0.0.1 is not 127.0.0.2":                 {[]string{"http://127.0.0.1/callback"}, "http://127.0.0.2/callback", ""},
		"U3 other spellings of localhost are not it":    {[]string{"http://localhost/callback"}, "http://LOCALHOST:1/callback", ""},
		"U3 a name that begins like localhost is not":   {[]string{"http://localhost/callback"}, "http://localhost.evil.example/callback", ""},
		"U3 userinfo does not pass for a port":          {[]string{"http://localhost/callback"}, "http://localhost:1@evil.example/callback", ""},
		"U3 port 0 is none":                             {[]string{"http://localhost/callback"}, "http://localhost:0/callback", ""},
		"U3 port 65536 is none":                         {[]string{"http://localhost/callback"}, "http://localhost:65536/callback", ""},
		"U3 an empty port is none":                      {[]string{"http://localhost/callback"}, "http://localhost:/callback", ""},
		"U3 a port has one spelling":                    {[]string{"http://localhost/callback"}, "http://localhost:080/callback", ""},
		"U3 not for https":                              {[]string{"https://localhost:1/cb"}, "https://localhost:2/cb", ""},
		"U3 not from http to https":                     {[]string{"http://localhost:1/cb"}, "https://localhost:1/cb", ""},
		"U6 one registered may be left out":             {[]string{"https://claude.ai/cb"}, "", "https://claude.ai/cb"},
		"U6 one of several must be named":               {[]string{"https://a.example/cb", "https://b.example/cb"}, "", ""},
		"U6 none registered is nowhere to go":           {nil, "", ""},
		"U7 a stranger's URI is refused, not followed":  {[]string{"https://claude.ai/cb"}, "https://evil.example/steal", ""},
		"U8 the query of the registered URI is kept":    {[]string{"https://claude.ai/cb?tenant=7"}, "https://claude.ai/cb?tenant=7", "https://claude.ai/cb?tenant=7"},
		"U9 a loopback name in front of another is not": {[]string{"http://127.0.0.1/"}, "http://127.0.0.1.evil.example/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Client{RedirectURIs: tc.registered}
			got, err := c.Redirect(tc.asked)
			if got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
			if tc.want == "" {
				refusedWith(t, err, InvalidRedirectURI)
			}
		})
	}
}

func TestRedirectURIRules(t *testing.T) {
	operators := anchored(`https://claude\.ai/.*`, `http://localhost:\d+/cb`, `http://127\.0\.0\.1/cb`, `zed://.*`, `javascript:.*`, `http://10\..*`, `.*\*.*`, `.*#.*`)
	for name, tc := range map[string]struct {
		uri               string
		byDefault, listed bool // accepted without, and with the operator's expressions above
	}{
		"U4 https":                                  {"https://claude.ai/api/mcp/auth_callback", true, true},
		"U4 https with a port":                      {"https://app.example.com:8443/cb", true, false},
		"U4 https to an address":                    {"https://[2001:db8::1]/cb", true, false},
		"U4 http on localhost":                      {"http://localhost:8787/cb", true, true},
		"U4 http on localhost, portless":            {"http://localhost/cb", true, true},
		"U4 http on 127.0.0.1, any port":            {"http://127.0.0.1:4000/cb", true, true},
		"U4 http on ::1":                            {"http://[::1]:4000/cb", true, false},
		"U5 Cursor's":                               {"cursor://anysphere.cursor-mcp/oauth/callback", true, false},
		"U5 VS Code's":                              {"vscode://saoudrizwan.claude-dev/mcp-auth/callback", true, false},
		"U5 VS Code Insiders'":                      {"vscode-insiders://x/cb", true, false},
		"U5 Windsurf's":                             {"windsurf://codeium.windsurf/oauth", true, false},
		"U5 Claude's":                               {"claude://oauth/callback", true, false},
		"U5 a reverse domain name":                  {"com.example.app:/oauth/cb", true, false},
		"U5 an unknown scheme":                      {"myapp://cb", false, false},
		"U5 an unknown scheme the operator lists":   {"zed://cb", false, true},
		"U5 a private scheme without a path":        {"cursor:cb", false, false},
		"U5 javascript":                             {"javascript:alert(1)", false, false},
		"U5 javascript dressed as a host":           {"javascript://x/%0aalert(1)", false, false},
		"U5 JavaScript in capitals":                 {"JavaScript:alert(1)", false, false},
		"U5 data":                                   {"data:text/html,x", false, false},
		"U5 file":                                   {"file:///etc/passwd", false, false},
		"U5 vbscript":                               {"vbscript:x", false, false},
		"U5 blob":                                   {"blob:https://a.example/1", false, false},
		"U5 about":                                  {"about:blank", false, false},
		"U5 http elsewhere":                         {"http://example.com/cb", false, false},
		"U5 http on a private address":              {"http://10.0.0.1/cb", false, false},
		"U5 http on another loopback address":       {"http://127.0.0.2/cb", false, false},
		"U5 http on 127.1":                          {"http://127.1/cb", false, false},
		"U5 http on LOCALHOST":                      {"http://LOCALHOST/cb", false, false},
		"U5 http on localhost of somebody":          {"http://localhost.example.com/cb", false, false},
		"U5 a fragment":                             {"https://claude.ai/cb#x", false, false},
		"U5 an empty fragment":                      {"https://claude.ai/cb#", false, false},
		"U5 userinfo":                               {"https://claude.ai@evil.example/cb", false, false},
		"U5 empty userinfo":                         {"https://@claude.ai/cb", false, false},
		"U5 userinfo on loopback":                   {"http://u@localhost/cb", false, false},
		"U5 userinfo in a private scheme":           {"cursor://a@b/cb", false, false},
		"U5 a wildcard in the host":                 {"https://*.example.com/cb", false, false},
		"U5 a wildcard in the path":                 {"https://claude.ai/*", false, false},
		"U5 a line break":                           {"https://claude.ai/cb\r\nX: y", false, false},
		"U5 a NUL":                                  {"https://claude.ai/\x00", false, false},
		"U5 a space":                                {" https://claude.ai/cb", false, false},
		"U5 a backslash, which browsers turn":       {`https://claude.ai\@evil.example/`, false, false},
		"U5 letters that look like others":          {"https://clаude.ai/cb", false, false},
		"U5 an encoded host":                        {"https://claude%2eai/cb", false, false},
		"U5 no host":                                {"https:///cb", false, false},
		"U5 no slashes":                             {"https:claude.ai/cb", false, false},
		"U5 an empty label":                         {"https://claude..ai/cb", false, false},
		"U5 a port that is none":                    {"https://claude.ai:99999/cb", false, false},
		"U5 an empty port":                          {"https://claude.ai:/cb", false, false},
		"U5 a relative reference":                   {"/cb", false, false},
		"U5 a scheme in capitals":                   {"HTTPS://claude.ai/cb", false, false},
		"U5 nothing":                                {"", false, false},
		"U5 a dot does not make a scheme":           {"javascript.:/x", false, false},
		"U5 longer than any":                        {"https://claude.ai/" + strings.Repeat("a", maxRedirectURI), false, false},
		"the operator's expression is the whole":    {"https://claude.ai.evil.example/cb", true, false},
		"the operator's path on loopback is exact":  {"http://localhost:5/cb/x", true, false},
		"a zone is not part of an address in a URI": {"https://[fe80::1%25eth0]/cb", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := (rules{}).check(tc.uri); (err == nil) != tc.byDefault {
				t.Errorf("by default: %v", err)
			}
			if err := (rules{operators}).check(tc.uri); (err == nil) != tc.listed {
				t.Errorf("with allowedRedirectURLs: %v", err)
			}
		})
	}
}

func TestLoopbackOnly(t *testing.T) {
	for name, tc := range map[string]struct {
		uris []string
		want bool
	}{
		"C13 localhost and 127.0.0.1":     {[]string{"http://localhost/cb", "http://127.0.0.1:5/cb"}, true},
		"C13 https on localhost as well":  {[]string{"https://localhost:3000/cb"}, true},
		"C13 one elsewhere":               {[]string{"http://localhost/cb", "https://claude.ai/cb"}, false},
		"C13 an app is not loopback":      {[]string{"cursor://localhost/cb"}, false},
		"C13 nothing is not loopback":     {nil, false},
		"C13 a name that only looks like": {[]string{"https://localhost.example.com/"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := LoopbackOnly(tc.uris); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestRedirectHost(t *testing.T) {
	for uri, want := range map[string]string{
		"https://claude.ai/api/mcp/auth_callback":      "claude.ai",
		"https://Claude.AI:443/cb":                     "claude.ai",
		"https://app.example.com:8443/cb":              "app.example.com:8443",
		"http://localhost:51234/callback":              "localhost",
		"http://127.0.0.1/":                            "127.0.0.1",
		"http://[::1]:9/":                              "[::1]",
		"cursor://anysphere.cursor-mcp/oauth/callback": "cursor: app",
		"com.example.app:/cb":                          "com.example.app: app",
	} {
		if got := RedirectHost(uri); got != want {
			t.Errorf("C13 RedirectHost(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestKeepNamesWhatItLeftOut(t *testing.T) {
	kept, cause := rules{}.keep([]string{"https://a.example/", "ftp://b.example/", "https://a.example/", "https://c.example/"}, 10)
	if !slices.Equal(kept, []string{"https://a.example/", "https://c.example/"}) {
		t.Errorf("kept %q", kept)
	}
	if cause == nil || !strings.Contains(cause.Error(), "ftp://b.example/") {
		t.Errorf("cause: %v", cause)
	}
}
