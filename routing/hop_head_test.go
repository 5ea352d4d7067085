package routing

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// What is plain is read as http.ReadResponse reads it; of what is not nothing is
// gone.
func TestPlainAnswers(t *testing.T) {
	req := &http.Request{Method: http.MethodPost}
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\ncontent-type: application/json; charset=utf-8\r\nmcp-session-id: 1\r\nETag: W/\"1\"\r\n" +
			"content-length: 4\r\nDate: Thu, 26 Nov 2026 18:00:00 GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nserver: uvicorn\r\nSet-Cookie: a=1\r\nset-cookie:  b=2\t\r\ncontent-length: 04\r\nX-Empty:\r\n\r\n",
		"HTTP/1.1 202\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 599 \r\nX: \x80\r\nContent-Length: 9223372036854775807\r\n\r\n",
	} {
		r := come(head + "body")
		ours := plainAnswer(r, req)
		if ours == nil {
			t.Errorf("%q is plain", head)
			continue
		}
		theirs, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"body")), req)
		if err != nil {
			t.Fatal(err)
		}
		theirs.Body = nil
		if !reflect.DeepEqual(ours, theirs) {
			t.Errorf("%q\nhere  %+v\nthere %+v", head, ours, theirs)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "body" {
			t.Errorf("%q left %q", head, rest)
		}
	}
	for _, head := range []string{
		"", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 20\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 +20 OK\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 101 x\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 204 x\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 O\nK\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 OK\r\nTrailer: A\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4_0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\nC: d\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 OK\r\nA\r\nContent-Length: 4\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: \x00\r\nContent-Length: 4\r\n\r\n", "HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 4\r\n\r\n",
	} {
		all := []byte(head + "body")
		r := come(head + "body")
		if res := plainAnswer(r, req); res != nil {
			t.Errorf("%q is not plain: %+v", head, res)
		}
		if rest, _ := io.ReadAll(r); !bytes.Equal(rest, all) {
			t.Errorf("%q left %q", head, rest)
		}
	}
	head := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
	if res := plainAnswer(come(head), &http.Request{Method: http.MethodHead}); res != nil {
		t.Error("an answer without its body is not plain")
	}
}

// come is an answer of which something has come.
func come(answer string) *bufio.Reader {
	r := bufio.NewReader(strings.NewReader(answer))
	_, _ = r.Peek(1)
	return r
}
