package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

const (
	configPath     = "/etc/mcp-oauth2-proxy/config/config.yaml"
	configVariable = envPrefix + "CONFIG"
)

// DefaultPath is where the configuration lies if no flag says otherwise.
func DefaultPath(environ []string) string {
	if path := variables(environ)[configVariable]; path != "" {
		return path
	}
	return configPath
}

// Load reads the file at path, overrides it with the environment, fills in
// defaults and secrets, and checks everything. The error lists every fault,
// each on a line that starts with its key.
//
// A missing file is no fault at the default place, if the environment says
// anything at all: in a container it may say everything.
func Load(path string, environ []string) (*Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && path == configPath && overrides(variables(environ)) {
		text, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("gateway: read the configuration: %w", err)
	}
	return parse(path, text, environ)
}

// Parse is Load for a configuration that lies in no file.
func Parse(text []byte, environ []string) (*Config, error) {
	return parse("configuration", text, environ)
}

func parse(path string, text []byte, environ []string) (*Config, error) {
	f := &configFaults{path: path, blind: map[string]bool{}}
	env := variables(environ)
	tree, ok := readYAML(text, f)
	if !ok {
		return nil, f
	}
	overlay(tree, env, f)
	c := &Config{given: givenKeys(tree)}
	readSecrets(tree, f)
	defaultHosts(tree)
	if err := unmarshal(tree, c); err != nil {
		f.add("%w", err)
		return nil, f
	}
	c.complete()
	c.check(f)
	if c.TLS.Mode == "" {
		f.lines = append(f.lines, c.sinceOriginal()...)
	}
	if len(f.lines) > 0 {
		return nil, f
	}
	return c, nil
}

// unmarshal puts the defaults under the tree. The tree has the shape of Config
// by now; UnmarshalExact would notice if it had not.
func unmarshal(tree map[string]any, c *Config) error {
	v := viper.New()
	for key, value := range configDefaults() {
		v.SetDefault(key, value)
	}
	if err := v.MergeConfigMap(tree); err != nil {
		return err
	}
	return v.UnmarshalExact(c, func(d *mapstructure.DecoderConfig) {
		d.WeaklyTypedInput, d.DecodeHook = false, nil
	})
}
