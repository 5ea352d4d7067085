package gateway

import (
	"context"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestA_program_that_is_released_goes_on(t *testing.T) {
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	// A page of it that was written to, as a linker does with some at the start.
	const size = 1 << 12
	page, err := unix.Mmap(int(exe.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(page) }()
	page[7] = 'x'
	if err := unix.Mprotect(page, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	before := mapCode(t)
	if err := releaseProgram(); err != nil {
		t.Fatal(err)
	}
	if _, _, after := codeInMemory(t); after > before/2 {
		t.Errorf("%d of %d kB of code are in memory", after, before)
	}
	if page[7] != 'x' {
		t.Error("a page that was written to is lost")
	}
}

// codeInMemory is where this program's code is, and how much of it is mapped, in
// kB.
func codeInMemory(t *testing.T) (from, to, kB int64) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`(?s)([0-9a-f]+)-([0-9a-f]+) r-xp [^\n]* /.*?\nRss: *([0-9]+) kB`).FindSubmatch(maps)
	if code == nil {
		t.Fatal("no code")
	}
	from, _ = strconv.ParseInt(string(code[1]), 16, 64)
	to, _ = strconv.ParseInt(string(code[2]), 16, 64)
	kB, _ = strconv.ParseInt(string(code[3]), 10, 64)
	return from, to, kB
}

// mapCode brings all of this program's code into memory, and returns how much that
// is, in kB.
func mapCode(t *testing.T) (kB int64) {
	t.Helper()
	from, to, _ := codeInMemory(t)
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	if _, err := io.Copy(io.Discard, io.NewSectionReader(memory, from, to-from)); err != nil {
		t.Fatal(err)
	}
	if _, _, kB = codeInMemory(t); kB < (to-from)>>11 {
		t.Errorf("%d of %d kB of code are in memory before anything", kB, (to-from)>>10)
	}
	return kB
}

func TestAt_rest_the_program_is_released(t *testing.T) {
	t.Setenv("GOGC", "")
	ctx, cancel := context.WithCancel(t.Context())
	looks, done := make(chan time.Time), make(chan struct{})
	go func() {
		keepHeapFloor(ctx, 64<<20, looks)
		close(done)
	}()
	before := mapCode(t)
	for range 5 { // whatever else the tests before have running may disturb one
		looks <- time.Now()
	}
	if _, _, after := codeInMemory(t); after > before/2 {
		t.Errorf("%d of %d kB of code are in memory", after, before)
	}
	cancel()
	<-done
}

func TestOnlyWhatIsAsInTheFileIsReleased(t *testing.T) {
	smaps := func(mode, file, anonymous, swap string) string {
		return "1000-3000 " + mode + " 00000000 fe:00 7   " + file + "\nRss: 8 kB\nAnonymous: " + anonymous + " kB\nSwap: " + swap + " kB\nVmFlags: rd\n"
	}
	for text, want := range map[string]int{
		smaps("r-xp", "/bin/x", "0", "0"):                               1,
		smaps("r--p", "/bin/x", "0", "0"):                               1,
		smaps("rw-p", "/bin/x", "0", "0"):                               0,
		smaps("r--s", "/bin/x", "0", "0"):                               0,
		smaps("r-xp", "/bin/y", "0", "0"):                               0,
		smaps("r--p", "/bin/x", "4", "0"):                               0,
		smaps("r--p", "/bin/x", "0", "4"):                               0, // swapped out: nothing of it is counted as anonymous
		smaps("r--p", "/bin/x", "0", "4") + smaps("r--p", "", "0", "0"): 0,
		"\n1000-3000\nVmFlags:\n1000-3000 r\nAnonymous:\n":              0,
	} {
		same, err := unchanged(strings.NewReader(text), "/bin/x")
		if err != nil || len(same) != want || want == 1 && same[0] != (mapping{0x1000, 0x3000}) {
			t.Errorf("%v, %v of %s", same, err, text)
		}
	}
}
