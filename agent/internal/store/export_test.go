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

// SchemaForTest returns the schema version of a closed file.
func SchemaForTest(t testing.TB, path string) (version uint64) {
	t.Helper()
	db, err := realDisk().openFile(path, bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error { version = uint64Of(tx.Bucket(bucketStore).Get(keySchema)[:8]); return nil }); err != nil {
		t.Fatal(err)
	}
	return version
}
