package gateway

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

func TestLines_of_the_log_are_written_whole_in_order_and_all_of_them_on_stop(t *testing.T) {
	var out bytes.Buffer
	b := newLogBuffer(&out)
	log := slog.New(slog.NewTextHandler(b, nil))
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 500 {
				log.Info("line", "writer", w, "n", i)
			}
		})
	}
	writers.Wait()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for line := range strings.Lines(out.String()) {
		var w, n int
		_, rest, _ := strings.Cut(line, "writer=")
		if _, err := fmt.Sscanf(rest, "%d n=%d\n", &w, &n); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q: %v", line, err)
		}
		if key := fmt.Sprint(w); next[key] != n {
			t.Fatalf("writer %d: line %d is followed by %d", w, next[key]-1, n)
		} else {
			next[key]++
		}
	}
	for w, n := range next {
		if n != 500 {
			t.Errorf("writer %s: %d lines", w, n)
		}
	}
	log.Info("after the end")
	if !strings.HasSuffix(out.String(), "msg=\"after the end\"\n") || b.Dropped() != 0 {
		t.Errorf("what is said after the end is lost; %d lines were dropped", b.Dropped())
	}
}

func TestA_log_that_nobody_reads_stops_nothing_and_takes_bounded_memory(t *testing.T) {
	r, w := io.Pipe()
	b := newLogBuffer(w)
	line := []byte(strings.Repeat("x", 1023) + "\n")
	const all = 4 * maxLogged / 1024
	for range all {
		if n, err := b.Write(line); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	if most := all - b.Dropped(); most > maxLogged/1024 {
		t.Errorf("%d KB are kept", most)
	}
	read := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, r)
		read <- n / 1024
	}()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if n := <-read; n+b.Dropped() != all {
		t.Errorf("%d lines were written and %d dropped, of %d", n, b.Dropped(), all)
	}
}
