//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"sigs.k8s.io/yaml"
)

const deploy = "../../deploy"

func TestAlertsFireWhereTheyShould(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "--lint-fatal", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = filepath.Join(deploy, "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestEveryAlertIsTestedToFire: the tests of the rules that fire none of an
// alert's prove nothing about it.
func TestEveryAlertIsTestedToFire(t *testing.T) {
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name string            `json:"alertname"`
				Want []json.RawMessage `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	readYAML(t, filepath.Join(deploy, "prometheus", "alerts_test.yaml"), &tests)
	fires, holds := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Want) > 0
			holds[a.Name] = holds[a.Name] || len(a.Want) == 0
		}
	}
	alerts := alertRules(t)
	if len(alerts) != 6 {
		t.Errorf("%d alerts, want 6", len(alerts))
	}
	for _, a := range alerts {
		if !fires[a.Alert] || !holds[a.Alert] {
			t.Errorf("%s: tested to fire %v, not to fire %v", a.Alert, fires[a.Alert], holds[a.Alert])
		}
	}
}

// TestDashboardAndAlertsAskForMetricsThatExist: a panel for a metric that was
// renamed stays empty, and an alert on it never fires, and nobody notices. The
// program is seen here after a sign-in, a call of a tool and a certificate that
// it did not get.
func TestDashboardAndAlertsAskForMetricsThatExist(t *testing.T) {
	has := map[string]map[string]bool{} // the labels of each metric
	w := newWorld(t)
	signInAndCall(t, w)
	addSeries(t, has, w.admin)
	addSeries(t, has, refusedCertificate(t))

	queries := dashboardQueries(t)
	for _, a := range alertRules(t) {
		queries[a.Alert] = a.Expr
	}
	asked := map[string]bool{}
	for where, query := range queries {
		for metric, labels := range metricsOf(t, query) {
			asked[metric] = true
			if has[metric] == nil {
				t.Errorf("%s asks for %s, which does not exist", where, metric)
				continue
			}
			for _, label := range labels {
				if !has[metric][label] && label != "instance" {
					t.Errorf("%s asks for the label %s of %s, which has %v", where, label, metric, has[metric])
				}
			}
		}
	}
	for metric := range has {
		name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(metric, "_sum"), "_count"), "_bucket")
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "promhttp_") &&
			!asked[name] && !asked[name+"_bucket"] && !asked[name+"_count"] {
			t.Errorf("nothing shows %s", name)
		}
	}
}

func signInAndCall(t *testing.T, w *world) {
	t.Helper()
	c := errands["notes"]
	client := startTypeScript(t, w.authority, w.notes, c, "authorization_code", "refresh_token")
	browse(t, w.authority).consents(t, client.asks(t, 1), "TypeScript SDK", names["notes"])
	client.ends(t)
}

// refusedCertificate is the admin address of a gateway whose certificate
// authority cannot be reached, once it has found that out.
func refusedCertificate(t *testing.T) (admin string) {
	t.Helper()
	g := serve(t, freeAddr(t), settings{
		"tls":      settings{"mode": "acme", "acme": settings{"acceptTOS": true, "directoryURL": "https://" + freeAddr(t) + "/directory"}},
		"provider": settings{"name": "github", "clientID": "gateway", "clientSecret": clientSecret, "allowedUsers": []string{"ada"}},
		"proxy":    settings{"hosts": []settings{{"host": "notes.example.test", "endpoint": "http://" + freeAddr(t) + "/mcp"}}},
	})
	g.says(t, "no certificate obtained")
	return g.admin
}

// addSeries adds the metrics of a running gateway with their labels.
func addSeries(t *testing.T, has map[string]map[string]bool, admin string) {
	t.Helper()
	res, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	label := regexp.MustCompile(`([a-z_]+)="`)
	for _, m := range regexp.MustCompile(`(?m)^([a-z_0-9]+)(\{.*\})? `).FindAllSubmatch(text, -1) {
		labels := has[string(m[1])]
		if labels == nil {
			labels = map[string]bool{}
			has[string(m[1])] = labels
		}
		for _, l := range label.FindAllSubmatch(m[2], -1) {
			labels[string(l[1])] = true
		}
	}
}

type alertRule struct{ Alert, Expr string }

func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alertRule } }
	readYAML(t, filepath.Join(deploy, "prometheus", "alerts.yaml"), &file)
	var all []alertRule
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// dashboardQueries are the queries of all panels and variables, with what
// Grafana fills in filled in.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	readYAML(t, filepath.Join(deploy, "grafana", "dashboard.json"), &dashboard) // JSON is YAML
	fill := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$host", ".*")
	queries := map[string]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries[fmt.Sprintf("panel %q %s", panel.Title, target.RefID)] = fill.Replace(target.Expr)
		}
	}
	for _, v := range dashboard.Templating.List {
		if m := regexp.MustCompile(`^label_values\((.*), (.*)\)$`).FindStringSubmatch(v.Definition); m != nil {
			queries["variable "+v.Name] = fmt.Sprintf("sum by (%s) (%s)", m[2], m[1])
		}
	}
	if len(queries) < 30 {
		t.Fatalf("%d queries in the dashboard", len(queries))
	}
	return queries
}

// metricsOf are the metrics of a query, each with the labels that it is asked
// for or summed by.
func metricsOf(t *testing.T, query string) map[string][]string {
	t.Helper()
	parsed, err := metricsql.Parse(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	found := map[string][]string{}
	collect(parsed, nil, found)
	if len(found) == 0 {
		t.Fatalf("%s asks for nothing", query)
	}
	return found
}

func collect(e metricsql.Expr, by []string, found map[string][]string) {
	switch e := e.(type) {
	case *metricsql.AggrFuncExpr:
		for _, arg := range e.Args {
			collect(arg, append(slices.Clone(by), e.Modifier.Args...), found)
		}
	case *metricsql.BinaryOpExpr:
		collect(e.Left, by, found)
		collect(e.Right, by, found)
	case *metricsql.FuncExpr:
		for _, arg := range e.Args {
			collect(arg, by, found)
		}
	case *metricsql.RollupExpr:
		collect(e.Expr, by, found)
	case *metricsql.MetricExpr:
		for _, filters := range e.LabelFilterss {
			name, labels := "", by
			for _, f := range filters {
				if f.Label == "__name__" {
					name = f.Value
				} else {
					labels = append(slices.Clone(labels), f.Label)
				}
			}
			found[name] = append(found[name], labels...)
		}
	}
}

// TestDashboardQueriesAreProms: the parser above knows more than Prometheus does,
// whose own tool reads them here.
func TestDashboardQueriesAreProms(t *testing.T) {
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, query := range dashboardQueries(t) {
		rules = append(rules, rule{fmt.Sprintf("panel:%d", len(rules)), query})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
