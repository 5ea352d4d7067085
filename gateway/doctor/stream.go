package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// keepAliveAfter is when a silent stream deserves a word: proxies and clouds in
// the field cut at 60 to 125 s.
const keepAliveAfter = 60 * time.Second

// A stream is an open GET stream.
type stream struct {
	words chan string // its lines, not the empty ones; closed at its end
	err   error       // why it ended; to be read after words is closed
	end   func()
}

const noStream = "no stream"

// stream opens a GET stream. That its header arrives while it is open is the
// proof that nobody in between waits for its end.
func (c *client) stream(ctx context.Context) finding {
	if !c.hasToken() {
		return skip(noToken)
	}
	if c.session.mcp.protocol == "" {
		return skip("no session")
	}
	return c.once("stream", func() finding { return c.openStream(ctx) }).matters(c.Listens)
}

func (c *client) openStream(ctx context.Context) finding {
	ctx, cancel := context.WithCancelCause(ctx)
	end := func() { cancel(nil) }
	req, err := c.tokenRequest(ctx, c.session.mcp, http.MethodGet, c.target.Path, nil, "Accept", "text/event-stream")
	if err != nil {
		end()
		return skip(err.Error())
	}
	impatient := time.AfterFunc(c.Patience, func() { cancel(errPatience) })
	res, err := c.web.client(nil).Do(req)
	impatient.Stop()
	if err != nil {
		defer end()
		if errors.Is(context.Cause(ctx), errPatience) {
			return wrong("no header within %s: something in front of the server waits for the end of the stream", c.Patience).
				by("MCP 2025-11-25 transports, Listening for Messages").
				fixed("turn buffering off in the proxy (nginx: proxy_buffering off; or X-Accel-Buffering: no)")
		}
		return wrong("%v", short(err)).fixed("look at the proxy in front of the server")
	}
	f := judgeStream(res)
	if f.result == Wrong || mediaType(res.Header) != "text/event-stream" || res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		end()
		return f
	}
	c.session.stream = listen(res.Body, end)
	return f
}

// errPatience ends the wait for the header of a stream.
var errPatience = errors.New("no header")

func judgeStream(res *http.Response) finding {
	rule := "MCP 2025-11-25 transports, Listening for Messages"
	switch {
	case res.StatusCode == http.StatusMethodNotAllowed:
		return ok("405: it offers none")
	case res.StatusCode != http.StatusOK:
		return warn("%d: it offers none, and should say so with 405", res.StatusCode).by(rule).fixed("answer 405")
	case mediaType(res.Header) != "text/event-stream":
		return wrong("200 as %q", res.Header.Get("Content-Type")).by(rule).fixed("answer with text/event-stream, or 405")
	case res.ContentLength >= 0:
		return wrong("it has a Content-Length, so it was kept until its end").by(rule).fixed("turn buffering off in the proxy")
	case res.Header.Get("Content-Encoding") != "":
		return warn("it is compressed with %s: events wait for one another", res.Header.Get("Content-Encoding")).by(rule).
			fixed("do not compress text/event-stream")
	}
	return ok("its header came while it is open")
}

// listen reads a stream until it ends. It keeps nothing but the last few words.
func listen(body io.ReadCloser, end func()) *stream {
	s := &stream{words: make(chan string, 16), end: end}
	go func() {
		defer close(s.words)
		defer body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxBody)
		for lines.Scan() {
			if lines.Text() == "" {
				continue
			}
			select {
			case s.words <- lines.Text():
			default: // it is alive, and nobody counts that far
			}
		}
		s.err = lines.Err()
	}()
	return s
}

// idle waits with the stream.
func (c *client) idle(ctx context.Context) finding {
	if c.session == nil || c.session.stream == nil {
		return skip(noStream)
	}
	return c.once("idle", func() finding { return c.session.stream.wait(ctx, c.Idle) }).matters(c.Listens)
}

func (s *stream) wait(ctx context.Context, idle time.Duration) finding {
	began := time.Now()
	over := time.NewTimer(idle)
	defer over.Stop()
	said, resumes := 0, false
	last, quiet := began, time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return skip("interrupted")
		case <-over.C:
			if quiet = max(quiet, time.Since(last)); quiet >= keepAliveAfter {
				return warn("no word within %s: a proxy in between may cut it", quiet.Round(time.Second)).
					fixed("send a comment line each 25 s on idle streams")
			}
			return ok("%s, %s", idle, words(said))
		case line, open := <-s.words:
			if !open {
				return s.ended(time.Since(began), resumes)
			}
			said, quiet, last = said+1, max(quiet, time.Since(last)), time.Now()
			resumes = resumes || strings.HasPrefix(line, "id:") || strings.HasPrefix(line, "retry:")
		}
	}
}

func words(n int) string {
	if n == 0 {
		return "silent"
	}
	return fmt.Sprintf("lines: %d", n)
}

func (s *stream) ended(after time.Duration, resumes bool) finding {
	if s.err == nil && resumes {
		return ok("the server ended it after %s, and tells clients how to come back", after.Round(time.Second))
	}
	how := "it ended"
	if s.err != nil {
		how = "it was cut"
	}
	return wrong("%s after %s, without a word from the server", how, after.Round(time.Second)).
		by("MCP 2025-11-25 transports, Listening for Messages").
		fixed("let idle streams live: no write timeout in the server, a long read timeout in the proxy, a comment line each 25 s")
}
