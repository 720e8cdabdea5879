package journal

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

var (
	// ErrDuplicate is returned for what may happen only once for an attempt.
	ErrDuplicate = errors.New("already in the journal")
	// ErrNotGranted is returned for a pulse that no attempt was granted.
	ErrNotGranted = errors.New("no granted attempt of this id in the journal")
	// ErrDamaged is returned for a file that can't be read as a journal.
	ErrDamaged = errors.New("damaged")
	// ErrNewer is returned for a file that a newer version has written.
	ErrNewer = errors.New("written by a newer version")
	// ErrInUse is returned for a file that another process has open.
	ErrInUse = errors.New("in use by another process")
)

// explain adds the file, what was being done and the remedy to an error.
func explain(path, op string, err error) error {
	if err == nil || errors.Is(err, ErrDamaged) { // which says it all
		return err
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return fmt.Errorf("journal %s: %s: %w", path, op, err)
	}
	switch e.Code() & 0xff { // the low byte is the primary code
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return damaged(path, fmt.Sprintf("%s: %v", op, err))
	case codes.SQLITE_FULL:
		return fmt.Errorf("journal %s: %s: disk full (free space on it, or lower journal.max_bytes): %w", path, op, err)
	case codes.SQLITE_READONLY, codes.SQLITE_CANTOPEN, codes.SQLITE_PERM:
		return fmt.Errorf("journal %s: %s: not writable (check the owner of its folder and whether the disk is mounted read-only): %w", path, op, err)
	case codes.SQLITE_IOERR:
		return fmt.Errorf("journal %s: %s: disk failing (see the kernel's log): %w", path, op, err)
	}
	return fmt.Errorf("journal %s: %s: %w", path, op, err)
}

// damaged returns the error for a file that can't be used.
func damaged(path, why string) error {
	return fmt.Errorf("journal %s: %w: %s (move it and its -wal file away to begin a new journal; an old copy would give numbers out again that consumers know)", path, ErrDamaged, why)
}

// isDuplicate reports whether err is a broken uniqueness.
func isDuplicate(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == codes.SQLITE_CONSTRAINT
}

// ofDisk reports whether err says that the disk did not take a write.
func ofDisk(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff != codes.SQLITE_CONSTRAINT
}
