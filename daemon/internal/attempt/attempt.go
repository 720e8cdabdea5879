// Package attempt is the straight line from an ID photo to an outcome.
//
//	request ─► Begin ─► reference ─► probes ─► verdict ─► challenge ─► authorised? ─► Append ─► door
//	                                                          └─ unsure ─► cloud
//
// One goroutine, [Line.Run], owns the attempt under way: it starts with an ID
// photo and ends exactly once, with one event. The owner only waits; pictures
// are worked on by a [Matcher], whose late answers are dropped. The door moves
// only after the outcome is on disk.
//
// The package knows no camera, broker, HTTP or file format, so that its tests
// run in virtual time.
package attempt

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/facegate/facegate/capture"
	"github.com/facegate/facegate/daemon/internal/event"
	"github.com/facegate/facegate/match"
	"github.com/facegate/facegate/match/cloud"
)

// Errors that Start, Cancel and Grant return.
var (
	ErrBusy       = errors.New("an attempt is under way")
	ErrStopped    = errors.New("the daemon is stopping")
	ErrNoAttempt  = errors.New("no such attempt is under way")
	ErrNotWaiting = errors.New("the attempt is not waiting for a grant")
)

// A Request asks for one attempt.
type Request struct {
	Picture    []byte // the ID photo as it arrived: JPEG, PNG, BMP or TIFF
	Source     string // http, inbox, button, mqtt
	SubjectRef string // the caller's opaque word for the ID, or ""
	MayOpen    bool   // whether a match from this source may open the door
	Consent    Consent
}

// Consent says what the person has agreed to let leave the device.
type Consent struct {
	Faces bool // the faces cut out of both pictures, for a compare service
	Whole bool // both pictures whole, for a compare service when the engine does not answer
}

// ParseConsent reads a consent as requests and configurations have it: none
// (or nothing), faces, or whole, which includes faces.
func ParseConsent(text string) (Consent, error) {
	switch text {
	case "", "none":
		return Consent{}, nil
	case "faces":
		return Consent{Faces: true}, nil
	case "whole":
		return Consent{Faces: true, Whole: true}, nil
	}
	return Consent{}, errors.New("must be none, faces or whole")
}

// A Ticket is an attempt that has been accepted.
type Ticket struct {
	ID   string             // a ULID
	Done <-chan event.Event // receives the one outcome, then nothing
}

// A Look is what the matcher saw in one frame.
type Look struct {
	Flaw     Flaw               // why the frame gives no probe; empty if it does
	Template match.Template     // of the one face, if there is no flaw or it is turned
	Gates    map[string]float64 // quality figures of the face
	Box      image.Rectangle    // of the one face, with or without a flaw
	Points   []image.Point      // its landmarks, likewise; may be empty
	Live     float64            // of a probe: how likely it shows a person and not a picture of one, 0..1; 0 if nothing judges that
	Picture  []byte             // JPEG: what a compare service may be shown of it; nil if none is configured
}

// A Reference is what the matcher saw in an ID photo.
type Reference struct {
	Template match.Template
	Picture  []byte // JPEG: what a compare service may be shown of it; nil if none is configured
}

// A Flaw is why a frame gives no probe.
type Flaw string

// The flaws of a frame.
const (
	NoFace     Flaw = "no_face"
	ManyFaces  Flaw = "many_faces"
	FaceSmall  Flaw = "face_small"
	FaceBlur   Flaw = "face_blurred"
	FaceDark   Flaw = "face_dark"
	FaceBright Flaw = "face_bright"
	FaceShade  Flaw = "face_shade"  // lit from one side, or hardly any contrast
	FaceTurned Flaw = "face_turned" // or tilted
	BadFrame   Flaw = "bad_frame"   // the frame could not be decoded
)

// A Refusal is a Matcher's answer to an ID photo that gives no reference.
type Refusal struct {
	Reason event.Reason
	Err    error
}

// Error implements error.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %v", r.Reason, r.Err) }

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// A Matcher works on pictures. Its methods wait at most until ctx ends and
// return an error that is not a Refusal when the engine is at fault.
type Matcher interface {
	// Reference finds the portrait in an ID photo; a picture that gives none
	// is a *Refusal.
	Reference(ctx context.Context, picture []byte) (Reference, error)
	// Look examines a camera frame.
	Look(ctx context.Context, f capture.Frame) (Look, error)
	// Probe examines one that is to be compared: where a model tells people from
	// pictures, it is shown to that too.
	Probe(ctx context.Context, f capture.Frame) (Look, error)
	Score(a, b match.Template) match.Score
	Model() match.ModelID
}

// Frames is where live frames come from; *capture.Latest is one.
type Frames interface {
	After(ctx context.Context, t time.Time) (capture.Frame, error)
}

// A Record is the journal as an attempt needs it. When a method returns nil,
// what it recorded survives a power cut.
type Record interface {
	// Begin notes that an attempt is under way.
	Begin(ctx context.Context, attemptID, source string) error
	// Append stores an event and returns it with its seq and stamp.
	Append(ctx context.Context, e event.Event) (event.Event, error)
	// StartPulse notes that the door is about to open for the attempt, for the
	// given time, and refuses to do so twice. It returns the event that says so.
	StartPulse(ctx context.Context, attemptID string, length time.Duration) (event.Event, error)
}

// A Door opens for a bounded time; *hal.Door is one.
type Door interface {
	// Pulse opens the door for the given time and returns how long it was open.
	Pulse(ctx context.Context, length time.Duration) (time.Duration, error)
}

// A Panel is an input that lets a match through; hal.Input is one.
type Panel interface {
	Wait(ctx context.Context) error
}

// A Case is what compare services are asked about: with cloud.Unsure the
// pictures that the matcher cut out, with cloud.EngineDown those that it could
// not look at.
type Case struct {
	AttemptID string
	Why       cloud.Why
	Local     event.Decision // what the device alone decided
	Live, ID  []byte         // JPEG
	Frame     capture.Frame
	Photo     []byte
}

// A Cloud asks compare services. Ask returns when it has an answer or its own
// time is over, at the latest when ctx ends.
type Cloud interface {
	Ask(ctx context.Context, c Case) cloud.Result
}

// Authorise says who must agree before a match opens the door.
type Authorise string

// The ways to authorise.
const (
	Always  Authorise = "always" // the match suffices
	ByHost  Authorise = "host"   // a host's signed grant for this attempt
	ByPanel Authorise = "panel"  // a panel's input
)

// Phase says what the line is doing, for lamps and pages.
type Phase string

// The phases.
const (
	Idle      Phase = "idle"
	Busy      Phase = "busy"
	Granted   Phase = "granted"
	Denied    Phase = "denied"
	Attention Phase = "attention" // unsure, or the person or the ID must try again
	Failed    Phase = "failed"    // the kiosk is at fault
)

// A Hint tells the person what would help. At most four a second are given.
type Hint string

// The hints.
const (
	LookAtCamera  Hint = "look_at_camera"
	MoveCloser    Hint = "move_closer"
	HoldStill     Hint = "hold_still"
	TooDark       Hint = "too_dark"
	TooBright     Hint = "too_bright"
	UnevenLight   Hint = "uneven_light"
	OnePersonOnly Hint = "one_person_only"
	TurnLeft      Hint = "turn_left"  // the head, to the person's own left
	TurnRight     Hint = "turn_right" // likewise
	RetakeID      Hint = "retake_id"
	RetakeSelfie  Hint = "retake_selfie"  // a compare service found no face in the live picture
	AwaitingGrant Hint = "awaiting_grant" // a match that the host or the panel must let through
)

// hintEvery is the least time between two hints of one attempt.
const hintEvery = 250 * time.Millisecond

// vacantPause is how long nobody looks after a frame without a face: whoever
// steps up is seen that much later, and until then the processor rests.
const vacantPause = 200 * time.Millisecond

// recordWait bounds one write of the journal. A disk slower than this is a
// journal fault, and the door stays shut: whoever was let through may be gone.
const recordWait = 3 * time.Second

// errSlow is the fault of a journal that took what it was to record, too late.
var errSlow = fmt.Errorf("the disk took longer than %v", recordWait)

// recording returns a context for one use of the journal that must happen
// whatever has ended ctx: a signal must not keep an attempt from being recorded
// nor make its lockout unknown.
func recording(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordWait)
}

// A Line runs attempts, one at a time. Fields without "optional" are required;
// none may be changed after Run has begun.
type Line struct {
	Frames  Frames
	Camera  func() error // the camera's present fault, nil if it delivers
	Matcher Matcher
	Record  Record
	Door    Door  // optional: nil when no door is wired
	Panel   Panel // needed with ByPanel
	Lockout *Lockout
	Cloud   Cloud // optional: nil when no compare service is configured

	Assumed    Consent // what the operator has everybody's agreement to
	ShowsWhole bool    // the Matcher keeps whole pictures for the Cloud, not faces
	EngineDown bool    // the Cloud may decide alone when the engine does not answer

	PAD *PAD // optional: nil tests nobody

	Policy   match.Policy
	FMR      func(match.Score) float64 // optional: the false-match rate at a score, for the event
	Deadline time.Duration             // for the whole attempt, a host's or panel's wait apart
	Probes   int                       // frames that must agree
	Spacing  time.Duration             // least time between two probes
	Fresh    time.Duration             // older frames do not count
	Stalled  time.Duration             // no frame for this long is a camera fault

	Authorise          Authorise
	Wait               time.Duration // for the host or the panel
	PulseLength        time.Duration
	OpenWithoutJournal bool

	Phase   func(Phase)                    // called on change, must not block
	Hint    func(attemptID string, h Hint) // must not block
	Outcome func(event.Event)              // every event of an attempt, with seq 0 if the journal did not take it; must not block
	Log     *slog.Logger

	requests chan order
	messages chan message
	slot     chan struct{} // holds a token while an attempt is under way
	stopped  chan struct{}
	writing  atomic.Pointer[time.Time] // since when the owner waits for the journal; nil while it does not
}

// An order is a request on its way to the owner.
type order struct {
	Request
	id      string
	started time.Time
	done    chan event.Event
}

// A message asks something of the attempt under way.
type message struct {
	id    string
	kind  messageKind
	reply chan error
}

type messageKind int

const (
	cancelIt messageKind = iota
	grantIt
	pingIt // answered by an idle or busy owner: it is alive
)

// concerns reports whether m is about the attempt with that ID.
func (m message) concerns(id string) bool {
	return m.id == id || m.kind == cancelIt && m.id == ""
}

// New returns a line that is ready to take requests once Run is called. The
// exported fields are set by the caller between the two.
func New() *Line {
	return &Line{
		requests: make(chan order),
		messages: make(chan message),
		slot:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
}

// Start begins an attempt, or returns ErrBusy without creating one when
// another is under way.
func (l *Line) Start(ctx context.Context, r Request) (Ticket, error) {
	select {
	case l.slot <- struct{}{}:
	default:
		return Ticket{}, ErrBusy
	}
	o := order{Request: r, id: ulid.Make().String(), started: time.Now(), done: make(chan event.Event, 1)}
	select {
	case l.requests <- o:
		return Ticket{ID: o.id, Done: o.done}, nil
	case <-l.stopped:
		<-l.slot
		return Ticket{}, ErrStopped
	case <-ctx.Done():
		<-l.slot
		return Ticket{}, context.Cause(ctx)
	}
}

// Cancel ends the attempt with the given ID, or whichever is under way if id
// is empty. It then has reason cancelled.
func (l *Line) Cancel(ctx context.Context, id string) error {
	return l.send(ctx, message{id: id, kind: cancelIt})
}

// Grant lets the match of the attempt with the given ID through. The caller
// has verified the host's signature. A grant counts only while the attempt is
// waiting for it.
func (l *Line) Grant(ctx context.Context, id string) error {
	return l.send(ctx, message{id: id, kind: grantIt})
}

// Ping returns nil once the owner has answered, and while it waits for a disk
// that is not too slow yet.
func (l *Line) Ping(ctx context.Context) error {
	if since := l.writing.Load(); since != nil && time.Since(*since) <= recordWait {
		return nil
	}
	return l.send(ctx, message{kind: pingIt})
}

// atDisk runs f, which uses the journal, and reports whether that was in time.
func (l *Line) atDisk(f func()) bool {
	began := time.Now()
	l.writing.Store(&began)
	defer l.writing.Store(nil)
	f()
	return time.Since(began) <= recordWait
}

func (l *Line) send(ctx context.Context, m message) error {
	m.reply = make(chan error, 1)
	select {
	case l.messages <- m:
		return <-m.reply
	case <-l.stopped:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Run owns the line until ctx ends. An attempt under way then ends with
// reason interrupted, is journalled, and its door is locked by the caller.
func (l *Line) Run(ctx context.Context) error {
	defer close(l.stopped)
	l.Phase(Idle)
	for {
		select {
		case o := <-l.requests:
			l.run(ctx, o) // gives the slot back
		case m := <-l.messages:
			m.reply <- l.idleAnswer(m)
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *Line) idleAnswer(m message) error {
	if m.kind == pingIt {
		return nil
	}
	return ErrNoAttempt
}
