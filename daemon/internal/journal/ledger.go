package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/facegate/facegate/match/cloud"
)

// ledgerTables is what version 2 of the file added.
const ledgerTables = `
CREATE TABLE calls ( -- of compare services
	id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: a call may end after its row is gone
	attempt_id TEXT    NOT NULL,
	day        INTEGER NOT NULL, -- since 1970, in UTC; -1: not known yet
	provider   TEXT    NOT NULL,
	why        TEXT    NOT NULL,
	local      TEXT    NOT NULL, -- decision of the device alone
	cost       REAL    NOT NULL,
	sent       INTEGER,          -- these are null until the call has ended
	status     INTEGER,
	failure    TEXT,
	missing    TEXT,
	verdict    TEXT,             -- of this provider
	took_ms    INTEGER,
	decision   TEXT              -- of the attempt, null until it has ended
) STRICT;
CREATE INDEX calls_of_attempt ON calls (attempt_id);
CREATE TABLE spent ( -- calls by day, for the budgets; outlives the rows above
	provider   TEXT    NOT NULL,
	day        INTEGER NOT NULL, -- as above
	calls      INTEGER NOT NULL,
	PRIMARY KEY (provider, day)
) STRICT, WITHOUT ROWID;`

const (
	dayMS      = 24 * 60 * 60 * 1000
	unknownDay = -1  // of calls made while the clock was not synchronised
	spentDays  = 62  // kept of the counts; a month has at most 31
	callDays   = 400 // kept of the calls: a year's bills and some

	// The calls may take about an eighth of the file.
	callShare, callSize = 8, 256
)

var _ cloud.Ledger = (*Journal)(nil)

// Reserve implements [cloud.Ledger]. Days are those of the journal's clock. As
// long as that is not synchronised, the wall clock is not looked at: calls have
// no day, and what is left of the newest day that was known is all there is.
// The first day that is known again takes them over, since all of them may have
// been made on it.
func (j *Journal) Reserve(ctx context.Context, c cloud.Call, b cloud.Budget) (id int64, err error) {
	op := "reserve a call of " + c.Provider
	var left bool
	err = j.write(ctx, op, func(t *tx) error {
		day, err := t.ledgerDay()
		if err != nil {
			return err
		}
		if left, err = t.spend(c.Provider, day, b); err != nil || !left {
			return err
		}
		if err := t.exec("DELETE FROM calls WHERE id <= (SELECT max(id) FROM calls) - ?", j.opts.MaxBytes/callShare/callSize); err != nil {
			return err
		}
		return t.row("INSERT INTO calls (attempt_id, day, provider, why, local, cost) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
			c.AttemptID, day, c.Provider, string(c.Why), c.Local, c.Cost).Scan(&id)
	})
	if err == nil && !left {
		// Not from within, which would undo what ledgerDay did: calls without
		// a day would use up the budget of each coming day.
		return 0, fmt.Errorf("journal: %s: %w", op, cloud.ErrBudget)
	}
	return id, err
}

// ledgerDay returns the day to count a call on. If that is known, calls that
// have none yet get it.
func (t *tx) ledgerDay() (int64, error) {
	now := t.j.opts.Stamp()
	if !now.ClockSynced {
		return unknownDay, nil
	}
	day := now.Time.UnixMilli() / dayMS
	n, err := t.count(`INSERT INTO spent SELECT provider, ?, calls FROM spent WHERE day = ?
		ON CONFLICT DO UPDATE SET calls = calls + excluded.calls`, day, unknownDay)
	if err != nil || n == 0 {
		return day, err
	}
	if err := t.exec("DELETE FROM spent WHERE day = ?", unknownDay); err != nil {
		return 0, err
	}
	return day, t.exec("UPDATE calls SET day = ? WHERE day = ?", day, unknownDay)
}

// spend counts a call on a day, unless the budget is used up.
func (t *tx) spend(provider string, day int64, b cloud.Budget) (left bool, err error) {
	known := day
	if day == unknownDay {
		err := t.row("SELECT coalesce(max(day), ?2) FROM spent WHERE provider = ?1", provider, unknownDay).Scan(&known)
		if err != nil {
			return false, err
		}
	}
	var today, month int
	err = t.row(`SELECT coalesce(sum(calls) FILTER (WHERE day IN (?2, ?3)), 0), coalesce(sum(calls), 0)
		FROM spent WHERE provider = ?1 AND (day BETWEEN ?4 AND ?5 OR day = ?3)`,
		provider, known, unknownDay, firstOfMonth(known), lastOfMonth(known)).Scan(&today, &month)
	if err != nil {
		return false, err
	}
	if b.Daily > 0 && today >= b.Daily || b.Monthly > 0 && month >= b.Monthly {
		return false, nil
	}
	// Removes nothing when the day is unknown, which is less than any other.
	if err := t.exec("DELETE FROM spent WHERE provider = ? AND day < ?", provider, day-spentDays); err != nil {
		return false, err
	}
	return true, t.exec("INSERT INTO spent VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1", provider, day)
}

func dateOf(day int64) time.Time { return time.UnixMilli(day * dayMS).UTC() }

func firstOfMonth(day int64) int64 { return day - int64(dateOf(day).Day()) + 1 }

func lastOfMonth(day int64) int64 {
	d := dateOf(day)
	return time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC).UnixMilli() / dayMS
}

// forgetCalls removes the calls that are too old. It does nothing as long as
// the clock can't be trusted.
func (t *tx) forgetCalls() error {
	day, err := t.ledgerDay()
	if err != nil || day == unknownDay {
		return err
	}
	return t.exec("DELETE FROM calls WHERE day < ?", day-callDays)
}

// Settle implements [cloud.Ledger].
func (j *Journal) Settle(ctx context.Context, id int64, e cloud.End) error {
	return j.write(ctx, fmt.Sprintf("settle call %d", id), func(t *tx) error {
		return t.exec("UPDATE calls SET sent = ?, status = ?, failure = ?, missing = ?, verdict = ?, took_ms = ? WHERE id = ?",
			e.Sent, e.Status, string(e.Failure), e.Missing.String(), e.Verdict.String(), e.Took.Milliseconds(), id)
	})
}

// A LedgerLine sums one day's calls of one provider.
type LedgerLine struct {
	Day      string  `json:"day"` // in UTC, 2006-01-02; unknown: made while the clock was not synchronised
	Provider string  `json:"provider"`
	Calls    int     `json:"calls"`
	Failed   int     `json:"failed"`  // without an answer, or without a known end
	CutOff   int     `json:"cut_off"` // given up because no longer needed; not among Failed
	Sent     int64   `json:"sent"`    // bytes
	MeanMS   float64 `json:"mean_ms"`
	Cost     float64 `json:"cost"`
}

// A Ledger is what the calls of a journal come to.
type Ledger struct {
	Lines     []LedgerLine `json:"lines"`
	Decisions int          `json:"decisions"` // attempts for which a provider was asked
	Changed   int          `json:"changed"`   // of these, decided otherwise than the device alone would have
}

// ReadLedger sums the calls in the journal at path, whether or not a daemon
// has it open.
func ReadLedger(ctx context.Context, path string) (l Ledger, err error) {
	if err := checkHeader(path); err != nil {
		return Ledger{}, err
	}
	db, err := connect(path, 1, url.Values{"_query_only": {"on"}, "mode": {"rw"}}) // reading a write-ahead log needs its index
	if err != nil {
		return Ledger{}, explain(path, "open", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return Ledger{}, explain(path, "open", err)
	}
	if version < ledgerVersion {
		return Ledger{}, nil // nothing has been asked yet
	}
	if l.Lines, err = ledgerLines(ctx, db); err != nil {
		return Ledger{}, explain(path, "read the ledger", err)
	}
	err = db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(decision IN ('match', 'no_match') AND decision <> local), 0)
		FROM (SELECT max(decision) AS decision, max(local) AS local FROM calls WHERE decision IS NOT NULL GROUP BY attempt_id)`).
		Scan(&l.Decisions, &l.Changed)
	return l, explain(path, "read the ledger", err)
}

func ledgerLines(ctx context.Context, db *sql.DB) ([]LedgerLine, error) {
	rows, err := db.QueryContext(ctx, `SELECT day, provider, count(*), sum(failure IS NULL OR failure NOT IN ('', ?1)), coalesce(sum(failure = ?1), 0),
		coalesce(sum(sent), 0), coalesce(avg(took_ms), 0), sum(cost) FROM calls GROUP BY day, provider ORDER BY day = ?2, day, provider`,
		string(cloud.Cancelled), unknownDay)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	lines := []LedgerLine{}
	for rows.Next() {
		var day int64
		var l LedgerLine
		if err := rows.Scan(&day, &l.Provider, &l.Calls, &l.Failed, &l.CutOff, &l.Sent, &l.MeanMS, &l.Cost); err != nil {
			return nil, err
		}
		l.Day = "unknown"
		if day != unknownDay {
			l.Day = dateOf(day).Format(time.DateOnly)
		}
		lines = append(lines, l)
	}
	return lines, rows.Err()
}
