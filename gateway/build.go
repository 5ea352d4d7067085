package gateway

import (
	"crypto/fips140"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Build says what program this is: what it was made of, and with which
// cryptography.
type Build struct {
	Version, Revision, Go, Platform string

	FIPSModule string // the version of Go's FIPS 140-3 module that was chosen; empty: none
	FIPSOn     bool   // whether the module is in force
}

// ThisBuild describes the running program. The release build stamps version and
// revision; otherwise the revision is the one Go has found.
func ThisBuild(version, revision string) Build {
	b := Build{
		Version: version, Revision: revision, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		FIPSOn: fips140.Enabled(),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if b.Revision == "" {
		b.Revision = settings["vcs.revision"]
		if settings["vcs.modified"] == "true" {
			b.Revision += "+changes"
		}
	}
	if module := settings["GOFIPS140"]; module != "off" {
		b.FIPSModule = module
	}
	return b
}

// CheckFIPS refuses a FIPS 140-3 build that was told not to be one: whoever chose
// it relies on it.
func (b Build) CheckFIPS() error {
	if b.FIPSModule != "" && !b.FIPSOn {
		return errors.New("this is a FIPS 140-3 build, but GODEBUG turns that off: remove fips140=off, or use the other build")
	}
	return nil
}

// String is what the version command prints.
func (b Build) String() string {
	words := []string{"mcp-oauth2-proxy", b.Version}
	if b.Revision != "" {
		words = append(words, b.Revision)
	}
	return strings.Join(append(words, b.Go, b.Platform, b.fips()), " ")
}

func (b Build) fips() string {
	state, module := "off", b.FIPSModule
	if b.FIPSOn {
		state = "on"
	}
	if module == "" {
		return fmt.Sprintf("(FIPS 140-3: %s)", state)
	}
	return fmt.Sprintf("(FIPS 140-3: %s, module %s)", state, module)
}
