package audit

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// written is a file of three chains with all that a file can hold, signed at its
// end, and who signed it.
func written(t testing.TB) (*pen, []byte) {
	t.Helper()
	p, dir := newPen(t), t.TempDir()
	path := filepath.Join(dir, "audit.log")
	l := p.log(t, path)
	record(l, 3)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(l, 2)
	if err := l.Sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	record(l, 2)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	torn := read(t, path)
	path += ".torn" // the first process was killed while it wrote
	if err := os.WriteFile(path, torn[:len(torn)-30], 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l = p.log(t, path)
		record(l, 4)
		shut(t, l)
	}
	file := read(t, path)
	if r := p.verify(t, file); r.Damage != nil || r.Uncovered != 0 || len(r.Chains) != 3 {
		t.Fatalf("the file itself: %+v", r)
	}
	return p, file
}

// firstDifference is the first line that is not as it was.
func firstDifference(was, is []byte) int {
	a, b := bytes.SplitAfter(was, []byte("\n")), bytes.SplitAfter(is, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			return i + 1
		}
	}
	return min(len(a), len(b)) + 1
}

// A damage of one kind, at a place and with a value from outside.
var damages = map[string]func(file []byte, at, value int) []byte{
	"a byte is changed": func(file []byte, at, value int) []byte {
		i := at % len(file)
		return slices.Concat(file[:i], []byte{file[i] ^ byte(1+value%255)}, file[i+1:])
	},
	"a byte is inserted": func(file []byte, at, value int) []byte {
		i := at % (len(file) + 1)
		return slices.Concat(file[:i], []byte{byte(value)}, file[i:])
	},
	"bytes are cut": func(file []byte, at, value int) []byte {
		i := at % len(file)
		return slices.Concat(file[:i], file[min(len(file), i+1+value%600):])
	},
	"the end is cut": func(file []byte, at, _ int) []byte { return file[:at%len(file)] },
	"lines are cut": func(file []byte, at, value int) []byte {
		lines := bytes.SplitAfter(file, []byte("\n"))
		lines = lines[:len(lines)-1]
		i := at % len(lines)
		return bytes.Join(slices.Delete(lines, i, min(len(lines), i+1+value%3)), nil)
	},
	"lines change places": func(file []byte, at, value int) []byte {
		lines := bytes.SplitAfter(file, []byte("\n"))
		lines = lines[:len(lines)-1]
		i, j := at%len(lines), value%len(lines)
		lines[i], lines[j] = lines[j], lines[i]
		return bytes.Join(lines, nil)
	},
	"a line is there twice": func(file []byte, at, value int) []byte {
		lines := bytes.SplitAfter(file, []byte("\n"))
		lines = lines[:len(lines)-1]
		i, j := at%(len(lines)+1), value%len(lines)
		return bytes.Join(slices.Insert(slices.Clone(lines), i, lines[j]), nil)
	},
	"a line of an outsider is inserted": func(file []byte, at, value int) []byte {
		lines := bytes.SplitAfter(file, []byte("\n"))
		lines = lines[:len(lines)-1]
		i := at % (len(lines) + 1)
		l, prev := line{chain: "aaaaaaaaaaaaaaaa", seq: 1}, ""
		if i > 0 {
			before, _ := parseLine(bytes.TrimSuffix(lines[i-1], []byte("\n")))
			prev = before.hash
			if l = before; !l.ours {
				l.chain = "aaaaaaaaaaaaaaaa"
			}
		}
		return bytes.Join(slices.Insert(slices.Clone(lines), i, forged(l.chain, l.seq+uint64(value%2), prev)), nil)
	},
	"a line is written anew": func(file []byte, at, _ int) []byte {
		lines := bytes.SplitAfter(file, []byte("\n"))
		lines = lines[:len(lines)-1]
		i := at % len(lines)
		was, _ := parseLine(bytes.TrimSuffix(lines[i], []byte("\n")))
		if !was.ours {
			return file
		}
		lines[i] = forged(was.chain, was.seq, was.prev)
		return bytes.Join(lines, nil)
	},
}

// forged is a line of whoever knows how they are made.
func forged(chain string, seq uint64, prev string) []byte {
	text := append(appendPlace(nil, chain, seq, []byte(prev)), `"time":"2026-01-01T00:00:00Z","audit":"call_allowed","sub":"somebody else"`...)
	return append(appendSeal(text, 0), '\n')
}

// found holds Verify to one damage.
func found(t *testing.T, p *pen, file []byte, kind string, at, value int) {
	t.Helper()
	damaged := damages[kind](slices.Clone(file), at, value)
	r := p.verify(t, damaged)
	switch want := firstDifference(file, damaged); {
	case bytes.Equal(file, damaged):
		if r.Damage != nil {
			t.Errorf("%s at %d, %d: nothing is, and it says %v", kind, at, value, r.Damage)
		}
	case len(damaged) == 0:
		if r.Lines != 0 || len(r.Notes) == 0 {
			t.Errorf("an empty file: %+v", r)
		}
	case r.Damage == nil:
		t.Errorf("%s at %d, %d: line %d is damaged and it was not found: %+v", kind, at, value, want, r)
	case r.Damage.Line != want:
		t.Errorf("%s at %d, %d: line %d is damaged, it says %v", kind, at, value, want, r.Damage)
	}
}

func kinds() []string {
	var names []string
	for name := range damages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// FuzzVerify_names_the_first_line_that_is_not_as_it_was.
func FuzzVerify_names_the_first_line_that_is_not_as_it_was(f *testing.F) {
	p, file := written(f)
	for i := range kinds() {
		f.Add(i, 1000, 7)
		f.Add(i, 0, 0)
		f.Add(i, len(file)-1, 1)
	}
	f.Fuzz(func(t *testing.T, kind, at, value int) {
		if kind < 0 || at < 0 || value < 0 {
			t.Skip()
		}
		found(t, p, file, kinds()[kind%len(damages)], at, value)
	})
}

func TestEvery_damage_of_a_file_is_found_and_its_line_named(t *testing.T) {
	p, file := written(t)
	n := 15_000
	if os.Getenv("LONG") != "" {
		n = 1_000_000
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	names := kinds()
	for range n {
		found(t, p, file, names[rnd.IntN(len(names))], rnd.IntN(1<<20), rnd.IntN(1<<20))
		if t.Failed() {
			return
		}
	}
	lines := bytes.Count(file, []byte("\n"))
	for i := range lines { // each line, and each pair of lines
		for j := range lines {
			found(t, p, file, "lines change places", i, j)
			found(t, p, file, "a line is there twice", i, j)
			found(t, p, file, "lines are cut", i, j)
		}
		found(t, p, file, "a line is written anew", i, 0)
		found(t, p, file, "a line of an outsider is inserted", i, i)
		found(t, p, file, "a line of an outsider is inserted", i, i+1)
	}
}

func TestA_chain_that_was_made_anew_proves_nothing(t *testing.T) {
	p, file := written(t)
	forger, forged := written(t)
	keys := p.keys()
	keys.Heads = nil
	keys.Open = func(jws string) ([]byte, error) {
		if _, err := forger.open(jws); err == nil {
			return nil, ErrUnknownKey
		}
		return p.open(jws)
	}
	r, err := Verify(bytes.NewReader(forged), keys, "")
	if err != nil || r.Signed != 0 || r.Unknown == 0 || r.Uncovered == 0 {
		t.Errorf("a whole file of somebody else: %+v, %v", r, err)
	}
	both := append(slices.Clone(file), forged...)
	if r := p.verify(t, both); r.Damage == nil || r.Damage.Line != bytes.Count(file, []byte("\n"))+1 {
		t.Errorf("appended to a good one: %+v", r)
	}
}

func ExampleDamage() {
	var out bytes.Buffer
	l, _ := Open(Options{Out: &out})
	l.Record(context.Background(), SigninOK, Subject("local:ada"))
	l.Record(context.Background(), CodeIssued, Subject("local:ada"))
	_ = l.Close()
	changed := bytes.Replace(out.Bytes(), []byte("ada"), []byte("bob"), 1)
	r, _ := Verify(bytes.NewReader(changed), Keys{}, "")
	fmt.Println(r.Damage)
	// Output: line 2: it was changed after it was written
}
