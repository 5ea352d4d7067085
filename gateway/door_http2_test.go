package gateway

import (
	"bytes"
	stdtls "crypto/tls"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A frames is a client of HTTP/2 that sends frames, whether they make sense or
// not.
type frames struct {
	d      *door
	out    bytes.Buffer
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
	stream uint32
}

func newFrames(d *door) *frames {
	c := &frames{d: d}
	c.out.WriteString(http2.ClientPreface)
	c.framer = http2.NewFramer(&c.out, nil)
	c.framer.AllowIllegalWrites = true
	_ = c.framer.WriteSettings()
	c.hpack = hpack.NewEncoder(&c.block)
	c.stream = 1
	return c
}

// fields encodes a good request, and whatever lines of name=value change or
// add to it.
func (c *frames) fields(text string) []byte {
	c.block.Reset()
	all := [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":authority", "notes.example.com"}, {":path", "/mcp"},
		{"authorization", "Bearer " + c.d.token}, {"content-type", "application/json"}, {"accept", "application/json, text/event-stream"},
	}
	for line := range strings.SplitSeq(text, "\n") {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		if i := fieldAt(all, name); i >= 0 {
			all[i][1] = value
			continue
		}
		all = append(all, [2]string{strings.TrimPrefix(name, "+"), value})
	}
	for _, f := range all {
		_ = c.hpack.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return bytes.Clone(c.block.Bytes())
}

func fieldAt(all [][2]string, name string) int {
	for i, f := range all {
		if f[0] == name {
			return i
		}
	}
	return -1
}

// The steps that a script is made of: a byte for the step, one for its flags,
// one for the stream, one for the length of what follows.
const (
	stepHeaders = iota
	stepData
	stepRaw
	stepContinued // a header block in many pieces
	stepFlood
	stepNext // the next stream
	steps
)

// play writes the frames of a script.
func (c *frames) play(script []byte) {
	for n := 0; len(script) >= 4 && n < 200; n++ {
		step, flags, at, size := script[0]%steps, script[1], script[2], int(script[3])
		script = script[4:]
		size = min(size, len(script))
		text := script[:size]
		script = script[size:]
		id := c.stream
		if at >= 0x80 {
			id = uint32(at & 0x7f)
		}
		c.step(step, flags, id, text)
	}
	_ = c.framer.WriteGoAway(0, 0, nil)
}

func (c *frames) step(step, flags byte, id uint32, text []byte) {
	switch step {
	case stepHeaders:
		_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.fields(string(text)), EndStream: flags&1 != 0, EndHeaders: flags&2 == 0, PadLength: flags >> 4})
	case stepData:
		_ = c.framer.WriteData(id, flags&1 != 0, text)
	case stepRaw:
		if len(text) > 0 {
			_ = c.framer.WriteRawFrame(http2.FrameType(text[0]), http2.Flags(flags), id, text[1:])
		}
	case stepContinued:
		block := c.fields(string(text))
		_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block[:1], EndStream: flags&1 != 0})
		for i := 1; i < len(block); i++ {
			_ = c.framer.WriteContinuation(id, i == len(block)-1 && flags&2 == 0, block[i:i+1])
		}
	case stepFlood:
		_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.fields(string(text))})
		for range int(flags) * 8 {
			_ = c.framer.WriteContinuation(id, false, nil)
		}
	case stepNext:
		c.stream += 2
	}
}

// pour sends what was written over a fresh connection, and reads until the
// gateway hangs up.
func (c *frames) pour(t *testing.T, patient bool) (answer []byte) {
	t.Helper()
	raw, err := net.Dial("tcp", c.d.secure)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := stdtls.Client(raw, &stdtls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, ServerName: "notes.example.com"})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return drain(t, conn, conn.CloseWrite, c.out.Bytes(), patient)
}

// script makes the bytes of steps.
func script(steps ...[]byte) []byte { return bytes.Join(steps, nil) }

func scripted(step, flags, at byte, text string) []byte {
	return append([]byte{step, flags, at, byte(len(text))}, text...)
}

func scripts() [][]byte {
	data := scripted(stepData, 1, 0, good1)
	request := func(fields string) []byte { return script(scripted(stepHeaders, 0, 0, fields), data) }
	all := [][]byte{
		request(""), script(request(""), scripted(stepNext, 0, 0, ""), request("")),
		script(scripted(stepContinued, 0, 0, ""), data), script(scripted(stepFlood, 255, 0, ""), data), script(scripted(stepFlood, 3, 0, ""), scripted(stepRaw, 4, 0, "\x09")),
		script(scripted(stepHeaders, 2, 0, ""), data),                                                             // the block never ends
		script(scripted(stepHeaders, 0, 0, ""), scripted(stepData, 0, 0, good1), scripted(stepHeaders, 1, 0, "")), // trailers
		script(scripted(stepHeaders, 1, 0, ""), data),                                                             // a body after the end
		script(data), script(scripted(stepHeaders, 0, 0x82, ""), data), script(scripted(stepHeaders, 0, 0x80, ""), data),
		script(request(""), scripted(stepRaw, 0, 0, "\x03\x00\x00\x00\x08")),            // taken back
		script(scripted(stepRaw, 0, 0x80, "\x04\x00\x03\x00\x00\x00\x00"), request("")), // SETTINGS
		script(scripted(stepRaw, 0, 0, "\x05\x00\x00\x00\x02"), request("")),            // PUSH_PROMISE
		script(scripted(stepRaw, 0, 0x80, "\x08\x7f\xff\xff\xff"), scripted(stepRaw, 0, 0x80, "\x08\x7f\xff\xff\xff"), request("")),
		script(scripted(stepRaw, 0, 0, "\x02\x00\x00\x00\x01\x10"), request("")), // depends on itself
	}
	var resets []byte
	for range 60 {
		resets = append(resets, script(scripted(stepHeaders, 0, 0, ""), scripted(stepRaw, 0, 0, "\x03\x00\x00\x00\x08"), scripted(stepNext, 0, 0, ""))...)
	}
	all = append(all, resets)
	for _, fields := range []string{
		"content-length=2", "content-length=0\n+content-length=400", "transfer-encoding=chunked", "connection=keep-alive, x-admitted", "upgrade=h2c", "te=gzip",
		":path=/secret", ":path=/mcp/..%2fsecret", ":path=mcp", ":path=", ":path=/mcp HTTP/1.1\r\nx: y", ":path=*", ":path=//mcp", ":path=http://other/mcp",
		":authority=other.example.com", ":authority=notes.example.com@other.example.com", ":authority=notes.example.com, x", "host=other.example.com", ":scheme=http", ":scheme=x://y/",
		":method=TRACE", ":method=CONNECT", ":method=POST /mcp HTTP/1.1\r\nX: y\r\n\r\nGET", ":protocol=websocket", "+:method=GET", "x-y=a\r\nx-forwarded-user: root", "X-Upper=x", "x y=z",
		"x-forwarded-user=root", "x_forwarded_user=root", "x-admitted=x", "x_admitted=x", "authorization=", "+authorization=Bearer x", "cookie=a=b\n+cookie=c=d", "expect=100-continue", "x\x00=y", "=y",
	} {
		all = append(all, request(fields))
	}
	return all
}

// FuzzDoorHTTP2 is FuzzDoorHTTP1 for frames.
func FuzzDoorHTTP2(f *testing.F) {
	d := newDoor(f)
	for _, s := range scripts() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 16<<10 {
			return
		}
		c := newFrames(d)
		c.play(script)
		c.pour(t, false)
		d.settle(t)
	})
}

// TestDoorHTTP2LetsGoodRequestsThrough: a door that is shut proves nothing.
func TestDoorHTTP2LetsGoodRequestsThrough(t *testing.T) {
	d := newDoor(t)
	before := d.passed.Load()
	c := newFrames(d)
	var three []byte
	for range 3 {
		three = append(three, script(scripted(stepContinued, 0, 0, ""), scripted(stepData, 1, 0, good1), scripted(stepNext, 0, 0, ""))...)
	}
	c.play(three)
	c.pour(t, true)
	if passed := d.passed.Load() - before; passed != 3 {
		t.Errorf("%d requests reach the MCP server", passed)
	}
	d.settle(t)
}
