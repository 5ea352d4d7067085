package routing

import (
	"bufio"
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

const (
	http11  = "HTTP/1.1 "
	newline = "\r\n"
)

// plainAnswer reads the head of an answer that is as most are: all of it has
// come, it is HTTP/1.1's, and says how long its body is, which is left to the
// caller to read. It returns nil, and has read nothing, where anything else
// stands in it (chunks, trailers, a connection that ends here, a line that goes
// on): that is for http.ReadResponse, which knows it all and takes twice as long.
// Of r it knows what is in its buffer.
func plainAnswer(r *bufio.Reader, req *http.Request) *http.Response {
	if req.Method == http.MethodHead {
		return nil
	}
	come, _ := r.Peek(r.Buffered())
	end := bytes.Index(come, []byte(newline+newline))
	if end < 0 {
		return nil
	}
	first, lines, _ := strings.Cut(string(come[:end+len(newline)]), newline)
	status := plainStatus(first)
	if status == 0 {
		return nil
	}
	header, length := plainHeader(lines)
	if length < 0 {
		return nil
	}
	_, _ = r.Discard(end + len(newline+newline))
	return &http.Response{
		Status: first[len(http11):], StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: length, Request: req,
	}
}

// plainStatus is the status of an answer that has a body (RFC 9112 §4), or 0.
func plainStatus(line string) int {
	rest, ok := strings.CutPrefix(line, http11)
	if !ok || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' || !httpguts.ValidHeaderFieldValue(rest) {
		return 0
	}
	status, err := strconv.ParseUint(rest[:3], 10, 16)
	if err != nil || status < http.StatusOK || status == http.StatusNoContent || status == http.StatusNotModified {
		return 0
	}
	return int(status)
}

// plainHeader reads the lines of a head, and how long they say that the body is:
// below zero where they do not, or are not plain.
func plainHeader(lines string) (h http.Header, length int64) {
	count := strings.Count(lines, newline)
	h, length = make(http.Header, count), -1
	values := make([]string, count)
	for ; lines != ""; values = values[1:] {
		var line string
		line, lines, _ = strings.Cut(lines, newline)
		name, value, ok := strings.Cut(line, ":")
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, -1
		}
		value = strings.Trim(value, " \t")
		switch name = http.CanonicalHeaderKey(name); name {
		case "Content-Length":
			// ParseUint takes no sign, and as base 10 no underscores.
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || length >= 0 {
				return nil, -1
			}
			length = int64(n) // of 63 bits
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return nil, -1
			}
		case "Transfer-Encoding", "Trailer", "Pragma": // net/http does something about the last
			return nil, -1
		}
		if h[name] != nil {
			h[name] = append(h[name], value)
			continue
		}
		values[0] = value
		h[name] = values[:1:1]
	}
	return h, length
}
