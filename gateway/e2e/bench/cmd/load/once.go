package main

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// once sends each of the tokens in one request, and in no other: not even again
// where that request failed. The warm-up has the token that has been seen.
func once() result {
	b, err := os.ReadFile(*tokens)
	if err != nil {
		fail(err)
		return result{}
	}
	fresh := strings.Fields(string(b))
	cs := connectAll(*nConns)
	lats := make([][]int64, len(cs))
	each := func(do func(i int)) {
		var wg sync.WaitGroup
		for i := range cs {
			wg.Go(func() { do(i) })
		}
		wg.Wait()
	}
	until := time.Now().Add(*warm)
	each(func(i int) {
		for time.Now().Before(until) {
			step(&cs[i], *token)
		}
	})
	errCount.Store(0)
	mark("START")
	t0 := time.Now()
	var next atomic.Int64
	each(func(i int) {
		for {
			k := int(next.Add(1)) - 1
			if k >= len(fresh) {
				return
			}
			t := time.Now()
			if step(&cs[i], fresh[k]) {
				lats[i] = append(lats[i], int64(time.Since(t)))
			}
		}
	})
	el := time.Since(t0).Seconds()
	mark("END")
	for _, c := range cs {
		if c != nil {
			c.Close()
		}
	}
	return collect(lats, el)
}
