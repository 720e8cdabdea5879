package cloudtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/facegate/facegate/match/cloud"
)

// A Row is one call in a Ledger.
type Row struct {
	At      time.Time // of the reservation
	Call    cloud.Call
	Settled bool
	End     cloud.End
}

// A Ledger keeps calls and budgets in memory. The zero value is empty and
// fails never. Its methods may be called concurrently.
type Ledger struct {
	// Called before a reservation or a settlement, if not nil. They may wait,
	// and fail it.
	Reserving, Settling func(ctx context.Context) error

	mu sync.Mutex
	// mu guards the following
	rows []Row
}

var _ cloud.Ledger = (*Ledger)(nil)

// Reserve implements cloud.Ledger.
func (l *Ledger) Reserve(ctx context.Context, c cloud.Call, b cloud.Budget) (int64, error) {
	if l.Reserving != nil {
		if err := l.Reserving(ctx); err != nil {
			return 0, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UTC()
	var day, month int
	for _, r := range l.rows {
		if r.Call.Provider != c.Provider || r.At.Year() != now.Year() || r.At.Month() != now.Month() {
			continue
		}
		month++
		if r.At.Day() == now.Day() {
			day++
		}
	}
	if b.Daily > 0 && day >= b.Daily || b.Monthly > 0 && month >= b.Monthly {
		return 0, cloud.ErrBudget
	}
	l.rows = append(l.rows, Row{At: now, Call: c})
	return int64(len(l.rows)), nil
}

// Settle implements cloud.Ledger. A call is settled once.
func (l *Ledger) Settle(ctx context.Context, id int64, e cloud.End) error {
	if l.Settling != nil {
		if err := l.Settling(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if id < 1 || id > int64(len(l.rows)) || l.rows[id-1].Settled {
		return fmt.Errorf("call %d is not open", id)
	}
	l.rows[id-1].Settled, l.rows[id-1].End = true, e
	return nil
}

// Rows returns all calls, in the order of their reservation.
func (l *Ledger) Rows() []Row {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.rows)
}
