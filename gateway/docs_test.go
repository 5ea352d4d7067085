package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// markedBlock is the first line of a block that has to load as it is.
const markedBlock = "# config.yaml"

// TestDocumentedConfigurationsLoad holds the documentation to the loader:
// whoever copies a configuration out of it gets no fault and no warning.
func TestDocumentedConfigurationsLoad(t *testing.T) {
	t.Setenv("GITHUB_APP_PRIVATE_KEY", "")
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for line, block := range configBlocks(string(text)) {
			found++
			t.Run(fmt.Sprintf("%s line %d", filepath.Base(file), line), func(t *testing.T) {
				config, err := Parse(withFiles(t, block), nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, warning := range config.Warnings() {
					t.Error("warning:", warning)
				}
			})
		}
	}
	if found == 0 {
		t.Fatal("the documentation holds no configuration")
	}
}

// configBlocks are the marked blocks of a Markdown text, by the line they
// begin on. A block within a list is indented as its fence.
func configBlocks(text string) map[int]string {
	blocks := map[int]string{}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		fence := strings.TrimLeft(lines[i], " ")
		if !strings.HasPrefix(fence, "```") {
			continue
		}
		indent := lines[i][:len(lines[i])-len(fence)]
		start := i + 1
		for i = start; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
			lines[i] = strings.TrimPrefix(lines[i], indent)
		}
		body := lines[start:i]
		if strings.TrimSpace(fence) == "```yaml" && len(body) > 0 && strings.TrimSpace(body[0]) == markedBlock {
			blocks[start+1] = strings.Join(body, "\n")
		}
	}
	return blocks
}

func TestConfigBlocks(t *testing.T) {
	const text = "```yaml\n# config.yaml\na: 1\n```\n\n1. Step\n\n   ```yaml\n   # config.yaml\n   b:\n     c: 2\n   ```\n" +
		"```sh\n# config.yaml\n```\n```yaml\n# compose.yaml\n```\n"
	got := configBlocks(text)
	want := map[int]string{2: "# config.yaml\na: 1", 9: "# config.yaml\nb:\n  c: 2"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// withFiles gives a configuration files of its own for those it names: they
// lie on somebody else's machine.
func withFiles(t *testing.T, block string) []byte {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(block), &doc); err != nil {
		t.Fatal(err)
	}
	f := &standIns{dir: t.TempDir()}
	f.cert, f.key = pairNaming(t, hostsWritten(&doc))
	f.replace(t, "", &doc)
	text, err := yaml.Marshal(&doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// standIns are the files that take the place of those in a configuration.
type standIns struct {
	dir, cert, key string
	made           int
}

func (f *standIns) replace(t *testing.T, path string, n *yaml.Node) {
	t.Helper()
	if n.Kind != yaml.MappingNode {
		for _, child := range n.Content {
			f.replace(t, path, child)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		at, value := joinKey(path, n.Content[i].Value), n.Content[i+1]
		if content, ok := f.content(at); ok && value.Kind == yaml.ScalarNode && value.Value != "" {
			f.made++
			value.Value = filepath.Join(f.dir, fmt.Sprint(f.made))
			writeStandIn(t, value.Value, content)
			continue
		}
		f.replace(t, at, value)
	}
}

// content is what a file holds that a key names; not ok: the key names none.
func (f *standIns) content(path string) (string, bool) {
	key := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case path == "tls.files.cert", key == "caFile", key == "clientCert":
		return f.cert, true
	case path == "tls.files.key", key == "clientKey":
		return f.key, true
	case key == "keyFile":
		return strings.Repeat("k", 32), true
	case key == "authorizationFile":
		return "Bearer secret", true
	case key == "passwordHashFile":
		hash, err := HashPassword([]byte("secret"))
		return hash, err == nil
	}
	return "secret", strings.HasSuffix(key, "File")
}

func writeStandIn(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hostsWritten are the values of all keys named host, without ports.
func hostsWritten(n *yaml.Node) []string {
	var hosts []string
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "host" {
			name := child.Value
			if host, _, err := net.SplitHostPort(name); err == nil {
				name = host
			}
			hosts = append(hosts, name)
		}
		hosts = append(hosts, hostsWritten(child)...)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// pairNaming makes a certificate for these names, and its key, as PEM.
func pairNaming(t *testing.T, names []string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotAfter: time.Now().AddDate(0, 2, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}
