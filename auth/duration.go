package auth

import (
	"fmt"
	"time"

	"mcp-oauth2-proxy/web"
)

// longest is the choice of as long as the operator allows.
const longest = "max"

// duration reads how long a person wants a consent to last; 0 is as long as
// the operator allows, which is what leaving it out means.
func duration(choice string) (time.Duration, bool) {
	switch choice {
	case "", longest:
		return 0, true
	case "1h":
		return time.Hour, true
	case "1d":
		return 24 * time.Hour, true
	case "30d":
		return 30 * 24 * time.Hour, true
	}
	return 0, false
}

// durations are the choices that are shorter than what the operator allows.
func (s *Server) durations() []web.Choice {
	var out []web.Choice
	for _, c := range []web.Choice{{ID: "1h", Name: "One hour"}, {ID: "1d", Name: "One day"}, {ID: "30d", Name: "30 days"}} {
		if d, _ := duration(c.ID); d < s.RefreshTTL {
			out = append(out, c)
		}
	}
	return append(out, web.Choice{ID: longest, Name: "As long as the operator allows: " + inWords(s.RefreshTTL)})
}

func inWords(d time.Duration) string {
	unit, name := time.Minute, "minute"
	switch {
	case d >= 48*time.Hour:
		unit, name = 24*time.Hour, "day"
	case d >= time.Hour:
		unit, name = time.Hour, "hour"
	}
	n := int(d / unit)
	if n != 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
}
