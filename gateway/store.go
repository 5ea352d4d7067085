package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mcp-oauth2-proxy/auth/keys"
	"mcp-oauth2-proxy/auth/store"
	"mcp-oauth2-proxy/auth/store/bolt"
	"mcp-oauth2-proxy/auth/store/memory"
	"mcp-oauth2-proxy/auth/store/postgres"
)

const (
	// memorySize bounds the memory store, in bytes.
	memorySize = 256 << 20

	// openPause lies between two tries to open the store.
	openPause = time.Second
)

// openStore opens the store of a configuration: as it lies on its medium, and
// unsealed.
//
// What the second does is counted as done on the medium.
func openStore(ctx context.Context, c StoreConfig, log *slog.Logger, m *storeMetrics) (engine, unsealed store.Store, err error) {
	if engine, err = openPatiently(ctx, c, log); err != nil {
		return nil, nil, fmt.Errorf("store.url: %w", err)
	}
	if c.KeyFile == "" {
		return engine, measured{engine, m}, nil
	}
	key, err := readKey(c.KeyFile)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("store.keyFile: %w", err), engine.Close())
	}
	unsealed, err = store.Sealed(measured{engine, m}, key, store.KindSecret, keys.Kind, keys.KindArchive, kindAuditHead, kindCertificate)
	return engine, unsealed, err
}

// openPatiently waits for a database that is not there yet: machines start in
// any order.
func openPatiently(ctx context.Context, c StoreConfig, log *slog.Logger) (store.Store, error) {
	end := time.Now().Add(c.ConnectTimeout)
	for {
		s, err := openEngine(ctx, c.URL, log)
		if !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			return s, err
		}
		left := time.Until(end).Round(time.Second)
		if left <= 0 {
			return nil, fmt.Errorf("no answer within store.connectTimeout, %s: %w", c.ConnectTimeout, err)
		}
		log.WarnContext(ctx, "the store does not answer yet", "trying_for", left.String(), "cause", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(openPause, time.Until(end))):
		}
	}
}

// openEngine opens what a URL names. It was checked before, by checkStoreURL.
func openEngine(ctx context.Context, url string, log *slog.Logger) (store.Store, error) {
	if path, isBolt := strings.CutPrefix(url, "bolt://"); isBolt {
		return asStore(bolt.Open(filepath.FromSlash(path), bolt.WithLog(log)))
	}
	if isPostgres(url) {
		return asStore(postgres.Open(ctx, url, postgres.WithLog(log)))
	}
	return memory.New(memorySize), nil
}

// asStore keeps a nil pointer from becoming a Store that is not nil.
func asStore[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// checkStoreURL says what is wrong with a URL, which is not shown: it may hold
// a password.
func checkStoreURL(url string) error {
	switch {
	case url == "memory:":
		return nil
	case strings.HasPrefix(url, "bolt:///") && len(url) > len("bolt:///"):
		return nil
	case isPostgres(url):
		return postgres.CheckURL(url)
	}
	return errors.New("is not memory:, bolt:// and an absolute path, such as bolt:///var/lib/mcp-oauth2-proxy/state.db, or postgres://user@host/database")
}

// readKey reads 32 bytes, raw or as hexadecimal.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, err
	}
	if len(b) == 32 {
		return b, nil
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s holds neither 32 bytes nor 64 hexadecimal digits", path)
	}
	return key, nil
}
