package gateway

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseProgram unmaps the pages of this program's own file, code and constants.
// A start runs through almost all of them and a call needs few; whatever is used
// again is mapped again, from what the system keeps of the file, and it may let go
// of the rest. A page that is another one than in the file would be lost, so a
// mapping that has any stays as it is.
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
	var from, to uint64 // of a mapping of the file that cannot be written to; to is 0 in others
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch first, last, isMapping := strings.Cut(fields[0], "-"); {
		case isMapping:
			to = 0
			if mode := fields[1]; mode[1] == '-' && mode[3] == 'p' && strings.HasSuffix(lines.Text(), " "+file) {
				from, _ = strconv.ParseUint(first, 16, 64)
				to, _ = strconv.ParseUint(last, 16, 64)
			}
		case to > 0 && fields[0] == "Anonymous:" && fields[1] == "0":
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED); errno != 0 {
				return fmt.Errorf("unmap %d bytes of %s: %w", to-from, file, errno)
			}
		}
	}
	return lines.Err()
}
