package event

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// MaxSubjectRef is the longest subject_ref, in bytes.
const MaxSubjectRef = 128

// Check returns what the published schema forbids in e, or nil. It looks at
// the fields that the maker of an event fills, not at those of the journal.
func (e Event) Check() error {
	parts := 0
	for _, has := range []bool{e.Attempt != nil, e.AccessEvent != nil, e.Gap != nil} {
		if has {
			parts++
		}
	}
	if parts != 1 {
		return fmt.Errorf("event has %d parts, want 1", parts)
	}

	switch {
	case e.Kind == KindAttempt && e.Attempt != nil:
		return errAttempt(e.AttemptID, e.Attempt)
	case e.Kind == KindAccess && e.AccessEvent != nil:
		return errAccess(e.AttemptID, e.AccessEvent)
	case e.Kind == KindGap && e.Gap != nil:
		return errGap(e.AttemptID, e.Gap)
	}
	return fmt.Errorf("event of kind %q has the part of another kind", e.Kind)
}

// errAttempt returns what is wrong with an attempt event.
func errAttempt(id string, a *Attempt) error {
	switch {
	case !ValidAttemptID(id):
		return fmt.Errorf("attempt_id %q is no ULID", id)
	case !slices.Contains(Decisions(), a.Decision):
		return fmt.Errorf("decision %q is not in the list", a.Decision)
	case !slices.Contains(Reasons(), a.Reason):
		return fmt.Errorf("reason %q is not in the list", a.Reason)
	case !ValidSource(a.Source):
		return fmt.Errorf("source %q is not in the list", a.Source)
	case !slices.Contains(Routes(), a.Route):
		return fmt.Errorf("route %q is not in the list", a.Route)
	case !slices.Contains(Accesses(), a.Access):
		return fmt.Errorf("access %q is not in the list", a.Access)
	case a.Access == Granted && (a.Decision != DecisionMatch || a.Reason != OK):
		return fmt.Errorf("access granted with decision %s and reason %s", a.Decision, a.Reason)
	case len(a.SubjectRef) > MaxSubjectRef:
		return fmt.Errorf("subject_ref has %d bytes, at most %d are allowed", len(a.SubjectRef), MaxSubjectRef)
	case (a.Route == "cloud") && (a.Cloud == nil || a.Cloud.Provider == ""):
		return fmt.Errorf("route is cloud, but no service decided")
	case a.Cloud != nil && a.Cloud.Failure != "" && !slices.Contains(CloudFailures(), a.Cloud.Failure):
		return fmt.Errorf("cloud failure %q is not in the list", a.Cloud.Failure)
	case a.FMR != nil && (a.Score == nil || !(*a.FMR > 0 && *a.FMR <= 1)):
		return fmt.Errorf("attempt has a false-match rate of %v", *a.FMR)
	case a.PAD != nil && a.PAD.err() != nil:
		return a.PAD.err()
	case a.PAD != nil && a.PAD.Verdict != PADPassed && a.Decision == DecisionMatch, a.Reason == PADFailed && a.PAD == nil:
		return fmt.Errorf("decision %s and reason %s do not go with the pad", a.Decision, a.Reason)
	case a.FramesSeen < 0 || a.FramesUsed < 0 || a.RetryInMS < 0:
		return fmt.Errorf("attempt has a negative count")
	}

	distances := append([]float64{a.Accept, a.Reject}, a.Scores...)
	if a.Score != nil {
		distances = append(distances, *a.Score)
	}
	for _, d := range distances {
		if !(d >= 0) || math.IsInf(d, 1) { // NaN is not >= 0
			return fmt.Errorf("attempt has a distance of %v", d)
		}
	}
	return nil
}

// err returns what is wrong with what was tested. A model that was asked before a
// turn has let the person through.
func (p PAD) err() error {
	share := func(v *float64) bool { return v != nil && *v >= 0 && *v <= 1 }
	asked := p.Score != nil || p.Accept != nil
	switch {
	case p.Kind != Turn && p.Kind != Model,
		p.Kind == Turn && !slices.Contains([]string{"left", "right"}, p.Side), p.Kind == Model && p.Side != "":
		return fmt.Errorf("pad of kind %q to side %q is not in the list", p.Kind, p.Side)
	case (asked || p.Kind == Model) && !(share(p.Score) && share(p.Accept)):
		return fmt.Errorf("pad of kind %q has no score or threshold between 0 and 1", p.Kind)
	case !slices.Contains(PADVerdicts(), p.Verdict), p.Verdict == NotLive && p.Kind != Model,
		p.Kind == Model && p.Verdict != PADPassed && p.Verdict != NotLive:
		return fmt.Errorf("pad verdict %q is not in the list of kind %q", p.Verdict, p.Kind)
	}
	return nil
}

// errAccess returns what is wrong with an access event.
func errAccess(id string, a *AccessEvent) error {
	switch {
	case !ValidAttemptID(id):
		return fmt.Errorf("attempt_id %q is no ULID", id)
	case !slices.Contains(AccessFacts(), a.Fact):
		return fmt.Errorf("fact %q is not in the list", a.Fact)
	case a.CommandedMS < 0 || a.MeasuredMS < 0:
		return fmt.Errorf("pulse has a negative length")
	}
	return nil
}

// errGap returns what is wrong with a gap event.
func errGap(id string, g *Gap) error {
	switch {
	case id != "":
		return fmt.Errorf("gap has an attempt_id")
	case g.From < 1 || g.To < g.From || g.Undelivered < 1:
		return fmt.Errorf("gap from %d to %d of %d is no range", g.From, g.To, g.Undelivered)
	case !slices.Contains(Causes(), g.Cause):
		return fmt.Errorf("cause %q is not in the list", g.Cause)
	}
	return nil
}

// ValidSource reports whether s is in [Sources].
func ValidSource(s string) bool { return slices.Contains(Sources(), s) }

// ValidAttemptID reports whether s is written as a ULID is: 26 characters of
// Crockford's base 32 in capitals, 128 bits.
func ValidAttemptID(s string) bool {
	const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	if len(s) != 26 || s[0] > '7' {
		return false
	}
	return strings.Trim(s, crockford) == ""
}
