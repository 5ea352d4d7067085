package bolt

import (
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// schema is the version of the layout that this program writes: in the bucket
// records one bucket per kind, with what record.go encodes by key; in expiries,
// by time, kind and key, a place holder for each record that expires.
const schema = 1

var (
	metaBucket   = []byte("meta")
	recordBucket = []byte("records")
	expiryBucket = []byte("expiries")
	schemaKey    = []byte("schema")
)

// prepare lays out a new file, and refuses one that this program cannot read.
func prepare(db *bbolt.DB, path string) error {
	version, empty := 0, true
	err := db.View(func(tx *bbolt.Tx) error {
		first, _ := tx.Cursor().First()
		empty = first == nil
		if meta := tx.Bucket(metaBucket); meta != nil {
			version, _ = strconv.Atoi(string(meta.Get(schemaKey)))
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("read state file %s: %w", path, err)
	case empty:
		return layOut(db, path)
	case version < 1:
		return fmt.Errorf("state file %s was not written by this program", path)
	case version > schema:
		return fmt.Errorf("state file %s was written by a newer version of this program (its schema is %d, %d is the newest known here): run that version, or restore a backup", path, version, schema)
	}
	return nil
}

func layOut(db *bbolt.DB, path string) error {
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{recordBucket, expiryBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return meta.Put(schemaKey, []byte(strconv.Itoa(schema)))
	})
	if err != nil {
		return fmt.Errorf("lay out state file %s: %w", path, err)
	}
	return nil
}
