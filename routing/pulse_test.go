package routing

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilentStreamsGetAComment is X18, with a clock that moves when everybody
// waits.
func TestSilentStreamsGetAComment(t *testing.T) {
	for name, tc := range map[string]struct {
		written []string // a second after each other
		every   time.Duration
		after   time.Duration
		want    string
	}{
		"X18 after an event":                        {[]string{"data: 1\n\n"}, 10 * time.Second, 25 * time.Second, "data: 1\n\n:\n\n:\n\n"},
		"X18 before the first":                      {nil, 10 * time.Second, 15 * time.Second, ":\n\n"},
		"X18 not before its time":                   {[]string{"data: 1\n\n"}, 10 * time.Second, 9 * time.Second, "data: 1\n\n"},
		"X18 not within an event":                   {[]string{"data: 1\n"}, 10 * time.Second, time.Minute, "data: 1\n"},
		"X18 not within a line":                     {[]string{"data: 1\n\n", "data"}, 10 * time.Second, time.Minute, "data: 1\n\ndata"},
		"X18 again once the event is complete":      {[]string{"data: 1\n", "\n"}, 10 * time.Second, 15 * time.Second, "data: 1\n\n:\n\n"},
		"X18 lines that end with CR LF":             {[]string{"data: 1\r\n\r\n"}, 10 * time.Second, 15 * time.Second, "data: 1\r\n\r\n:\n\n"},
		"X18 one CR LF is not two ends":             {[]string{"data: 1\r\n"}, 10 * time.Second, time.Minute, "data: 1\r\n"},
		"X18 CR LF in two pieces is not either":     {[]string{"data: 1\r", "\n"}, 10 * time.Second, time.Minute, "data: 1\r\n"},
		"X18 lines that end with CR":                {[]string{"data: 1\r\r"}, 10 * time.Second, 15 * time.Second, "data: 1\r\r:\n\n"},
		"X18 lines that end in every way":           {[]string{"data: 1\n\r", "data: 2\r\r\n"}, 10 * time.Second, 16 * time.Second, "data: 1\n\rdata: 2\r\r\n:\n\n"},
		"X18 an end in single bytes":                {[]string{"d:", "\n", "\n"}, 10 * time.Second, 15 * time.Second, "d:\n\n:\n\n"},
		"X18 what is said meanwhile puts it off":    {[]string{"a\n\n", "b\n\n", "c\n\n"}, 1500 * time.Millisecond, 1400 * time.Millisecond, "a\n\nb\n\nc\n\n"},
		"X18 never, where that is what was ordered": {[]string{"data: 1\n\n"}, 0, time.Hour, "data: 1\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := httptest.NewRecorder()
				p := &pulse{w: w, every: tc.every}
				p.WriteHeader(200)
				for i, piece := range tc.written {
					if i > 0 {
						time.Sleep(time.Second)
					}
					if _, err := p.Write([]byte(piece)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(tc.after)
				synctest.Wait()
				p.end()
				if got := w.Body.String(); got != tc.want {
					t.Errorf("got %q, want %q", got, tc.want)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				p.beat() // it may have begun just then
				if got := w.Body.String(); got != tc.want {
					t.Errorf("written after the end: %q", strings.TrimPrefix(got, tc.want))
				}
			})
		})
	}
}
