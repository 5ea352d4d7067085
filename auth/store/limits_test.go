package store_test

import (
	"math"
	"testing"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

func TestExpires(t *testing.T) {
	now := time.Unix(100, 0)
	for name, c := range map[string]struct {
		ttl     time.Duration
		want    int64
		expired bool
	}{
		"no ttl is forever":                {0, 0, false},
		"a ttl is counted from now":        {time.Second, 101e9, false},
		"the shortest is not over yet":     {1, 100e9 + 1, false},
		"a negative one is over":           {-time.Second, 99e9, true},
		"before the count began is over":   {-time.Hour, 1, true},
		"the most negative one is over":    {math.MinInt64, 1, true},
		"the longest does not turn around": {math.MaxInt64, math.MaxInt64, false},
	} {
		at := store.Expires(now, c.ttl)
		if at != c.want || store.Expired(at, now) != c.expired {
			t.Errorf("%s: ends at %d, over: %v", name, at, store.Expired(at, now))
		}
	}
	if at := store.Expires(now, time.Second); !store.Expired(at, now.Add(time.Second)) {
		t.Error("a record is still there at the moment it ends")
	}
}
