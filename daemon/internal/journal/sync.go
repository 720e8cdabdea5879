//go:build !brokensync

package journal

import "database/sql"

// synchronous makes SQLite fsync the write-ahead log at every commit. The
// build tag brokensync breaks this and commit on purpose, so that the kill
// tests can be shown to notice.
const synchronous = "FULL"

// commit returns once the transaction is on the disk.
func commit(t *sql.Tx) error { return t.Commit() }
