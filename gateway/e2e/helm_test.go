//go:build e2e

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

const chart = "../../deploy/helm/mcp-oauth2-proxy"

// chartValues are complete values, one file for each way to use the chart.
func chartValues(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chart, "ci", "*-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 6 {
		t.Fatalf("%d files of values, want at least 6", len(files))
	}
	return append(files, documentedValues(t)...)
}

// documentedValues are the values of the guide, each in a file.
func documentedValues(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for i, m := range regexp.MustCompile("(?s)```yaml\n# values.yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("guide-%d-values.yaml", i))
		if err := os.WriteFile(file, m[1], 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	if len(files) == 0 {
		t.Fatal("the guide has no values")
	}
	return files
}

// render is what helm would install; what it says is in the error.
func render(t *testing.T, args ...string) (string, error) {
	t.Helper()
	// A helm that was not built by its makefile takes itself for an old Kubernetes.
	args = append([]string{"template", "gw", chart, "--namespace", "edge", "--kube-version", kubernetes}, args...)
	cmd := exec.Command(must(t, helm), args...)
	var out, says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &says
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, &says)
	}
	return out.String(), nil
}

// manifests are the objects of a rendered chart.
type manifests []string

func install(t *testing.T, args ...string) manifests {
	t.Helper()
	text, err := render(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(text, "\n---\n")
}

// objectsOf decodes the objects of a kind, strictly.
func objectsOf[T any](t *testing.T, m manifests, kind string) (found []T) {
	t.Helper()
	for _, text := range m {
		var is struct{ Kind string }
		if err := yaml.Unmarshal([]byte(text), &is); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if is.Kind != kind {
			continue
		}
		var one T
		if err := yaml.UnmarshalStrict([]byte(text), &one); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		found = append(found, one)
	}
	return found
}

func only[T any](t *testing.T, m manifests, kind string) T {
	t.Helper()
	found := objectsOf[T](t, m, kind)
	if len(found) != 1 {
		t.Fatalf("%d of %s, want 1", len(found), kind)
	}
	return found[0]
}

func TestHelmLintIsContent(t *testing.T) {
	for _, values := range chartValues(t) {
		out, err := exec.Command(must(t, helm), "lint", "--strict", chart, "--kube-version", kubernetes, "--values", values).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", values, err, out)
		}
	}
}

// TestHelmChartIsWhatKubernetesTakes: every object, under every set of values,
// against the API description of Kubernetes, in which nothing unknown passes.
func TestHelmChartIsWhatKubernetesTakes(t *testing.T) {
	template := "{{.ResourceKind}}{{.KindSuffix}}.json"
	check := func(t *testing.T, text string) error {
		cmd := exec.Command(must(t, kubeconform), "-strict", "-summary", "-output", "text",
			"-schema-location", filepath.Join(must(t, kubernetesSchemas), template), "-schema-location", filepath.Join("testdata", template))
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Skipped: 0")) {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	for _, values := range chartValues(t) {
		t.Run(filepath.Base(values), func(t *testing.T) {
			text, err := render(t, "--values", values)
			if err != nil {
				t.Fatal(err)
			}
			if err := check(t, text); err != nil {
				t.Error(err)
			}
			for right, wrong := range map[string]string{
				"targetPort:": "targetport:", "containerPort: ": "containerPort: a", "readOnly: true": "readOnly: 7", "policyTypes": "policyType", "podMetricsEndpoints": "endpoints",
			} {
				if strings.Contains(text, right) && check(t, strings.ReplaceAll(text, right, wrong)) == nil {
					t.Errorf("the schemas let %q pass for %q", wrong, right)
				}
			}
		})
	}
}

// TestHelmChartConfigurationsPassTheCheck: what the chart makes of values is a
// configuration without a fault, and without a warning.
func TestHelmChartConfigurationsPassTheCheck(t *testing.T) {
	const secrets = "/etc/mcp-oauth2-proxy/secrets/"
	for _, values := range chartValues(t) {
		t.Run(filepath.Base(values), func(t *testing.T) {
			objects := install(t, "--values", values)
			config := only[corev1.Secret](t, objects, "Secret").StringData["config.yaml"]
			dir := t.TempDir()
			for name, content := range map[string]string{
				"client-secret": "a", "google": "a", "keycloak": "a", "notes-key": "a",
				"store-url": "postgres://gw:secret@db.default.svc/gw", "store-key": strings.Repeat("k", 32),
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "config.yaml")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, secrets, dir+"/")), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(must(t, product), "check", "--config", file)
			cmd.Env = os.Environ()
			for _, env := range container(t, objects).Env {
				if env.Name == "GITHUB_APP_PRIVATE_KEY" {
					cmd.Env = append(cmd.Env, env.Name+"="+privateKey(t))
				}
			}
			out, err := cmd.CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("warning")) {
				t.Errorf("%v: %s\n%s", err, out, config)
			}
		})
	}
}

func privateKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func container(t *testing.T, m manifests) corev1.Container {
	t.Helper()
	all := only[appsv1.Deployment](t, m, "Deployment").Spec.Template.Spec.Containers
	if len(all) != 1 {
		t.Fatalf("%d containers", len(all))
	}
	return all[0]
}

// TestHelmChartPodsPassPodSecurityRestricted asks the code that the admission
// controller of Kubernetes runs.
func TestHelmChartPodsPassPodSecurityRestricted(t *testing.T) {
	judge, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, values := range chartValues(t) {
		pod := only[appsv1.Deployment](t, install(t, "--values", values), "Deployment").Spec.Template
		for _, result := range judge.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				t.Errorf("%s: %s: %s", values, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
		main := pod.Spec.Containers[0].SecurityContext
		if main.ReadOnlyRootFilesystem == nil || !*main.ReadOnlyRootFilesystem {
			t.Errorf("%s: the root file system can be written to", values)
		}
	}
}

// TestHelmChartNamesPortsThatAreThere: Kubernetes lets a Service, a probe or a
// policy name a port that no container has, and then nothing arrives.
func TestHelmChartNamesPortsThatAreThere(t *testing.T) {
	for _, values := range chartValues(t) {
		objects := install(t, "--values", values)
		main := container(t, objects)
		var there, named []string
		for _, port := range main.Ports {
			there = append(there, port.Name)
		}
		for _, probe := range []*corev1.Probe{main.StartupProbe, main.LivenessProbe, main.ReadinessProbe} {
			named = append(named, probe.HTTPGet.Port.String())
		}
		var service []string
		for _, port := range only[corev1.Service](t, objects, "Service").Spec.Ports {
			named, service = append(named, port.TargetPort.String()), append(service, port.Name)
		}
		for _, rule := range only[networkingv1.NetworkPolicy](t, objects, "NetworkPolicy").Spec.Ingress {
			for _, port := range rule.Ports {
				named = append(named, port.Port.String())
			}
		}
		for _, name := range named {
			if !slices.Contains(there, name) {
				t.Errorf("%s: the container has no port %s, but %v", values, name, there)
			}
		}
		for _, ingress := range objectsOf[networkingv1.Ingress](t, objects, "Ingress") {
			for _, rule := range ingress.Spec.Rules {
				for _, path := range rule.HTTP.Paths {
					if name := path.Backend.Service.Port.Name; name != "" && !slices.Contains(service, name) {
						t.Errorf("%s: the Service has no port %s, but %v", values, name, service)
					}
				}
			}
		}
	}
}

// TestHelmChartRefuses what cannot work, with the sentence that mends it.
func TestHelmChartRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		set, says string
	}{
		"replicas with a file":                             {"replicaCount=3", "replicaCount: 3 replicas need a store that they share; set store.url to postgres://"},
		"a value that does not exist":                      {"replicacount=3", "additional properties 'replicacount' not allowed"},
		"a key that the gateway does not know":             {"server.adress=:80", "at '/server': additional properties 'adress' not allowed"},
		"a key of the wrong kind":                          {"proxy.cors=yes", "at '/proxy/cors': got string, want boolean"},
		"no image":                                         {"image.repository=", "image.repository: say where you have pushed the image"},
		"nobody who signs people in":                       {"provider=null", "provider: say who signs people in"},
		"no hosts":                                         {"proxy.hosts=null", "proxy.hosts: list at least one MCP server"},
		"an Ingress before TLS":                            {"ingress.enabled=true,tls.mode=files", "ingress.enabled: the ingress controller speaks TLS"},
		"an Ingress for an unknown host":                   {"ingress.enabled=true,ingress.forwardAuth.services[0].host=x.example.com,ingress.forwardAuth.services[0].name=x,ingress.forwardAuth.services[0].port=80", "ingress.forwardAuth.services[0].host: x.example.com is not among proxy.hosts"},
		"an Ingress that asks about what it does not send": {"ingress.mode=proxy,ingress.forwardAuth.services[0].host=notes.example.com,ingress.forwardAuth.services[0].name=x,ingress.forwardAuth.services[0].port=80", "ingress.forwardAuth.services: are for ingress.mode forwardAuth"},
		"an admin listener that no probe reaches":          {"server.adminAddr=127.0.0.1:9090", "server.adminAddr: nobody outside of the pod reaches a loopback address"},
		"no admin listener":                                {"server.adminAddr=", "server.adminAddr: is empty; the probes ask there"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(t, "--values", filepath.Join(chart, "ci", "minimal-values.yaml"), "--set", tc.set)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("helm says %v, want %q", err, tc.says)
			}
		})
	}
}
