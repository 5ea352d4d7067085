package routing

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"mcp-oauth2-proxy/routing/mcp"
)

// replayed is a body that was read and is there again, byte for byte.
type replayed struct {
	bytes.Reader
	all   []byte
	calls []Call // as they were judged

	seen   []Call // as they were only looked at; unread is why that failed
	unread error
}

// Close does nothing: there is nothing left to let go of.
func (*replayed) Close() error { return nil }

// mayListen tells whether the body is worth parsing to find out: the words of
// the method stand in it, or escapes behind which they could.
func (b *replayed) mayListen() bool {
	return bytes.Contains(b.all, []byte(listen)) || bytes.IndexByte(b.all, '\\') >= 0
}

// replay puts a body back.
func replay(req *http.Request, body []byte, calls []Call) {
	b := &replayed{all: body, calls: calls}
	b.Reset(body)
	req.Body = b
	req.ContentLength = int64(len(body))
	req.TransferEncoding = nil
}

// readBody reads all of a body, within a limit, and puts back one that is empty.
func readBody(req *http.Request, limit int64) ([]byte, error) {
	if req.ContentLength > limit {
		return nil, &TooLarge{limit}
	}
	var in io.Reader = req.Body
	if req.ContentLength < 0 { // else it ends where it was said to: net/http sees to that
		in = io.LimitReader(in, limit+1)
	}
	body, err := readAll(in, req.ContentLength)
	switch {
	case int64(len(body)) > limit:
		return nil, &TooLarge{limit}
	case err != nil:
		return nil, incomplete(err)
	case len(body) == 0:
		req.Body, req.ContentLength = http.NoBody, 0
	}
	return body, nil
}

// incomplete is why a body was not read to its end.
func incomplete(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &TooLarge{tooLarge.Limit}
	}
	return &BadMessage{Code: mcp.CodeParse, Reason: "the body is not complete"}
}

// believed is how much memory a promised length is worth before the bytes come.
const believed = 64 << 10

func readAll(r io.Reader, promised int64) ([]byte, error) {
	b := make([]byte, 0, max(512, min(promised, believed)+1))
	for {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		if len(b) == cap(b) {
			b = grow(b, promised)
		}
	}
}

// grow doubles a buffer, or makes it just as large as promised.
func grow(b []byte, promised int64) []byte {
	size := 2 * int64(cap(b))
	if promised >= int64(cap(b)) && promised < size {
		size = promised + 1 // one more, so that the end is seen without growing
	}
	return append(make([]byte, 0, size), b...)
}

// readable refuses what would make an MCP server read other words than those
// that lie in the bytes: a compressed body, or one in another alphabet.
func readable(h http.Header) error {
	for _, v := range h["Content-Encoding"] {
		if !strings.EqualFold(strings.TrimSpace(v), "identity") {
			return &BadMessage{Code: mcp.CodeInvalidRequest, Reason: "a body with a Content-Encoding cannot be read here"}
		}
	}
	types := h["Content-Type"]
	if len(types) == 1 && types[0] == "application/json" || len(types) == 0 {
		return nil
	}
	if len(types) > 1 {
		return &BadMessage{Code: mcp.CodeInvalidRequest, Reason: "more than one Content-Type"}
	}
	_, params, err := mime.ParseMediaType(types[0])
	charset := strings.ToLower(params["charset"])
	if err != nil || charset != "" && charset != "utf-8" && charset != "utf8" && charset != "us-ascii" {
		return &BadMessage{Code: mcp.CodeInvalidRequest, Reason: "the Content-Type is not JSON in UTF-8"}
	}
	return nil
}
