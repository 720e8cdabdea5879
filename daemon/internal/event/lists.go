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
		IDBlurred, IDGlare, MultiFaceLive, QualitySize, QualitySharpness, QualityExposure, QualityPose, Timeout, CameraFault, EngineFault,
		JournalFault, Lockout, Cancelled, Interrupted, NotAuthorised, PADFailed, PADMissing, CloudUnsure, CloudNoFace,
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
func Routes() []string { return []string{"local", "cloud"} }

// PADVerdicts returns every verdict of presentation-attack detection.
func PADVerdicts() []string {
	return []string{PADPassed, "not_turned", "not_still", "flat", "wrong_side", "other_face", NotLive}
}

// Failures of a Cloud that neither a service nor its client makes.
const (
	ConsentFailure = "consent" // the attempt came without
	PictureFailure = "picture" // one could not be encoded
)

// CloudFailures returns every reason why an attempt has no answer from a
// compare service.
func CloudFailures() []string {
	return []string{
		"throttled", "unauthorised", "quota", "network", "server", "rejected", // by the service
		"deadline", "cancelled", "breaker", "budget", "ledger", ConsentFailure, PictureFailure, // by the device
	}
}

// The causes of a gap.
const (
	CauseBytes = "bytes" // the journal had reached its size
	CauseAge   = "age"   // the events were too old
)

// Causes returns every cause of a gap.
func Causes() []string { return []string{CauseBytes, CauseAge} }
