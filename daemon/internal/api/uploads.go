package api

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Bounds of what is kept for a command that has not come yet.
const (
	maxUploads     = 8
	maxUploadBytes = 32 << 20 // of all of them
	uploadLife     = time.Minute
)

// ErrUploadsFull says that as many uploads wait to be used as are kept.
var ErrUploadsFull = errors.New("too many uploads wait to be used")

// Uploads keeps pictures in memory, at most eight of 32 MiB in all for at most a
// minute, each until it is taken once. Its methods may be called from any goroutine.
type Uploads struct {
	// mu guards the following
	mu   sync.Mutex
	byID map[string]upload
	size int // of all pictures, in bytes
}

type upload struct {
	picture []byte
	expiry  *time.Timer
}

// NewUploads returns an empty store.
func NewUploads() *Uploads { return &Uploads{byID: map[string]upload{}} }

// Put keeps a picture, which then belongs to the store, and returns the name
// to take it by and when it will be dropped. The name cannot be guessed.
func (u *Uploads) Put(picture []byte) (string, time.Time, error) {
	if len(picture) == 0 || len(picture) > MaxPicture {
		return "", time.Time{}, fmt.Errorf("upload of %d bytes: must be 1 to %d", len(picture), MaxPicture)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.byID) >= maxUploads || u.size+len(picture) > maxUploadBytes {
		return "", time.Time{}, ErrUploadsFull
	}
	id := rand.Text()
	expires := time.Now().Add(uploadLife)
	u.size += len(picture)
	u.byID[id] = upload{picture: picture, expiry: time.AfterFunc(uploadLife, func() { u.Take(id) })}
	return id, expires, nil
}

// Take removes the picture with the given name and returns it, or false if
// there is none: it never was, was taken, or has expired. Who takes a picture
// uses it up, whatever becomes of the attempt.
func (u *Uploads) Take(id string) ([]byte, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	kept, ok := u.byID[id]
	if !ok {
		return nil, false
	}
	kept.expiry.Stop()
	delete(u.byID, id)
	u.size -= len(kept.picture)
	return kept.picture, true
}
