package store

import (
	"os"
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

// QuickDir returns a directory in memory where the system has one, for tests that sync thousands of times and do not depend
// on what syncing does.
func QuickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "store")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
