// Package inbox takes ID photos from a folder that scanner software writes to.
//
//	renamed into place, or closed after writing ─► read ─► removed ─► Line
//
// The folder belongs to the inbox: whatever appears in it is removed, used or
// not, and nothing waits there for a later person. What lies there before
// [Inbox.Run] watches belongs to nobody who stands at the kiosk now; it is
// removed unread. docs/api.md tells operators so.
//
// File names may hold a person's name: none reaches a log.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/facegate/facegate/daemon/internal/attempt"
)

// MaxPicture is the largest file taken, in bytes.
const MaxPicture = 15 << 20

const (
	tick       = 150 * time.Millisecond // how long a stop or a lost folder may go unnoticed
	sweepEvery = time.Minute
	abandoned  = 10 * time.Minute // a file that is not complete after this never will be
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// A Cause says why a file was removed without an attempt.
type Cause string

// The causes, a closed list.
const (
	Busy       Cause = "busy"
	LeftOver   Cause = "left_over" // it was there before the folder was watched
	Abandoned  Cause = "abandoned" // half-written or empty for ten minutes
	Empty      Cause = "empty"
	TooLarge   Cause = "too_large"
	NotAFile   Cause = "not_a_file"
	Unreadable Cause = "unreadable"
	NotRemoved Cause = "not_removed"
	Stopping   Cause = "stopping"
)

// A Starter starts attempts; *attempt.Line is one.
type Starter interface {
	Start(ctx context.Context, r attempt.Request) (attempt.Ticket, error)
}

// Parts is what an Inbox works with. All are required.
type Parts struct {
	Dir     string // its files are removed
	MayOpen bool   // whether a match may open the door
	Line    Starter
	Refused func(Cause) // a file did not become an attempt; must not block
	Log     *slog.Logger
}

// An Inbox watches a folder.
type Inbox struct {
	Parts
	folder *folder // nil while there is none; belongs to Run

	// mu guards the following
	mu    sync.Mutex
	fault error
}

// Open looks at the folder and begins to watch it. An error names the key and
// the remedy. Run must be called afterwards.
func Open(p Parts) (*Inbox, error) {
	f, err := openFolder(p.Dir)
	if err != nil {
		return nil, fmt.Errorf("sources.inbox.dir: %w", err)
	}
	return &Inbox{Parts: p, folder: f}, nil
}

// Check says what [Open] would find wrong with a folder. It watches nothing.
func Check(dir string) error {
	f, err := openFolder(dir)
	if err != nil {
		return fmt.Errorf("sources.inbox.dir: %w", err)
	}
	f.close()
	return nil
}

// Fault returns why the folder cannot be watched at present, or nil. It may be
// called from any goroutine.
func (b *Inbox) Fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fault
}

// Run removes what lies in the folder, and then makes each file that arrives
// an attempt, until ctx ends. While the folder is gone it waits for it to come
// back. It may be called once, and returns nil.
func (b *Inbox) Run(ctx context.Context) error {
	for {
		err := b.follow(ctx)
		b.folder.close()
		if err == nil {
			return nil
		}
		b.setFault(err)
		b.Log.Error("inbox lost", "dir", b.Dir, "err", err)
		if !b.reopen(ctx) {
			return nil
		}
	}
}

func (b *Inbox) setFault(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = err
}

// reopen tries until the folder is there again, or ctx ends.
func (b *Inbox) reopen(ctx context.Context) bool {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
		f, err := openFolder(b.Dir)
		if err == nil {
			b.folder = f
			return true
		}
		b.setFault(err)
	}
}

// follow takes what arrives until ctx ends, or returns why the folder cannot
// be watched any more.
func (b *Inbox) follow(ctx context.Context) error {
	if err := b.sweep(time.Now(), true); err != nil {
		return err
	}
	b.setFault(nil)
	b.Log.Info("inbox ready", "dir", b.Dir)
	swept := time.Now()
	for ctx.Err() == nil {
		if err := b.folder.same(); err != nil {
			return err
		}
		arrivals, err := b.folder.wait(tick)
		missed := errors.Is(err, errMissed)
		if err != nil && !missed {
			return err
		}
		for _, a := range arrivals {
			b.take(ctx, a)
		}
		if !missed && time.Since(swept) < sweepEvery {
			continue
		}
		swept = time.Now()
		if err := b.sweep(swept, missed); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what was never completed and, if told that what is complete
// has no notice of its own, that too.
func (b *Inbox) sweep(now time.Time, unnoticed bool) error {
	entries, err := b.folder.list()
	if err != nil {
		return err
	}
	removed := map[Cause]int{}
	for _, e := range entries {
		cause := LeftOver
		if !unnoticed || partial(e.name) {
			if now.Sub(e.changed) < abandoned {
				continue
			}
			cause = Abandoned
		}
		if b.folder.remove(e.name) != nil {
			cause = NotRemoved
		}
		removed[cause]++
		b.Refused(cause)
	}
	for cause, n := range removed {
		b.Log.Warn("inbox swept", "cause", string(cause), "files", n)
	}
	return nil
}

// take makes an arrival an attempt.
func (b *Inbox) take(ctx context.Context, a arrival) {
	if partial(a.name) {
		return
	}
	picture, err := b.folder.read(a)
	if errors.Is(err, errNothing) {
		return
	}
	if bad, ok := errors.AsType[*refusal](err); ok {
		b.refuse(bad.cause, bad.err)
		return
	}
	_, err = b.Line.Start(ctx, attempt.Request{Picture: picture, Source: "inbox", MayOpen: b.MayOpen})
	switch {
	case errors.Is(err, attempt.ErrBusy):
		b.refuse(Busy, err)
	case err != nil:
		b.refuse(Stopping, err)
	}
}

// refuse tells of a file that was not used.
func (b *Inbox) refuse(cause Cause, why error) {
	b.Refused(cause)
	b.Log.Warn("inbox file not used", "cause", string(cause), "err", why)
}

// partial says whether a name marks a file as not complete yet.
func partial(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".tmp")
}
