package gateway

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "mcp-oauth2-proxy"

// allowed is the shape of the program: who may import whom. A new edge is a
// decision, written here with its review.
var allowed = map[string][]string{
	"": {"gateway", "gateway/demo", "gateway/doctor"},
	"gateway": {
		"auth", "auth/access", "auth/audit", "auth/clients", "auth/grants", "auth/idp", "auth/keys",
		"auth/store", "auth/store/bolt", "auth/store/memory", "auth/store/postgres",
		"routing", "tls", "web",
	},
	"gateway/demo":   {},
	"gateway/doctor": {},
	// Faults and who fails by them, for the doctor's own tests and for those that
	// hold its judgement to real clients.
	"gateway/doctor/doctortest": {"gateway/doctor", "routing/routingtest"},
	"auth":                      {"auth/access", "auth/audit", "auth/clients", "auth/grants", "auth/idp", "auth/store", "routing", "web"},
	"auth/access":               {"auth/keys"},
	"auth/audit":                {},
	"auth/clients":              {"auth/store"},
	"auth/grants":               {"auth/store"},
	"auth/idp":                  {},
	"auth/idp/idptest":          {},
	"auth/keys":                 {"auth/store"},
	"auth/store":                {},
	"auth/store/bolt":           {"auth/store"},
	"auth/store/memory":         {"auth/store"},
	"auth/store/postgres":       {"auth/store"},
	"auth/store/storetest":      {"auth/store"},
	"routing":                   {"routing/mcp"},
	"routing/mcp":               {},
	"routing/routingtest":       {},
	"tls":                       {},
	"web":                       {},
}

// homes names the only packages that may import a library. Keys are import
// path prefixes.
var homes = map[string][]string{
	"github.com/labstack/echo/v4":            {"gateway", "auth"},
	"github.com/spf13/viper":                 {"gateway"},
	"github.com/lestrrat-go/jwx/v2":          {"auth/access", "auth/keys", "auth/clients", "auth/idp", "auth/idp/idptest"},
	"golang.org/x/oauth2":                    {"auth/idp"},
	"golang.org/x/crypto/acme":               {"tls", "gateway"},
	"github.com/coreos/go-oidc":              {"auth/idp"},
	"go.etcd.io/bbolt":                       {"auth/store/bolt"},
	"github.com/jackc/pgx":                   {"auth/store/postgres"},
	"github.com/modelcontextprotocol/go-sdk": {"routing/mcp", "routing/routingtest", "gateway/demo", "gateway/doctor"},
	"github.com/prometheus/client_golang":    {"gateway"},
	"github.com/spf13/cobra":                 {""},
	"golang.org/x/crypto/acme/autocert":      {"tls", "gateway"},
	"testing":                                {"auth/store/storetest", "auth/idp/idptest", "routing/routingtest", "gateway/doctor/doctortest"},
	"github.com/google/go-cmp":               {},
	"github.com/golang/mock":                 {},
	"github.com/stretchr/testify":            {},
	"go.opentelemetry.io":                    {"gateway"},
	"github.com/go-webauthn/webauthn":        {"auth/idp"},
	"github.com/fsnotify/fsnotify":           {"tls", "gateway"},
	"golang.org/x/crypto/argon2":             {"auth/idp"},
	"golang.org/x/crypto/bcrypt":             {"auth/idp"},
	"github.com/go-viper/mapstructure":       {"gateway"},
	"golang.org/x/term":                      {""},
	"net/http/httptest":                      {"auth/idp/idptest", "routing/routingtest", "gateway/doctor/doctortest"},
	"net/http/httputil":                      {"routing", "gateway/doctor/doctortest"},
	"github.com/a-h/templ":                   {"web"},
	// They call methods by their names, for which the linker keeps all there are:
	// 4 MiB of the program.
	"html/template": {},
	"text/template": {},
	"math/rand":     {},
}

func TestImportsFollowTheFloorPlan(t *testing.T) {
	seen := 0
	eachImport(t, func(pkg, file, imp string) {
		seen++
		if !allowedImport(pkg, imp) {
			t.Errorf("%s: %q may not import %q", file, pkg, imp)
		}
	})
	if seen < 20 {
		t.Fatalf("looked at %d imports only", seen)
	}
}

func TestAutocertLivesInTwoFiles(t *testing.T) {
	eachImport(t, func(pkg, file, imp string) {
		if imp == "golang.org/x/crypto/acme/autocert" && pkg == "gateway" && path.Base(file) != "certcache.go" {
			t.Errorf("%s imports autocert; in gateway only certcache.go may", file)
		}
	})
}

func allowedImport(pkg, imp string) bool {
	if ours, ok := strings.CutPrefix(imp, module+"/"); ok {
		return slices.Contains(allowed[pkg], ours)
	}
	for lib, rooms := range homes {
		if imp == lib || strings.HasPrefix(imp, lib+"/") {
			if !slices.Contains(rooms, pkg) {
				return false
			}
		}
	}
	return true
}

// eachImport calls fn for every import of every file that ships.
func eachImport(t *testing.T, fn func(pkg, file, imp string)) {
	t.Helper()
	root := ".."
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			return skipDir(rel, name)
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return nil
		}
		pkg := path.Dir(rel)
		if pkg == "." {
			pkg = ""
		}
		if _, ok := allowed[pkg]; !ok {
			t.Errorf("%s: package %q is not in the floor plan", rel, pkg)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			imp, _ := strconv.Unquote(i.Path.Value)
			fn(pkg, rel, imp)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// skipDir leaves out what is not part of the product: hidden folders and
// modules of their own.
func skipDir(rel, name string) error {
	if rel == "." {
		return nil
	}
	if strings.HasPrefix(path.Base(rel), ".") || path.Base(rel) == "testdata" || path.Base(rel) == "node_modules" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}
