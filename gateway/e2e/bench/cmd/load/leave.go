package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/net/http2"
)

const (
	leaveGap  = 20 * time.Millisecond // between one stream and the next
	leaveWait = 10 * time.Second      // after the last; a stream that the origin still has is counted with as much
)

// leave opens streams, leaves one after the other, and asks the origin when it
// lost each; both tell time by the clock of the one machine. The streams are
// silent by then: who notices a client that left by failing to write to it does
// not notice.
func leave() result {
	base := time.Now().UnixNano() // ids that no other run has
	ids := map[string]int{}
	leaves := make([]func() error, *num)
	var h2 *h2conn
	for k := range leaves {
		id := strconv.FormatInt(base+int64(k), 10)
		ids[id] = k
		var err error
		if *proto == "h2" {
			if h2 == nil || !*reset || k%*nStr == 0 {
				h2, err = dialH2()
			}
			if err == nil {
				leaves[k], err = openH2(h2, id)
			}
		} else {
			leaves[k], err = openH1(id)
		}
		if err != nil {
			fail(fmt.Errorf("stream %d: %w", k, err))
			return result{}
		}
	}
	mark("START")
	t0 := time.Now()
	at, took := make([]int64, *num), make([]int64, *num)
	for k, leave := range leaves {
		at[k], took[k] = time.Now().UnixNano(), int64(leaveWait)
		if err := leave(); err != nil {
			fail(err)
		}
		time.Sleep(leaveGap)
	}
	for end := time.Now().Add(leaveWait); len(ids) > 0 && time.Now().Before(end); time.Sleep(leaveGap) {
		lost, err := askLost()
		if err != nil {
			fail(err)
			break
		}
		for id, ns := range lost {
			if k, ours := ids[id]; ours {
				took[k] = ns - at[k]
				delete(ids, id)
			}
		}
	}
	el := time.Since(t0).Seconds()
	mark("END")
	for range ids {
		fail(fmt.Errorf("the origin still has a stream after %v", leaveWait))
	}
	return result{Requests: int64(*num), Seconds: el, RPS: float64(*num) / el, Lat: pct(took)}
}

// openH1 opens a stream and returns, when its first event is there, how to
// leave it.
func openH1(id string) (leave func() error, err error) {
	c, err := dial(baseTLS)
	if err != nil {
		return nil, err
	}
	h := newH1(c)
	if _, err := c.Write(h1request(*token, "Last-Event-ID: "+id+"\r\n")); err != nil {
		return nil, err
	}
	status, _, _, err := h.head()
	if err != nil {
		return nil, err
	}
	if status != 200 {
		return nil, fmt.Errorf("status %d", status)
	}
	for {
		line, err := h.br.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(line, []byte("data:")) {
			return c.Close, nil
		}
	}
}

func dialH2() (*h2conn, error) {
	c, err := dial(baseTLS)
	if err != nil {
		return nil, err
	}
	return newH2(c)
}

// openH2 is openH1 on a connection that may have streams already.
func openH2(h *h2conn, id string) (leave func() error, err error) {
	stream, s := h.next, &sseStream{start: time.Now()}
	if err := h.send(&h2stream{sse: s, own: literal("last-event-id", id)}); err != nil {
		return nil, err
	}
	if err := h.bw.Flush(); err != nil {
		return nil, err
	}
	for !s.gotEv {
		ended, why, err := h.read()
		if err != nil {
			return nil, err
		}
		if ended != nil {
			return nil, fmt.Errorf("the stream ended: %v", why)
		}
	}
	if !*reset {
		return h.Close, nil
	}
	return func() error {
		if err := h.fr.WriteRSTStream(stream, http2.ErrCodeCancel); err != nil {
			return err
		}
		return h.bw.Flush()
	}, nil
}

// askLost returns which streams the origin lost since the last question, and
// when, in nanoseconds of Unix time.
func askLost() (lost map[string]int64, err error) {
	res, err := http.Get("http://" + *origin + "/left")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	err = json.NewDecoder(res.Body).Decode(&lost)
	return lost, err
}
