package store

import (
	"testing"

	"go.etcd.io/bbolt"
)

// SetSchemaForTest rewrites the schema version of a closed file.
func SetSchemaForTest(t testing.TB, path string, version uint64) {
	t.Helper()
	db, err := realDisk().openFile(path, bbolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketStore).Put(keySchema, schemaValue(version)) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
