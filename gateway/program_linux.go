package gateway

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseProgram unmaps the pages of this program's own file, code and constants.
// A start runs through almost all of them and a call needs few; whatever is used
// again is mapped again, from what the system keeps of the file, and it may let go
// of the rest.
func releaseProgram() error {
	file, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer func() { _ = maps.Close() }()
	same, err := unchanged(maps, file)
	for _, m := range same {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("unmap %d bytes of %s: %w", m.to-m.from, file, errno)
		}
	}
	return err
}

// A mapping is where a part of a file lies in memory.
type mapping struct{ from, to uintptr }

// unchanged are the mappings of a file that have nothing but what is in it: they
// cannot be written to, and never were. A page that is another one, as a linker
// makes some at the start, would be lost; it may be in memory or have been swapped
// out, which is counted apart.
func unchanged(smaps io.Reader, file string) (same []mapping, err error) {
	var m mapping // to is 0 where it is not one of those
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		switch first, last, isMapping := strings.Cut(fields[0], "-"); {
		case isMapping:
			m = mapping{}
			if mode := fields[1]; strings.HasPrefix(mode, "r-") && strings.HasSuffix(mode, "p") && strings.HasSuffix(lines.Text(), " "+file) {
				m = mapping{address(first), address(last)}
			}
		case m.to == 0:
		case (fields[0] == "Anonymous:" || fields[0] == "Swap:") && fields[1] != "0":
			m = mapping{}
		case fields[0] == "Swap:": // which is told last
			same = append(same, m)
		}
	}
	return same, lines.Err()
}

// address is one as the system writes it, or 0.
func address(hex string) uintptr {
	n, _ := strconv.ParseUint(hex, 16, strconv.IntSize)
	return uintptr(n)
}
