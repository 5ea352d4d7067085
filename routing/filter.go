package routing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

var errUnreadable = errors.New("the list of tools cannot be read, so nothing can be left out of it")

// hides tells whether lists of tools are shortened for a caller.
func (x *exchange) hides() bool {
	return x.route.Enforced && x.route.config.ToolsList == "granted" && x.caller != nil
}

// hide leaves out of lists of tools those that the caller cannot call: of the
// answer to a question for them, and of every stream, as an answer may come on
// another one than was asked on.
func (x *exchange) hide(res *http.Response) error {
	stream := mediaType(res.Header["Content-Type"]) == "text/event-stream"
	if !x.hides() || res.StatusCode != http.StatusOK || !stream && !x.lists {
		return nil
	}
	if len(res.Header["Content-Encoding"]) > 0 {
		return fmt.Errorf("%w: it is compressed, though that was not asked for", errUnreadable)
	}
	if stream {
		res.Body = &shortened{ReadCloser: res.Body, limit: x.route.options.MaxBody, edit: x.shorten}
		delete(res.Header, "Content-Length")
		res.ContentLength = -1
		return nil
	}
	body, err := readAll(io.LimitReader(res.Body, x.route.options.MaxBody+1), res.ContentLength)
	if err != nil {
		return err
	}
	if int64(len(body)) > x.route.options.MaxBody {
		return fmt.Errorf("%w: it is over %d bytes", errUnreadable, x.route.options.MaxBody)
	}
	if body, err = x.shorten(body); err != nil {
		return err
	}
	_ = res.Body.Close()
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
	delete(res.Header, "Etag")
	return nil
}

// shorten returns a message, or a batch of them, without the tools that the
// caller cannot call.
func (x *exchange) shorten(message []byte) ([]byte, error) {
	g := Granted{Scopes: x.caller.Scopes, Pin: x.caller.Pin}
	if !x.route.Pinned {
		g.Pin = ""
	}
	j, err := x.route.judgeOf(x.req.Context(), g)
	if err != nil {
		return nil, err
	}
	return shorten(message, func(tool string) bool { return j.one(Call{Tool: tool}, g.Scopes) == nil })
}

func shorten(message []byte, callable func(tool string) bool) ([]byte, error) {
	if first := bytes.TrimLeft(message, " \t\r\n"); len(first) == 0 || first[0] != '[' {
		return shortenOne(message, callable)
	}
	var batch []json.RawMessage
	if err := json.Unmarshal(message, &batch); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	for i := range batch {
		var err error
		if batch[i], err = shortenOne(batch[i], callable); err != nil {
			return nil, err
		}
	}
	return plainJSON(batch)
}

// shortenOne changes a message only if it is a list of tools; what else is in
// it stays. What it says is one caller's, so it is nobody else's to keep.
func shortenOne(message []byte, callable func(tool string) bool) ([]byte, error) {
	var m, result map[string]json.RawMessage
	if err := json.Unmarshal(message, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if !isObject(m["result"], &result) || result["tools"] == nil {
		return message, nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(result["tools"], &all); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	kept := make([]json.RawMessage, 0, len(all))
	for _, tool := range all {
		var t map[string]json.RawMessage
		var name string
		if json.Unmarshal(tool, &t) != nil || json.Unmarshal(t["name"], &name) != nil {
			continue // no client could call it
		}
		if callable(name) {
			kept = append(kept, tool)
		}
	}
	var err error
	if result["tools"], err = plainJSON(kept); err != nil {
		return nil, err
	}
	result["cacheScope"] = json.RawMessage(`"private"`)
	if m["result"], err = plainJSON(result); err != nil {
		return nil, err
	}
	return plainJSON(m)
}

func isObject(raw []byte, into *map[string]json.RawMessage) bool {
	return json.Unmarshal(raw, into) == nil
}

// plainJSON writes texts as they are.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
