package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine is the longest line that is read back, in bytes.
const maxLine = 1 << 20

// A tail is the end of a file that is appended to.
type tail struct {
	line []byte // the last whole line; nil: there is none
	torn []byte // what stood behind it: whoever wrote that was stopped
}

// openFile opens a file to append to, only for its owner, and reads its end. Half
// a line is taken off: it goes into the line that begins the next chain, so that
// a file has whole lines only.
func openFile(path string) (*os.File, tail, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, tail{}, fmt.Errorf("audit.path: %w", err)
	}
	t, err := readTail(f)
	if err != nil {
		return nil, tail{}, errors.Join(fmt.Errorf("audit.path: %w", err), f.Close())
	}
	return f, t, nil
}

func readTail(f *os.File) (tail, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 { // a pipe has no past
		return tail{}, err
	}
	from := max(0, info.Size()-2*maxLine)
	b, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return tail{}, err
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	t := tail{torn: b[end:]}
	if len(t.torn) > maxLine {
		return t, fmt.Errorf("%s ends in a line of over %d bytes, which is none of an audit log", f.Name(), maxLine)
	}
	if len(t.torn) > 0 {
		if err := f.Truncate(from + int64(end)); err != nil {
			return t, fmt.Errorf("%s ends in half a line, which cannot be taken off; move the file away: %w", f.Name(), err)
		}
	}
	if end > 0 {
		t.line = b[bytes.LastIndexByte(b[:end-1], '\n')+1 : end-1]
	}
	return t, nil
}
