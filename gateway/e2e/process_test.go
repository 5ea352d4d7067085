//go:build e2e

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"
)

// patience bounds every single wait. It is generous: CI machines are slow, and
// no test measures time by it.
const patience = 60 * time.Second

// A process is a program that runs beside the test, and ends with it.
type process struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when it has ended; then err is its result
	err  error
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, out: &output{changed: make(chan struct{})}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.out, p.out
	cmd.WaitDelay = 2 * time.Second // a child of the child may keep the pipe open
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t, os.Kill)
		if t.Failed() {
			t.Logf("--- output of %s\n%s", cmd, p.out)
		}
	})
	return p
}

// stop sends the signal and waits for the end.
func (p *process) stop(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stop %s: %v", p.cmd, err)
	}
	p.wait(t)
}

func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s does not end", p.cmd)
	}
}

// says waits until what the process has printed matches, and returns the groups.
func (p *process) says(t *testing.T, pattern string) []string {
	t.Helper()
	re, late := regexp.MustCompile(pattern), time.After(patience)
	for ended := false; ; {
		text, changed := p.out.read()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		if ended {
			t.Fatalf("%s ended (%v) and never said %s", p.cmd, p.err, pattern)
		}
		select {
		case <-changed:
		case <-p.done:
			ended = true // one more look: its last words
		case <-late:
			t.Fatalf("%s does not say %s", p.cmd, pattern)
		}
	}
}

// output collects what a process prints, and tells of every addition.
type output struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(b), nil
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text), o.changed
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}
