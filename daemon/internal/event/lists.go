package event

// Kinds returns every kind.
func Kinds() []Kind { return []Kind{KindAttempt, KindAccess, KindGap} }

// Decisions returns every decision.
func Decisions() []Decision {
	return []Decision{DecisionMatch, DecisionNoMatch, DecisionUnsure, DecisionError}
}

// Reasons returns every reason.
func Reasons() []Reason {
	return []Reason{
		OK, BelowThreshold, UnsureNoCloud, NoFaceLive, NoFaceID, IDFaceTooSmall, IDAmbiguous, IDUnreadable,
		MultiFaceLive, QualitySize, QualitySharpness, QualityExposure, Timeout, CameraFault, EngineFault,
		JournalFault, Lockout, Cancelled, Interrupted, NotAuthorised,
	}
}

// Accesses returns every value of an attempt's access.
func Accesses() []Access { return []Access{Granted, Denied, NotAttempted} }

// AccessFacts returns every fact about the door.
func AccessFacts() []AccessFact {
	return []AccessFact{PulseStarted, PulseEnded, PulseInterrupted, PulseFailed}
}

// Sources returns every way in which an ID photo arrives.
func Sources() []string { return []string{"http", "inbox", "button", "mqtt"} }

// Routes returns every way in which a decision is reached.
func Routes() []string { return []string{"local"} }

// The causes of a gap.
const (
	CauseBytes = "bytes" // the journal had reached its size
	CauseAge   = "age"   // the events were too old
)

// Causes returns every cause of a gap.
func Causes() []string { return []string{CauseBytes, CauseAge} }
