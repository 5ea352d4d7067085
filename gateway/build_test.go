package gateway

import (
	"runtime"
	"strings"
	"testing"
)

func TestAFIPSBuildRefusesToRunWithoutFIPS(t *testing.T) {
	for name, tc := range map[string]struct {
		module string
		on     bool
		good   bool
		says   string
	}{
		"a usual build":                    {"", false, true, "(FIPS 140-3: off)"},
		"a usual build in FIPS mode":       {"", true, true, "(FIPS 140-3: on)"},
		"a FIPS build":                     {"v1.0.0", true, true, "(FIPS 140-3: on, module v1.0.0)"},
		"a FIPS build that was turned off": {"v1.0.0", false, false, "(FIPS 140-3: off, module v1.0.0)"},
	} {
		t.Run(name, func(t *testing.T) {
			b := Build{Version: "1.2.3", FIPSModule: tc.module, FIPSOn: tc.on}
			if err := b.CheckFIPS(); (err == nil) != tc.good {
				t.Errorf("checked: %v", err)
			}
			if got := b.String(); !strings.HasSuffix(got, tc.says) {
				t.Errorf("it says %q", got)
			}
		})
	}
}

func TestThisBuild(t *testing.T) {
	b := ThisBuild("1.2.3", "abc")
	want := "mcp-oauth2-proxy 1.2.3 abc " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + " (FIPS"
	if got := b.String(); !strings.HasPrefix(got, want) {
		t.Errorf("it says %q, want %q…", got, want)
	}
}
