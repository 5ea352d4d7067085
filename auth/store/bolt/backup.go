package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Backup writes a copy of the whole file, as it is at one moment, to w. It is a
// state file like any other: to restore it, stop the program and put it in
// place. w may be as slow as it likes: the copy is first made beside the file,
// because a long transaction can hold up writers.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	f, err := s.copyTo(ctx, filepath.Dir(s.path), filepath.Base(s.path)+backupSuffix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("back up state file: %w", err)
	}
	if _, err := io.Copy(writer{ctx, w}, f); err != nil {
		return fmt.Errorf("back up state file: %w", err)
	}
	return nil
}

// BackupFile is Backup to a file of mode 0600, which is replaced if it exists
// and is either whole or not there.
func (s *Store) BackupFile(ctx context.Context, path string) error {
	if own, err := os.Stat(s.path); err == nil {
		if to, err := os.Stat(path); err == nil && os.SameFile(own, to) {
			return fmt.Errorf("back up state file: %s is the state file", path)
		}
	}
	dir := filepath.Dir(path)
	f, err := s.copyTo(ctx, dir, filepath.Base(path)+backupSuffix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // not there any more if all went well
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("back up state file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("back up state file: %w", err)
	}
	return syncDir(dir)
}

// copyTo copies the file as it is now into a new one that only we may read.
func (s *Store) copyTo(ctx context.Context, dir, pattern string) (*os.File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, pattern) // 0600
	if err != nil {
		return nil, fmt.Errorf("back up state file: %w", err)
	}
	err = s.view(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(writer{ctx, f})
		return err
	})
	if err != nil {
		err = errors.Join(failed(err), f.Close(), os.Remove(f.Name()))
		return nil, fmt.Errorf("back up state file: %w", err)
	}
	return f, nil
}

// writer stops when its context ends.
type writer struct {
	ctx context.Context
	w   io.Writer
}

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
