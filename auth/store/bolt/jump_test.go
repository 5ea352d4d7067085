package bolt

import (
	"testing"
	"time"
)

func TestJumps_a_clock_that_jumps_ahead_holds_the_sweep_until_it_is_right_or_has_lasted(t *testing.T) {
	start := time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)
	type reading struct {
		wall, passed time.Duration
		ahead        time.Duration
		holds        bool
	}
	for name, readings := range map[string][]reading{
		"a steady clock":                   {{0, 0, 0, false}, {time.Minute, time.Minute, 0, false}, {2 * time.Minute, 2 * time.Minute, 0, false}},
		"a clock that drifts":              {{0, 0, 0, false}, {61 * time.Second, time.Minute, 0, false}},
		"a machine that slept is a jump":   {{0, 0, 0, false}, {8 * time.Hour, time.Minute, 8*time.Hour - time.Minute, true}},
		"a clock that is put right":        {{0, 0, 0, false}, {1000 * time.Hour, time.Minute, 1000*time.Hour - time.Minute, true}, {2 * time.Minute, 2 * time.Minute, 0, false}},
		"a jump that lasts becomes normal": {{0, 0, 0, false}, {1000 * time.Hour, 0, 1000 * time.Hour, true}, {1001*time.Hour - time.Second, time.Hour - time.Second, 0, true}, {1001 * time.Hour, time.Hour, 0, false}},
		"a clock that jumps back":          {{0, 0, 0, false}, {-1000 * time.Hour, time.Minute, 0, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var j jumps
			for i, r := range readings {
				if got := j.ahead(start.Add(r.wall), r.passed); got != r.ahead {
					t.Errorf("reading %d: ahead by %v, want %v", i, got, r.ahead)
				}
				if got := j.holds(r.passed); got != r.holds {
					t.Errorf("reading %d: holds is %t", i, got)
				}
			}
		})
	}
}
