package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// backuper is an engine that can copy itself while it is at work.
type backuper interface {
	Backup(ctx context.Context, w io.Writer) error
}

// backup sends a copy of the state file as it is now. Whoever asks writes it to
// a file, so that it is theirs, and where they see it.
func (g *Gateway) backup(w http.ResponseWriter, r *http.Request) {
	engine, ok := g.engine.(backuper)
	if !ok {
		writeJSON(w, http.StatusConflict, map[string]string{"error": "this store is not a file; PostgreSQL is backed up with pg_dump"})
		return
	}
	out := &begun{ResponseWriter: w}
	if err := engine.Backup(r.Context(), out); err != nil {
		g.log.ErrorContext(r.Context(), "backup", "cause", err)
		if !out.yes {
			writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
			return
		}
		panic(http.ErrAbortHandler) // the reader must see that it is cut short
	}
}

// begun knows whether anything was written.
type begun struct {
	http.ResponseWriter
	yes bool
}

// Write implements io.Writer.
func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

// Backup writes a copy of the running gateway's state file to path, with mode
// 0600. A file that is there is replaced once the copy is whole, or not at all.
func (m *Manager) Backup(ctx context.Context, path string) (size int64, err error) {
	res, err := m.ask(ctx, http.MethodGet, "/backup", nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".partial-*") // 0600
	if err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	defer os.Remove(f.Name()) // not there any more if all went well
	size, err = io.Copy(f, res.Body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return 0, fmt.Errorf("backup: %w", err)
	}
	return size, nil
}
