package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The first header block on a connection inserts its fields in the dynamic
// table, later ones refer to them, as common clients do.
var h2first, h2rest []byte

func prepareH2() {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	block := func() []byte {
		b.Reset()
		w := func(k, v string) { enc.WriteField(hpack.HeaderField{Name: k, Value: v}) }
		w(":method", *method)
		w(":scheme", "https")
		w(":authority", *host)
		w(":path", *path)
		w("user-agent", "bench-load/1")
		w("accept", *accept)
		w("mcp-protocol-version", "2025-06-18")
		w("mcp-session-id", *session)
		if *token != "" && *tokens == "" {
			w("authorization", "Bearer "+*token)
		}
		if *method == "POST" {
			w("content-type", "application/json")
			w("content-length", strconv.Itoa(len(postBody)))
		}
		return append([]byte(nil), b.Bytes()...)
	}
	h2first = block()
	h2rest = block()
}

// literal is a field that is left out of the dynamic table, and so fits after
// any header block.
func literal(k, v string) []byte {
	var b bytes.Buffer
	hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: k, Value: v, Sensitive: true})
	return b.Bytes()
}

type h2stream struct {
	own    []byte // literals of this request alone
	start  time.Time
	status int
	n      int64
	count  bool
	sse    *sseStream
}

type h2conn struct {
	c        net.Conn
	br       *bufio.Reader
	bw       *bufio.Writer
	fr       *http2.Framer
	next     uint32
	window   int64 // connection send window
	recv     int64
	lastBody int64
	goaway   bool
	dead     error
	streams  map[uint32]*h2stream
}

func newH2(c net.Conn) (*h2conn, error) {
	size := 8192
	if *mode == "download" {
		size = 64 << 10
	}
	h := &h2conn{c: c, br: bufio.NewReaderSize(c, size), bw: bufio.NewWriterSize(c, 4096), next: 1, window: 65535, streams: map[uint32]*h2stream{}}
	h.fr = http2.NewFramer(h.bw, h.br)
	h.fr.SetReuseFrames()
	h.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.bw.WriteString(http2.ClientPreface)
	h.fr.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30},
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000},
	)
	h.fr.WriteWindowUpdate(0, 1<<30)
	return h, h.bw.Flush()
}

func (h *h2conn) Close() error { return h.c.Close() }

func (h *h2conn) send(st *h2stream) error {
	body := *method == "POST"
	for body && h.window < int64(len(postBody)) {
		if err := h.bw.Flush(); err != nil {
			return err
		}
		if _, _, err := h.read(); err != nil {
			return err
		}
	}
	blk := h2rest
	if h.next == 1 {
		blk = h2first
	}
	if st.own != nil {
		blk = slices.Concat(blk, st.own)
	}
	id := h.next
	h.next += 2
	h.streams[id] = st
	if err := h.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: blk, EndStream: !body, EndHeaders: true}); err != nil {
		return err
	}
	if body {
		h.window -= int64(len(postBody))
		return h.fr.WriteData(id, true, []byte(postBody))
	}
	return nil
}

// read handles one frame and returns a stream that has just ended, if any.
func (h *h2conn) read() (*h2stream, error, error) {
	f, err := h.fr.ReadFrame()
	if err != nil {
		return nil, nil, err
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			if err := h.fr.WriteSettingsAck(); err != nil {
				return nil, nil, err
			}
			return nil, nil, h.bw.Flush()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			h.fr.WritePing(true, f.Data)
			return nil, nil, h.bw.Flush()
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			h.window += int64(f.Increment)
		}
	case *http2.GoAwayFrame:
		h.goaway = true
		if f.ErrCode != http2.ErrCodeNo {
			return nil, nil, fmt.Errorf("GOAWAY %v", f.ErrCode)
		}
	case *http2.RSTStreamFrame:
		st := h.streams[f.StreamID]
		delete(h.streams, f.StreamID)
		if st != nil {
			return st, fmt.Errorf("RST_STREAM %v", f.ErrCode), nil
		}
	case *http2.MetaHeadersFrame:
		st := h.streams[f.StreamID]
		if st == nil {
			return nil, nil, nil
		}
		if s := f.PseudoValue("status"); s != "" {
			st.status, _ = strconv.Atoi(s)
		}
		if st.sse != nil {
			st.sse.headers(st.status)
		}
		if f.StreamEnded() {
			return h.end(f.StreamID, st)
		}
	case *http2.DataFrame:
		h.recv += int64(f.Length)
		if h.recv > 1<<28 {
			h.fr.WriteWindowUpdate(0, uint32(h.recv))
			h.recv = 0
			if err := h.bw.Flush(); err != nil {
				return nil, nil, err
			}
		}
		st := h.streams[f.StreamID]
		if st == nil {
			return nil, nil, nil
		}
		st.n += int64(len(f.Data()))
		if st.sse != nil {
			st.sse.data(f.Data())
		}
		if f.StreamEnded() {
			return h.end(f.StreamID, st)
		}
	}
	return nil, nil, nil
}

func (h *h2conn) end(id uint32, st *h2stream) (*h2stream, error, error) {
	delete(h.streams, id)
	h.lastBody = st.n
	if st.status != *wantSt {
		return st, fmt.Errorf("status %d", st.status), nil
	}
	if st.n < int64(*minBody) && st.sse == nil {
		return st, fmt.Errorf("body of %d bytes", st.n), nil
	}
	return st, nil, nil
}

func (h *h2conn) roundTrip(token string) error {
	st := &h2stream{}
	if token != "" {
		st.own = literal("authorization", "Bearer "+token)
	}
	if err := h.send(st); err != nil {
		return err
	}
	if err := h.bw.Flush(); err != nil {
		return err
	}
	for {
		st, serr, err := h.read()
		if err != nil {
			return err
		}
		if st != nil {
			if serr == nil && h.goaway {
				return errClosed
			}
			return serr
		}
	}
}

// pump keeps m streams in flight in a closed loop until phase is 2.
func (h *h2conn) pump(m int, phase *atomic.Int32, lats *[]int64) {
	if h == nil {
		return
	}
	start := func() error {
		return h.send(&h2stream{start: time.Now(), count: phase.Load() == 1})
	}
	for i := 0; i < m; i++ {
		if err := start(); err != nil {
			fail(err)
			return
		}
	}
	h.bw.Flush()
	for len(h.streams) > 0 {
		st, serr, err := h.read()
		if err != nil {
			fail(err)
			return
		}
		if st != nil {
			if serr != nil {
				fail(serr)
			} else if st.count {
				*lats = append(*lats, int64(time.Since(st.start)))
			}
			if phase.Load() != 2 && !h.goaway {
				if err := start(); err != nil {
					fail(err)
					return
				}
			}
		}
		if h.br.Buffered() == 0 && h.bw.Buffered() > 0 {
			if err := h.bw.Flush(); err != nil {
				fail(err)
				return
			}
		}
	}
}
