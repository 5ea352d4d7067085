package gateway

import (
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// How many registrations and abandoned authorization requests a flood is: all
// of them with LONG=1 or where nothing slows the program down, else a sample.
func floodSize() int {
	switch {
	case os.Getenv("LONG") != "":
		return 50_000
	case testing.Short():
		return 500
	case raceDetector:
		return 2_000
	}
	return 50_000
}

const floodLimit = 32 << 20

func TestD7_Z17_a_flood_costs_no_memory_and_stores_nothing(t *testing.T) {
	f := newFixture(t)
	f.audited.discard()
	f.logged.discard()
	c, b := f.newClient(t, nil), f.newBrowser(t)
	page := b.open(t, c.authorizeURL()) // a person who takes their time
	f.flood(t, 200, c)                  // what the first ones leave stays for the others: pools, tables
	before := heap()
	f.leavesNothing(t, func() { f.flood(t, floodSize(), c) })
	if grown := heap() - before; grown > floodLimit {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	} else {
		t.Logf("%d registrations and as many authorization requests: the heap has grown by %d KiB", floodSize(), grown>>10)
	}
	if q := c.finish(t, b, page, "notes:read"); q.Get("code") == "" {
		t.Errorf("the login that was begun before the flood ends with %v", q)
	}
}

// flood registers n clients and abandons n requests.
func (f *fixture) flood(t *testing.T, n int, c *client) {
	t.Helper()
	query := notes + "/authorize?" + c.params().Encode() + "&x="
	for i := range n {
		body := `{"client_name":"Flood ` + strconv.Itoa(i) + `","redirect_uris":["http://127.0.0.1/` + strconv.Itoa(i) + `"]}`
		a := f.recorded(http.MethodPost, notes+"/register", body, "Content-Type", "application/json")
		if a.StatusCode != http.StatusCreated {
			text, _ := io.ReadAll(a.Body)
			t.Fatalf("registration %d: %s: %s", i, a.Status, text)
		}
		if a = f.recorded(http.MethodGet, query+strconv.Itoa(i), ""); a.StatusCode != http.StatusSeeOther {
			t.Fatalf("request %d: %s", i, a.Status)
		}
	}
}

// heap is what is in use after everything else was let go.
func heap() int64 {
	runtime.GC()
	runtime.GC() // pools let go at the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
