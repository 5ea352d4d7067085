package web

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Brand is how the operator's people know the installation.
type Brand struct {
	// Name is shown at the head of every page; empty: MCP access.
	Name   string
	Logo   *Logo   // beside the name; nil: a key hole
	Accent *Accent // of buttons and links; nil: blue
}

// An Accent is a colour for each theme.
type Accent struct{ light, dark colour }

type colour struct{ r, g, b uint8 }

// What the pages are painted in, as style.css says.
var (
	lightCard, lightInk = colour{0xff, 0xff, 0xff}, colour{0x1b, 0x1d, 0x22}
	darkCard, darkInk   = colour{0x1c, 0x1e, 0x22}, colour{0xec, 0xea, 0xe5}
)

// The least contrast that people can read (WCAG 2.2, 1.4.3) and the least that
// shows where a button is (1.4.11).
const (
	readable = 4.5
	visibly  = 3
)

var hex = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// ParseAccent reads "#rrggbb" for both themes, or one for the light theme and
// one for the dark. What could not be seen there is refused.
func ParseAccent(s string) (*Accent, error) {
	parts := strings.Fields(s)
	if len(parts) == 1 {
		parts = append(parts, parts[0])
	}
	if len(parts) != 2 || !hex.MatchString(parts[0]) || !hex.MatchString(parts[1]) {
		return nil, fmt.Errorf("%q is not a colour such as #1d4ed8, or two: for the light theme and the dark", s)
	}
	a := Accent{parseColour(parts[0]), parseColour(parts[1])}
	return &a, errors.Join(a.light.seenOn("light", lightCard), a.dark.seenOn("dark", darkCard))
}

func (c colour) seenOn(theme string, card colour) error {
	if got := contrast(c, card); got < visibly {
		return fmt.Errorf("%s cannot be seen in the %s theme: its contrast with the page is %.1f and has to be %d; give two colours, \"#light #dark\"", c, theme, got, visibly)
	}
	return nil
}

// css is what the accent changes of the stylesheet. What is written on it is
// black or white, whichever is read better: one of them always is. Links are
// text, so where the accent is too weak for that they have the colour of text.
func (a *Accent) css() string {
	if a == nil {
		return ""
	}
	theme := func(c, card, ink colour) string {
		on, link := colour{0xff, 0xff, 0xff}, c
		if contrast(c, colour{}) > contrast(c, on) {
			on = colour{}
		}
		if contrast(c, card) < readable+0.5 { // links stand on the paper around the card, too
			link = ink
		}
		return fmt.Sprintf(":root{--go:%s;--go-ink:%s;--link:%s}", c, on, link)
	}
	return theme(a.light, lightCard, lightInk) + "@media (prefers-color-scheme:dark){" + theme(a.dark, darkCard, darkInk) + "}"
}

func parseColour(s string) colour {
	n, _ := strconv.ParseUint(s[1:], 16, 32) // it has matched
	return colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}
}

func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// contrast is WCAG 2's ratio of two colours.
func contrast(a, b colour) float64 {
	l, m := a.luminance(), b.luminance()
	return (max(l, m) + 0.05) / (min(l, m) + 0.05)
}

func (c colour) luminance() float64 {
	linear := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}
