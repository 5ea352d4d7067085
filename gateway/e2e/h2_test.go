//go:build e2e

package e2e

import (
	"encoding/xml"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// h2spec checks an HTTP/2 server against RFC 9113 and RFC 7541.
var h2spec = sync.OnceValues(func() (string, error) { return build(".", "github.com/summerwind/h2spec/cmd/h2spec", "h2spec") })

// HTTP/2 is net/http's. What that fails itself (it is stricter or laxer than
// h2spec in a few places) is measured in the same run, so that a new release of
// Go changes nothing here.
func TestHTTP2FailsNothingThatPlainGoDoesNot(t *testing.T) {
	t.Parallel()
	plain := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	plain.EnableHTTP2 = true
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain.StartTLS()
	t.Cleanup(plain.Close)
	addr := freeAddr(t)
	serve(t, addr, settings{
		"tls":   settings{"mode": "selfsigned"},
		"proxy": settings{"hosts": []settings{{"host": addr, "endpoint": startUpstream(t) + "/mcp", "public": true}}},
	})
	var baseline, ours []string
	var all, same int
	var both sync.WaitGroup
	both.Go(func() { baseline, all = specFailures(t, plain.Listener.Addr().String()) })
	both.Go(func() { ours, same = specFailures(t, addr) })
	both.Wait()
	t.Logf("of %d checks plain net/http fails %d, the gateway %d", all, len(baseline), len(ours))
	if all < 140 || same != all {
		t.Errorf("%d and %d checks were made", all, same)
	}
	for _, failed := range ours {
		if !slices.Contains(baseline, failed) {
			t.Errorf("the gateway fails %s", failed)
		}
	}
}

// specFailures runs h2spec, and returns what failed of how many.
func specFailures(t *testing.T, addr string) (failed []string, all int) {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.xml")
	// It ends with 1 if anything failed; the report says what.
	bin, err := h2spec()
	if err != nil {
		t.Error(err)
		return nil, 0
	}
	out, runErr := exec.CommandContext(t.Context(), bin, "-h", "127.0.0.1", "-p", port(t, addr), "-t", "-k", "-j", report).CombinedOutput()
	text, err := os.ReadFile(report)
	if err != nil {
		t.Errorf("h2spec: %v %v\n%s", runErr, err, out)
		return nil, 0
	}
	var suites struct {
		Suites []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Package string    `xml:"package,attr"`
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil {
		t.Errorf("h2spec: %v", err)
	}
	for _, suite := range suites.Suites {
		for _, c := range suite.Cases {
			all++
			if c.Failure != nil || c.Error != nil {
				failed = append(failed, strings.TrimSpace(c.Package+": "+c.Name))
			}
		}
	}
	return failed, all
}
