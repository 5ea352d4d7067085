package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

var (
	errClosed = errors.New("connection closed after response")
	h1req     []byte
)

func prepare() {
	h1req = h1request(*token, "")
	prepareH2()
}

// h1request is a request with this token and further header lines.
func h1request(token, lines string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench-load/1\r\nAccept: %s\r\nMcp-Protocol-Version: 2025-06-18\r\nMcp-Session-Id: %s\r\n", *method, *path, *host, *accept, *session)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	b.WriteString(lines)
	if *method == "POST" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(postBody), postBody)
	} else {
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

type h1conn struct {
	c        net.Conn
	br       *bufio.Reader
	lastBody int64
}

func newH1(c net.Conn) *h1conn {
	size := 4096
	if *mode == "download" {
		size = 64 << 10
	}
	return &h1conn{c: c, br: bufio.NewReaderSize(c, size)}
}

func (h *h1conn) Close() error { return h.c.Close() }

// head reads a response head; clen is -1 for chunked and -2 for until-close.
func (h *h1conn) head() (status int, clen int64, closing bool, err error) {
	line, err := h.br.ReadSlice('\n')
	if err != nil {
		return 0, 0, false, err
	}
	if len(line) < 12 {
		return 0, 0, false, fmt.Errorf("short status line %q", line)
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return
	}
	clen = -2
	for {
		l, err := h.br.ReadSlice('\n')
		if err != nil {
			return 0, 0, false, err
		}
		l = bytes.TrimRight(l, "\r\n")
		if len(l) == 0 {
			return status, clen, closing, nil
		}
		k, v, _ := bytes.Cut(l, []byte(":"))
		switch len(k) {
		case 14:
			if bytes.EqualFold(k, []byte("content-length")) {
				clen, _ = strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
			}
		case 17:
			if bytes.EqualFold(k, []byte("transfer-encoding")) {
				clen = -1
			}
		case 10:
			if bytes.EqualFold(k, []byte("connection")) && bytes.Contains(v, []byte("close")) {
				closing = true
			}
		}
	}
}

func (h *h1conn) chunk(discard bool) (n int64, err error) {
	l, err := h.br.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	l = bytes.TrimRight(l, "\r\n")
	if i := bytes.IndexByte(l, ';'); i >= 0 {
		l = l[:i]
	}
	return strconv.ParseInt(string(l), 16, 64)
}

func (h *h1conn) roundTrip(token string) error {
	req := h1req
	if token != "" {
		req = h1request(token, "")
	}
	if _, err := h.c.Write(req); err != nil {
		return err
	}
	status, clen, closing, err := h.head()
	if err != nil {
		return err
	}
	var n int64
	switch {
	case clen >= 0:
		for n < clen {
			k := clen - n
			if k > int64(h.br.Size()) {
				k = int64(h.br.Size())
			}
			m, err := h.br.Discard(int(k))
			n += int64(m)
			if err != nil {
				return err
			}
		}
	case clen == -1:
		for {
			k, err := h.chunk(true)
			if err != nil {
				return err
			}
			for left := k + 2; left > 0; {
				m, err := h.br.Discard(int(min(left, int64(h.br.Size()))))
				left -= int64(m)
				if err != nil {
					return err
				}
			}
			n += k
			if k == 0 {
				break
			}
		}
	default:
		n, err = io.Copy(io.Discard, h.br)
		if err != nil {
			return err
		}
		closing = true
	}
	h.lastBody = n
	if status != *wantSt {
		return fmt.Errorf("status %d", status)
	}
	if n < int64(*minBody) {
		return fmt.Errorf("body of %d bytes", n)
	}
	if closing {
		return errClosed
	}
	return nil
}
