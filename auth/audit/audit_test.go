package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
)

// A pen signs heads, and opens what it signed.
type pen struct {
	private ed25519.PrivateKey
	mu      sync.Mutex
	heads   map[string]Head
}

func newPen(t testing.TB) *pen {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &pen{private: private, heads: map[string]Head{}}
}

func (p *pen) sign(_ context.Context, payload []byte) ([]byte, error) {
	encode := base64.RawURLEncoding.EncodeToString
	return []byte("e30." + encode(payload) + "." + encode(ed25519.Sign(p.private, payload))), nil
}

func (p *pen) open(jws string) ([]byte, error) {
	parts := strings.Split(jws, ".")
	if len(parts) != 3 || parts[0] != "e30" {
		return nil, ErrUnknownKey
	}
	payload, err1 := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	signature, err2 := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if !ed25519.Verify(p.private.Public().(ed25519.PublicKey), payload, signature) {
		return nil, errors.New("wrong signature")
	}
	return payload, nil
}

func (p *pen) keep(_ context.Context, h Head) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heads[h.Chain] = h
	return nil
}

func (p *pen) keys() Keys {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := Keys{Open: p.open}
	for _, h := range p.heads {
		k.Heads = append(k.Heads, h)
	}
	return k
}

func (p *pen) log(t testing.TB, path string) *Log {
	t.Helper()
	l, err := Open(Options{Path: path, Sign: p.sign, Keep: p.keep, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func shut(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func (p *pen) verify(t testing.TB, file []byte) Report {
	t.Helper()
	r, err := Verify(bytes.NewReader(file), p.keys(), "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func record(l *Log, n int) {
	for i := range n {
		l.Record(context.Background(), CallAllowed, Host("notes.example.com"), Subject("local:ada"), Text("tool", fmt.Sprint("tool-", i)), Count("bytes", int64(i)))
	}
}

// events are the names of a file's lines.
func events(t testing.TB, file []byte) (out []string) {
	t.Helper()
	for text := range strings.Lines(string(file)) {
		var l struct{ Audit string }
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		out = append(out, l.Audit)
	}
	return out
}

func TestA_chain_is_signed_at_its_end_and_goes_on_in_the_file_of_its_predecessor(t *testing.T) {
	p, path := newPen(t), filepath.Join(t.TempDir(), "audit.log")
	l := p.log(t, path)
	record(l, 2)
	shut(t, l)
	l = p.log(t, path)
	record(l, 1)
	shut(t, l)
	file := read(t, path)
	want := []string{"chain_begun", "call_allowed", "call_allowed", "chain_ended", "chain_signed", "chain_begun", "call_allowed", "chain_ended", "chain_signed"}
	if got := events(t, file); !slices.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
	r := p.verify(t, file)
	if r.Damage != nil || r.Lines != 9 || r.Signed != 9 || r.Uncovered != 0 || len(r.Chains) != 2 || len(r.Notes) != 0 {
		t.Errorf("got %+v", r)
	}
	second, _ := parseLine(bytes.Split(file, []byte("\n"))[5])
	var after struct {
		Chain string `json:"after_chain"`
		Seq   int    `json:"after_seq"`
	}
	if err := json.Unmarshal(second.text, &after); err != nil || after.Chain != r.Chains[0] || after.Seq != 5 {
		t.Errorf("the second chain names %+v, %v", after, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
}

func TestA_line_is_chained_to_the_exact_bytes_before(t *testing.T) {
	var out bytes.Buffer
	l, err := Open(Options{Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	record(l, 3)
	shut(t, l)
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	prev := ""
	for i, text := range lines {
		var got struct {
			Seq        int
			Prev, Hash string
		}
		body, _, _ := bytes.Cut(text, []byte(`,"hash":`))
		if err := json.Unmarshal(text, &got); err != nil || got.Seq != i+1 || got.Prev != prev || got.Hash != fmt.Sprintf("%x", sha256.Sum256(body)) {
			t.Errorf("line %d is %+v, %v", i+1, got, err)
		}
		prev = got.Hash
	}
	if len(lines) != 5 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestThe_tail_that_no_signature_covers_is_named(t *testing.T) {
	p, path := newPen(t), filepath.Join(t.TempDir(), "audit.log")
	l := p.log(t, path)
	record(l, 3)
	if err := l.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Sign(t.Context()); err != nil { // nothing new
		t.Fatal(err)
	}
	record(l, 2)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := p.verify(t, read(t, path))
	if r.Damage != nil || r.Lines != 7 || r.Signed != 5 || r.Uncovered != 2 || r.SignedAt == "" {
		t.Errorf("got %+v", r)
	}
}

func TestA_line_that_a_crash_cut_is_told_and_no_damage(t *testing.T) {
	p, path := newPen(t), filepath.Join(t.TempDir(), "audit.log")
	l := p.log(t, path)
	record(l, 2)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	torn := read(t, path)
	path += ".torn"
	if err := os.WriteFile(path, torn[:len(torn)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	l = p.log(t, path)
	record(l, 1)
	shut(t, l)
	r := p.verify(t, read(t, path))
	if r.Damage != nil || len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "line 3: the process before was stopped") || r.Signed != r.Lines {
		t.Errorf("got %+v", r)
	}
}

func TestA_rotated_file_says_that_the_chain_goes_on_and_the_next_from_where(t *testing.T) {
	p, path := newPen(t), filepath.Join(t.TempDir(), "audit.log")
	l := p.log(t, path)
	record(l, 1)
	if err := l.Reopen(t.Context()); err != nil { // nobody has moved it
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(l, 1)
	shut(t, l)
	old, next := read(t, path+".1"), read(t, path)
	if got := events(t, old); !slices.Equal(got, []string{"chain_begun", "call_allowed", "file_closed", "chain_signed"}) {
		t.Errorf("the old file has %v", got)
	}
	if got := events(t, next); !slices.Equal(got, []string{"file_opened", "call_allowed", "chain_ended", "chain_signed"}) {
		t.Errorf("the new file has %v", got)
	}
	for name, file := range map[string][]byte{"old": old, "new": next, "both": append(slices.Clone(old), next...)} {
		if r := p.verify(t, file); r.Damage != nil || r.Uncovered != 0 || len(r.Chains) != 1 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	lines := bytes.SplitAfter(old, []byte("\n"))
	if r := p.verify(t, bytes.Join(lines[:2], nil)); r.Damage == nil || r.Damage.Line != 3 {
		t.Errorf("a rotated file that was cut: %+v", r)
	}
}

func TestA_file_that_cannot_be_opened_again_leaves_the_old_one_in_use(t *testing.T) {
	p, dir := newPen(t), t.TempDir()
	path := filepath.Join(dir, "sub", "audit.log")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l := p.log(t, path)
	if err := os.Rename(filepath.Dir(path), filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(t.Context()); err == nil {
		t.Error("a directory that is not there is no error")
	}
	record(l, 1)
	shut(t, l)
	if r := p.verify(t, read(t, filepath.Join(dir, "moved", "audit.log"))); r.Damage != nil || r.Lines != 4 {
		t.Errorf("got %+v", r)
	}
}

func TestA_file_that_was_cut_while_nobody_wrote_is_found_after_the_next_start(t *testing.T) {
	p, path := newPen(t), filepath.Join(t.TempDir(), "audit.log")
	l := p.log(t, path)
	record(l, 5)
	shut(t, l)
	lines := bytes.SplitAfter(read(t, path), []byte("\n"))
	if err := os.WriteFile(path, bytes.Join(lines[:4], nil), 0o600); err != nil {
		t.Fatal(err)
	}
	l = p.log(t, path)
	shut(t, l)
	if r := p.verify(t, read(t, path)); r.Damage == nil || r.Damage.Line != 5 {
		t.Errorf("got %+v", r)
	}
}

// gate is a writer that writes nothing until it may.
type gate struct {
	mu   sync.Mutex
	open bool
	bytes.Buffer
	tried chan struct{}
}

func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		select {
		case g.tried <- struct{}{}:
		default:
		}
		n, _ := g.Buffer.Write(b[:min(len(b), 7)]) // a disk that is full takes a part
		return n, errors.New("no space left on device")
	}
	return g.Buffer.Write(b)
}

func (g *gate) let() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
}

func TestA_full_queue_makes_callers_wait_and_drops_nothing(t *testing.T) {
	out := &gate{tried: make(chan struct{}, 1)}
	var said bytes.Buffer
	l, err := Open(Options{Out: out, Queue: 4, Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	<-out.tried
	done := make(chan struct{})
	go func() {
		defer close(done)
		record(l, 20)
	}()
	for l.Waiting() < 4 {
		time.Sleep(time.Millisecond) // there is no telling when the queue is full
	}
	select {
	case <-done:
		t.Fatal("nobody waited")
	default:
	}
	out.let()
	<-done
	shut(t, l)
	r, err := Verify(bytes.NewReader(out.Bytes()), Keys{}, "")
	if err != nil || r.Damage != nil || r.Lines != 22 {
		t.Errorf("%+v, %v", r, err)
	}
	if l.Waited() == 0 {
		t.Error("the time that was waited is not counted")
	}
	if !strings.Contains(said.String(), "cannot be written") || !strings.Contains(said.String(), "written again") {
		t.Errorf("the log has %s", said.String())
	}
}

func TestA_disk_that_stays_full_does_not_stop_the_end_and_is_told(t *testing.T) {
	var said bytes.Buffer
	l, err := Open(Options{Out: &gate{}, Grace: 50 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		t.Fatal(err)
	}
	record(l, 3)
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "events could not be written") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(said.String(), "are lost") {
		t.Errorf("the log has %s", said.String())
	}
	record(l, 1) // late, and no harm
	if err := l.Flush(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

func TestChains_are_picked_out_of_other_lines(t *testing.T) {
	p := newPen(t)
	var out bytes.Buffer
	two := map[string]*Log{}
	shared := &locked{w: &out}
	for _, name := range []string{"a", "b"} {
		l, err := Open(Options{Out: shared, Sign: p.sign, Keep: p.keep})
		if err != nil {
			t.Fatal(err)
		}
		two[name] = l
	}
	for range 3 {
		for _, l := range two {
			record(l, 1)
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Fprintln(shared, `{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"a line of the log"}`)
	}
	for _, l := range two {
		shut(t, l)
	}
	chains, err := Chains(bytes.NewReader(out.Bytes()))
	if err != nil || len(chains) != 2 {
		t.Fatalf("%v, %v", chains, err)
	}
	for _, chain := range chains {
		r, err := Verify(bytes.NewReader(out.Bytes()), p.keys(), chain)
		if err != nil || r.Damage != nil || r.Uncovered != 0 || r.Skipped == 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func FuzzText_is_a_JSON_string_whatever_the_bytes(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\u2028\xff\xc3é€😀")
	f.Add("ada\u202emoc.elpmaxe@\u200b\U000e0041\u00ad")
	f.Add(strings.Repeat("é", maxText))
	f.Fuzz(func(t *testing.T, s string) {
		b := appendText(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q becomes %q: %v", s, b, err)
		}
		if bytes.ContainsFunc(b, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is more than it shows", b)
		}
		want := strings.ToValidUTF8(s, "\x00")
		if len(s) <= maxText && !strings.Contains(want, "\x00") && got != s {
			t.Errorf("%q reads %q", s, got)
		}
		if len(got) > 4*maxText {
			t.Errorf("%d bytes become %d", len(s), len(got))
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	l, err := Open(Options{Out: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		l.Record(b.Context(), CallAllowed, Host("notes.example.com"), Client("client-1"), Subject("local:ada"), Grant("0123456789abcdef"),
			Text("tool", "read_note"), Text("reason", ""), Count("status", 200), Count("bytes_in", 190), Count("bytes_out", 1000), Milliseconds("duration_ms", time.Millisecond))
	}
}

// BenchmarkAppendEvent is the part of BenchmarkRecord that a call waits for.
func BenchmarkAppendEvent(b *testing.B) {
	now, room := time.Now(), make([]byte, 0, 1024)
	attrs := []slog.Attr{Host("notes.example.com"), Client("client-1"), Subject("local:ada"), Grant("0123456789abcdef"),
		Text("tool", "read_note"), Text("reason", ""), Count("status", 200), Count("bytes_in", 190), Count("bytes_out", 1000), Milliseconds("duration_ms", time.Millisecond)}
	b.ReportAllocs()
	for b.Loop() {
		room = appendEvent(room[:0], now, CallAllowed, attrs)
	}
}
