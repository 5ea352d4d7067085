//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// kubernetes is the release that the chart is held to.
const kubernetes = "v1.37.2"

// installed is a program that .ci/common.sh puts in the user's cache folder,
// because it is too large to be built with every run; else one of the PATH.
func installed(name, version string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		bin := filepath.Join(cache, "mcp-oauth2-proxy-ci", "bin", version, name)
		if _, err := os.Stat(bin); err == nil {
			return bin, nil
		}
		if bin, err = exec.LookPath(name); err != nil {
			return "", fmt.Errorf("%s %s is needed; .ci/run installs it: %w", name, version, err)
		}
		return bin, nil
	})
}

var (
	helm        = installed("helm", "v3.22.0")
	kubeconform = installed("kubeconform", "v0.8.0")
)

// kubernetesSchemas is a folder with a JSON Schema for each kind of resource, as
// kubeconform looks for them. Those that it knows by itself lie on the internet;
// these are made from the API description in Kubernetes' own module.
var kubernetesSchemas = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	whole := filepath.Join(cache, "mcp-oauth2-proxy-e2e", "kubernetes-"+kubernetes)
	if _, err := os.Stat(whole); err == nil {
		return whole, nil
	}
	out, err := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+kubernetes).Output()
	if err != nil {
		return "", fmt.Errorf("download Kubernetes' API description: %w", err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "api", "openapi-spec", "swagger.json"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(whole), 0o700); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(filepath.Dir(whole), "partial-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(partial) }() // gone already, if all went well
	if err := writeSchemas(partial, text); err != nil {
		return "", err
	}
	if err := os.Rename(partial, whole); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return whole, nil
})

// writeSchemas writes all definitions of an API description, made strict, and
// beside them a schema for each kind that points into them.
func writeSchemas(dir string, swagger []byte) error {
	var api struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(swagger, &api); err != nil {
		return err
	}
	write := func(name string, v any) error {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), text, 0o600)
	}
	for name, definition := range api.Definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		for _, kind := range kinds {
			gvk, _ := kind.(map[string]any)
			group, _, _ := strings.Cut(fmt.Sprint(gvk["group"]), ".")
			file := strings.Join(slices.DeleteFunc([]string{fmt.Sprint(gvk["kind"]), group, fmt.Sprint(gvk["version"])}, func(s string) bool { return s == "" }), "-")
			if err := write(strings.ToLower(file)+".json", map[string]any{"$ref": "definitions.json#/definitions/" + name}); err != nil {
				return err
			}
		}
		strict(definition)
	}
	// Two are texts in the description, and numbers as well in what is sent.
	for _, name := range []string{"io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity"} {
		api.Definitions[name] = map[string]any{"type": []string{"string", "number"}}
	}
	return write("definitions.json", map[string]any{"definitions": api.Definitions})
}

// strict refuses keys that nobody described.
func strict(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, object := v["properties"].(map[string]any); object && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		delete(v, "format") // int32 and the like are no formats of JSON Schema
		for one := range maps.Values(v) {
			strict(one)
		}
	case []any:
		for _, one := range v {
			strict(one)
		}
	}
}
