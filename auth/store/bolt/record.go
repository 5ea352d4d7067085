package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"mcp-oauth2-proxy/auth/store"
)

// A record is stored as its expiry (8 bytes), a checksum over kind, key, expiry
// and value (4 bytes), and the value. The checksum is against a failing disk:
// bbolt has none over its data.
const headerSize = 8 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errShort    = errors.New("it is cut short")
	errChecksum = errors.New("its checksum is wrong")
)

func encode(kind store.Kind, key string, value []byte, expires int64) []byte {
	raw := make([]byte, headerSize, headerSize+len(value))
	binary.BigEndian.PutUint64(raw, uint64(expires))
	raw = append(raw, value...)
	binary.BigEndian.PutUint32(raw[8:], checksum(kind, key, raw))
	return raw
}

// decode returns the value as a part of raw, and when it expires.
func decode(kind store.Kind, key string, raw []byte) (value []byte, expires int64, err error) {
	if len(raw) < headerSize {
		return nil, 0, corrupt(kind, key, errShort)
	}
	if binary.BigEndian.Uint32(raw[8:]) != checksum(kind, key, raw) {
		return nil, 0, corrupt(kind, key, errChecksum)
	}
	return raw[headerSize:], int64(binary.BigEndian.Uint64(raw)), nil
}

// live is decode for what the verbs may see: nil if the record is absent or has
// expired, and not nil, though it may be empty, if there is one.
func live(kind store.Kind, key string, raw []byte, now time.Time) ([]byte, error) {
	if raw == nil {
		return nil, nil
	}
	value, expires, err := decode(kind, key, raw)
	if err != nil || store.Expired(expires, now) {
		return nil, err
	}
	return value, nil
}

func checksum(kind store.Kind, key string, raw []byte) uint32 {
	sum := crc32.Update(0, castagnoli, []byte{byte(len(kind))})
	sum = crc32.Update(sum, castagnoli, []byte(kind))
	sum = crc32.Update(sum, castagnoli, []byte(key))
	sum = crc32.Update(sum, castagnoli, raw[:8])
	return crc32.Update(sum, castagnoli, raw[headerSize:])
}

// expiryKey sorts by time, and names the record that expires then.
func expiryKey(expires int64, kind store.Kind, key string) []byte {
	out := binary.BigEndian.AppendUint64(make([]byte, 0, 8+1+len(kind)+len(key)), uint64(expires))
	out = append(out, byte(len(kind)))
	out = append(out, kind...)
	return append(out, key...)
}

// splitExpiryKey is the other way round; ok is false for what is no such key.
func splitExpiryKey(raw []byte) (expires int64, kind store.Kind, key string, ok bool) {
	if len(raw) < 9 || len(raw) < 9+int(raw[8]) {
		return 0, "", "", false
	}
	n := 9 + int(raw[8])
	return int64(binary.BigEndian.Uint64(raw)), store.Kind(raw[9:n]), string(raw[n:]), true
}

func corrupt(kind store.Kind, key string, cause error) error {
	return fmt.Errorf("%w: %s %q: %w", store.ErrCorrupt, kind, key, cause)
}
