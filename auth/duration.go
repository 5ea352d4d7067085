package auth

import (
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
func (s *Server) durations() []web.Duration {
	var out []web.Duration
	for _, id := range []string{"1h", "1d", "30d"} {
		if d, _ := duration(id); d < s.RefreshTTL {
			out = append(out, web.Duration{ID: id, Lasts: d})
		}
	}
	return append(out, web.Duration{ID: longest, Lasts: s.RefreshTTL, Longest: true})
}
