package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/facegate/facegate/daemon/internal/event"
)

// maxBody bounds one event, in bytes of JSON. A real one has about 700.
const maxBody = 16 << 10

// Begin notes that an attempt is under way. It returns [ErrDuplicate] if the
// attempt has begun or ended before.
func (j *Journal) Begin(ctx context.Context, attemptID, source string) error {
	if !event.ValidAttemptID(attemptID) || !event.ValidSource(source) {
		return fmt.Errorf("journal: begin attempt %q from %q: not an attempt", attemptID, source)
	}
	return j.write(ctx, "begin attempt "+attemptID, func(t *tx) error {
		n, err := t.count(`INSERT INTO under_way SELECT ?1, ?2, ?3
			WHERE NOT EXISTS (SELECT 1 FROM events WHERE attempt_id = ?1 AND kind = 'attempt')
			ON CONFLICT DO NOTHING`, attemptID, source, j.opens)
		if err == nil && n == 0 {
			return ErrDuplicate
		}
		return err
	})
}

// Append stores e and returns it as stored: numbered, named, and stamped if
// it was not. The parts that e points to are shared with the result.
//
// A second outcome of one attempt is refused with [ErrDuplicate]. Of the
// access facts, pulse_started belongs to [Journal.StartPulse]; each other one
// closes the pulse of its attempt: once, else [ErrDuplicate], and only if one
// was granted, else [ErrNotGranted]. Gaps are made by the journal alone.
func (j *Journal) Append(ctx context.Context, e event.Event) (event.Event, error) {
	if err := e.Check(); err != nil {
		return event.Event{}, fmt.Errorf("journal: append: %w", err)
	}
	if e.Kind == event.KindGap || e.Kind == event.KindAccess && e.Fact == event.PulseStarted {
		return event.Event{}, fmt.Errorf("journal: append: %s events of this sort are made by the journal", e.Kind)
	}

	var stored event.Event
	err := j.write(ctx, "append "+string(e.Kind)+" event", func(t *tx) (err error) {
		if _, err := t.makeRoom(); err != nil {
			return err
		}
		if e.Kind == event.KindAccess {
			stored, err = t.closePulse(e)
		} else {
			stored, err = t.endAttempt(e)
		}
		return err
	})
	if err != nil {
		return event.Event{}, err
	}
	return stored, nil
}

// StartPulse uses up the right of a granted attempt to one pulse, of the given
// length, and appends and returns the event that says so. The relay may move
// only after it returned no error. That is [ErrDuplicate] for a pulse that was
// started or closed before, and [ErrNotGranted] if there is none.
func (j *Journal) StartPulse(ctx context.Context, attemptID string, length time.Duration) (event.Event, error) {
	e := access(attemptID, event.PulseStarted, "")
	e.CommandedMS = length.Milliseconds()
	if err := e.Check(); err != nil {
		return event.Event{}, fmt.Errorf("journal: start pulse: %w", err)
	}
	var stored event.Event
	err := j.write(ctx, "start pulse of attempt "+attemptID, func(t *tx) (err error) {
		if err := t.movePulse(attemptID, "started", "granted"); err != nil {
			return err
		}
		stored, err = t.insert(e)
		return err
	})
	if err != nil {
		return event.Event{}, err
	}
	return stored, nil
}

// Recover closes what earlier runs left open and returns the events that it
// appended: attempts under way as interrupted, granted pulses without an end
// as pulse_interrupted. What this run has begun is left alone.
func (j *Journal) Recover(ctx context.Context) ([]event.Event, error) {
	var done []event.Event
	err := j.write(ctx, "recover", func(t *tx) error {
		open, err := t.leftOpen()
		if err != nil {
			return err
		}
		for _, e := range open {
			closeIt := t.endAttempt
			if e.Kind == event.KindAccess {
				closeIt = t.closePulse
			}
			stored, err := closeIt(e)
			if err != nil {
				return err
			}
			done = append(done, stored)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(done) > 0 {
		j.opts.Log.Warn("journal recovered", "events", len(done))
	}
	return done, nil
}

// leftOpen returns the events that close what earlier runs left open.
func (t *tx) leftOpen() ([]event.Event, error) {
	rows, err := t.raw.Query(`
		SELECT attempt_id, source, '' FROM under_way WHERE opens < ?1
		UNION ALL SELECT attempt_id, '', state FROM pulses WHERE opens < ?1 AND state <> 'closed'
		ORDER BY attempt_id`, t.j.opens) // a ULID begins with its time
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var open []event.Event
	for rows.Next() {
		var id, source, pulse string
		if err := rows.Scan(&id, &source, &pulse); err != nil {
			return nil, err
		}
		switch pulse {
		case "":
			open = append(open, interrupted(id, source))
		case "started":
			open = append(open, access(id, event.PulseInterrupted, "the program ended during the pulse"))
		default:
			open = append(open, access(id, event.PulseInterrupted, "the program ended before the pulse"))
		}
	}
	return open, rows.Err()
}

func interrupted(attemptID, source string) event.Event {
	return event.Event{Kind: event.KindAttempt, AttemptID: attemptID, Attempt: &event.Attempt{
		Decision: event.DecisionError, Reason: event.Interrupted, Source: source, Route: "local", Access: event.NotAttempted,
	}}
}

func access(attemptID string, fact event.AccessFact, detail string) event.Event {
	return event.Event{Kind: event.KindAccess, AttemptID: attemptID, AccessEvent: &event.AccessEvent{Fact: fact, Detail: detail}}
}

// endAttempt stores the outcome of an attempt, which is no longer under way,
// and the right to a pulse if one was granted.
func (t *tx) endAttempt(e event.Event) (event.Event, error) {
	stored, err := t.insert(e)
	if isDuplicate(err) {
		return stored, fmt.Errorf("attempt %s: %w", e.AttemptID, ErrDuplicate)
	}
	if err != nil {
		return stored, err
	}
	if err := t.exec("DELETE FROM under_way WHERE attempt_id = ?", e.AttemptID); err != nil {
		return stored, err
	}
	if err := t.exec("UPDATE calls SET decision = ? WHERE attempt_id = ?", string(e.Decision), e.AttemptID); err != nil {
		return stored, err
	}
	if e.Access != event.Granted {
		return stored, nil
	}
	return stored, t.exec("INSERT INTO pulses VALUES (?, ?, 'granted', ?)", e.AttemptID, int64(stored.Seq), t.j.opens)
}

// closePulse stores how a pulse ended.
func (t *tx) closePulse(e event.Event) (event.Event, error) {
	if err := t.movePulse(e.AttemptID, "closed", "granted", "started"); err != nil {
		return event.Event{}, err
	}
	return t.insert(e)
}

// movePulse brings a pulse from one of the states from to the state to.
func (t *tx) movePulse(attemptID, to string, from ...string) error {
	var state string
	err := t.row("SELECT state FROM pulses WHERE attempt_id = ?", attemptID).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("attempt %s: %w", attemptID, ErrNotGranted)
	}
	if err != nil {
		return err
	}
	for _, f := range from {
		if state == f {
			return t.exec("UPDATE pulses SET state = ? WHERE attempt_id = ?", to, attemptID)
		}
	}
	return fmt.Errorf("pulse of attempt %s is %s: %w", attemptID, state, ErrDuplicate)
}

// insert completes e and stores it.
func (t *tx) insert(e event.Event) (event.Event, error) {
	var last int64
	if err := t.row("UPDATE state SET last_seq = last_seq + 1 RETURNING last_seq").Scan(&last); err != nil {
		return event.Event{}, err
	}
	o := t.j.opts
	e.V, e.Seq, e.JournalID, e.Site, e.Device, e.Historical = event.Version, uint64(last), t.j.id, o.Site, o.Device, false
	if e.Stamp == (event.Stamp{}) {
		e.Stamp = o.Stamp()
	}
	e.Time.Time = e.Time.UTC().Truncate(time.Millisecond) // as it will be read back

	body, err := json.Marshal(e)
	if err != nil {
		return event.Event{}, err
	}
	if len(body) > maxBody {
		return event.Event{}, fmt.Errorf("event has %d bytes, at most %d are allowed", len(body), maxBody)
	}
	err = t.exec("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		last, string(e.Kind), e.AttemptID, e.BootID, e.Time.UnixMilli(), e.MonoMS, e.ClockSynced, body)
	t.appended = true
	return e, err
}
