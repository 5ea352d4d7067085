package tls

import (
	"context"
	"crypto/sha256"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long the files must be quiet before they are read: whoever
	// replaces a pair writes two files.
	settle = 300 * time.Millisecond
	// recheck finds what no event tells of: network file systems, and swapped
	// links above the watched directories.
	recheck = time.Minute
)

// Watch implements Source: it reloads the files whenever they change, until ctx ends. What happens
// is logged; a bad replacement leaves the certificates in use alone.
func (f *Files) Watch(ctx context.Context) {
	events, stop := f.events()
	defer stop()
	ticker := time.NewTicker(recheck)
	defer ticker.Stop()
	quiet := time.NewTimer(0) // at once: they may have changed since they were loaded
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
			}
			quiet.Reset(settle)
			continue
		case <-quiet.C:
		case <-ticker.C:
		}
		if f.changed() {
			f.refresh(ctx)
		}
	}
}

func (f *Files) refresh(ctx context.Context) {
	if err := f.Reload(); err != nil {
		f.log.ErrorContext(ctx, "reload certificates: keeping the old ones", "cause", err)
		return
	}
	f.log.InfoContext(ctx, "certificates reloaded")
}

// events watches the directories, not the files: editors, certbot and
// Kubernetes replace files and links, and a watched file would be the old one.
func (f *Files) events() (<-chan fsnotify.Event, func()) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		f.log.Warn("watch certificate files: looking once a minute instead", "cause", err)
		return nil, func() {}
	}
	for _, pair := range f.pairs {
		for _, file := range []string{pair.Cert, pair.Key} {
			if err := watcher.Add(filepath.Dir(file)); err != nil {
				f.log.Warn("watch certificate files: looking once a minute instead", "cause", err)
			}
		}
	}
	return watcher.Events, func() { _ = watcher.Close() }
}

// changed compares with what the last reload read, good or bad, so that one
// bad replacement is one line in the log.
func (f *Files) changed() bool {
	now := sum(f.read())
	f.mu.Lock()
	defer f.mu.Unlock()
	return now != f.seen
}

type digest [sha256.Size]byte

// sum tells contents apart; files that cannot be read are a content too.
func sum(raw []content, err error) digest {
	all := sha256.New()
	if err != nil {
		all.Write([]byte(err.Error()))
	}
	for _, c := range raw {
		for _, part := range [][]byte{c.cert, c.key} {
			one := sha256.Sum256(part)
			all.Write(one[:])
		}
	}
	return digest(all.Sum(nil))
}
