package gateway

import (
	"unicode"
	"unicode/utf8"

	"mcp-oauth2-proxy/web"
)

// maxBrand is how long a name is that stands at the head of a telephone's page.
const maxBrand = 60

// WebConfig is what people see of the operator.
type WebConfig struct {
	Name   string // empty: MCP access
	Logo   string // a file; empty: a key hole
	Accent string // a colour, or one for each theme; empty: blue
}

func (c WebConfig) check(f *configFaults) {
	for _, r := range c.Name {
		if !unicode.IsPrint(r) {
			f.add("web.name: %q has characters that cannot be seen", c.Name)
			break
		}
	}
	if n := utf8.RuneCountInString(c.Name); n > maxBrand {
		f.add("web.name: has %d characters; %d is the most that fits", n, maxBrand)
	}
	if _, err := c.logo(); err != nil {
		f.add("web.logo: %w", err)
	}
	if _, err := c.accent(); err != nil {
		f.addAll("web.accent: ", err)
	}
}

// pages are the pages with the operator's brand.
func (c WebConfig) pages() (*web.Pages, error) {
	b := web.Brand{Name: c.Name}
	var err error
	if b.Logo, err = c.logo(); err != nil {
		return nil, err
	}
	if b.Accent, err = c.accent(); err != nil {
		return nil, err
	}
	return web.New(b)
}

func (c WebConfig) logo() (*web.Logo, error) {
	if c.Logo == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	return web.ReadLogo(c.Logo)
}

func (c WebConfig) accent() (*web.Accent, error) {
	if c.Accent == "" {
		return nil, nil //nolint:nilnil // the default
	}
	return web.ParseAccent(c.Accent)
}
