package demo

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDemoStaysOnLoopback(t *testing.T) {
	for addr, good := range map[string]bool{
		"127.0.0.1:8080":            true,
		"127.0.0.2:1":               true,
		"localhost:8080":            true,
		"[::1]:8080":                true,
		"[::ffff:127.0.0.1]:8080":   true,
		":8080":                     false,
		"0.0.0.0:8080":              false,
		"[::]:8080":                 false,
		"192.168.1.2:8080":          false,
		"example.com:8080":          false,
		"localhost.example.com:80":  false,
		"127.0.0.1.example.com:80":  false,
		"127.0.0.1":                 false,
		"127.0.0.1:0":               false,
		"127.0.0.1:http":            false,
		"127.0.0.1:65536":           false,
		"localhost":                 false,
		"":                          false,
		"127.0.0.1:8080:8080":       false,
		"[fe80::1%lo]:8080":         false,
		"http://127.0.0.1:8080/mcp": false,
	} {
		if err := CheckAddr(addr); (err == nil) != good {
			t.Errorf("CheckAddr(%q) = %v", addr, err)
		}
	}
}

func TestConfigAnswersAsEveryNameOfTheMachine(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080 localhost:8080",
		"localhost:8080": "localhost:8080 127.0.0.1:8080",
		"[::1]:9":        "[::1]:9 localhost:9 127.0.0.1:9",
	} {
		var c struct {
			Proxy struct {
				Hosts []struct{ Host, Endpoint string }
			}
		}
		if err := json.Unmarshal([]byte(Config(addr, "http://127.0.0.1:1/mcp")), &c); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range c.Proxy.Hosts {
			got = append(got, h.Host)
			if h.Endpoint != "http://127.0.0.1:1/mcp" {
				t.Errorf("%s leads to %s", h.Host, h.Endpoint)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("at %s it answers as %v, want %s", addr, got, want)
		}
	}
}

func TestBannerSaysWhatToDo(t *testing.T) {
	text := Banner("127.0.0.1:8080")
	for _, want := range []string{
		"http://127.0.0.1:8080/mcp", "claude mcp add --transport http toolbox http://127.0.0.1:8080/mcp",
		`code --add-mcp '{"name":"toolbox","type":"http","url":"http://127.0.0.1:8080/mcp"}'`,
		"npx @modelcontextprotocol/inspector", "Allow", "Sign in", "Ctrl-C",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "{url}") || strings.Contains(text, "{user}") || strings.Contains(text, "{password}") {
		t.Errorf("a placeholder is left:\n%s", text)
	}
}
