package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"
)

const (
	// compactAbove is the size under which a file is left alone.
	compactAbove = 64 << 20

	// compactStep is how many bytes are copied in one transaction.
	compactStep = 1 << 20
)

// compact puts a file without free pages in the place of one that is larger
// than above and more than half free, and tells whether it did. db stays open
// and keeps its lock, on a file without a name then. If it fails, db and its
// file are as they were.
func compact(db *bbolt.DB, path string, above int64) (bool, error) {
	// Windows does not replace a file that is open, and closing it first would
	// let another process write to it in between.
	if runtime.GOOS == "windows" || !worthCompacting(db, above) {
		return false, nil
	}
	// Else a link would be replaced, and what it led to left behind.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	copied := path + compactSuffix
	defer os.Remove(copied) // not there any more if all went well
	if err := copyInto(copied, db); err != nil {
		return false, fmt.Errorf("compact state file %s: %w", path, err)
	}
	if err := os.Rename(copied, path); err != nil {
		return false, fmt.Errorf("compact state file %s: %w", path, err)
	}
	return true, syncDir(filepath.Dir(path))
}

func worthCompacting(db *bbolt.DB, above int64) bool {
	var size int64
	if err := db.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		return false
	}
	stats := db.Stats()
	free := int64(stats.FreePageN+stats.PendingPageN) * int64(db.Info().PageSize)
	return size > above && free > size/2
}

func copyInto(path string, src *bbolt.DB) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// NoSync: nobody needs half a copy. It is synced once, when it is whole.
	dst, err := bbolt.Open(path, fileMode, &bbolt.Options{NoSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	if err := bbolt.Compact(dst, src, compactStep); err != nil {
		return closing(dst, err)
	}
	if err := dst.Sync(); err != nil {
		return closing(dst, err)
	}
	return dst.Close()
}
