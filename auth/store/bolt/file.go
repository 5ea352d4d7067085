package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	dirMode  fs.FileMode = 0o700
	fileMode fs.FileMode = 0o600

	// lockWait lets a process that is just ending let go of the file.
	lockWait = time.Second

	// Suffixes of what lies beside the file while it is compacted or backed up.
	compactSuffix = ".compact"
	backupSuffix  = ".backup-"
)

// openFile opens and locks the file at path.
func openFile(path string) (*bbolt.DB, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("make the directory of state file %s: %w", path, err)
	}
	_, err := os.Stat(path)
	isNew := errors.Is(err, fs.ErrNotExist)
	if !isNew {
		if err := makePrivate(path); err != nil {
			return nil, err
		}
		if err := checkWhole(path); err != nil {
			return nil, err
		}
	}
	// The list of free pages is found anew by whoever opens the file. Written with
	// each commit it is megabytes after a large sweep, and needs as much room in
	// one piece, which made the file grow.
	db, _, err := lock(path, bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, err
	}
	if isNew {
		if err := syncDir(dir); err != nil {
			return nil, closing(db, err)
		}
	}
	return db, nil
}

// lock opens the file as the only process. While it waits for the lock, the
// process that had it may put a compacted file in place of this one; then it is
// that one to open.
func lock(path string, o bbolt.Options) (*bbolt.DB, *os.File, error) {
	var f *os.File
	o.Timeout = lockWait
	o.OpenFile = func(name string, flag int, mode fs.FileMode) (_ *os.File, err error) {
		f, err = os.OpenFile(name, flag, mode)
		return f, err
	}
	for range 3 {
		db, err := openBolt(path, &o)
		if err != nil {
			return nil, nil, err
		}
		if sameFile(f, path) {
			return db, f, nil
		}
		if err := db.Close(); err != nil {
			return nil, nil, fmt.Errorf("close state file %s: %w", path, err)
		}
	}
	return nil, nil, fmt.Errorf("open state file %s: it is replaced again and again", path)
}

// checkWhole refuses a file that ends before its last page does, as half a
// backup would: bbolt maps the file, and a read beyond its end is a fault that
// ends the process without a word.
func checkWhole(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("open state file %s: %w", path, err)
	}
	if info.Size() == 0 {
		return nil // it is treated as a new one
	}
	db, f, err := lock(path, bbolt.Options{ReadOnly: true}) // reads the first pages only
	if err != nil {
		return err
	}
	defer db.Close()
	var size int64
	if err := db.View(func(tx *bbolt.Tx) error { size = tx.Size(); return nil }); err != nil {
		return fmt.Errorf("read state file %s: %w", path, err)
	}
	if info, err = f.Stat(); err == nil && info.Size() < size {
		err = errors.New("it is cut short, restore a backup")
	}
	if err != nil {
		return fmt.Errorf("open state file %s: %w", path, err)
	}
	return nil
}

// openBolt opens the file with its lock, and says in our words what is wrong. A
// panic is how bbolt reports some damage.
func openBolt(path string, o *bbolt.Options) (db *bbolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("open state file %s: it is damaged, restore a backup: %v", path, p)
		}
	}()
	db, err = bbolt.Open(path, fileMode, o)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("state file %s is in use by another process: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("open state file %s: %w", path, err)
	}
	return db, nil
}

func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// makePrivate takes the file away from group and others. (On Windows the modes
// say nothing, and the directory's access list is what counts.)
func makePrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("open state file %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open state file %s: it is not a regular file", path)
	}
	if runtime.GOOS == "windows" || info.Mode().Perm()&^fileMode == 0 {
		return nil
	}
	if err := os.Chmod(path, fileMode); err != nil {
		return fmt.Errorf("make state file %s private: %w", path, err)
	}
	return nil
}

// removeLeftovers removes what a process that was killed left beside the file.
// It may be called by whoever holds the lock.
func removeLeftovers(path string) {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return // they take space and do no other harm
	}
	for _, e := range entries {
		if n := e.Name(); n == base+compactSuffix || strings.HasPrefix(n, base+backupSuffix) {
			_ = os.Remove(filepath.Join(dir, n))
		}
	}
}

// syncDir makes the names in a directory durable. Windows cannot, and need not.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

func closing(db *bbolt.DB, err error) error {
	return errors.Join(err, db.Close())
}
