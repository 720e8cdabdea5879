package match_test

import (
	"math"
	"testing"

	"github.com/facegate/facegate/match"
)

func TestJudge(t *testing.T) {
	nan := match.Score(math.NaN())
	p := match.Policy{Accept: 0.45, Reject: 0.60}
	tests := []struct {
		name    string
		scores  []match.Score
		verdict match.Verdict
		decided match.Score
	}{
		{"none", nil, match.Unsure, nan},
		{"at accept", []match.Score{0.45}, match.Match, 0.45},
		{"just above accept", []match.Score{0.4500001}, match.Unsure, 0.4500001},
		{"just below reject", []match.Score{0.5999}, match.Unsure, 0.5999},
		{"at reject", []match.Score{0.60}, match.NoMatch, 0.60},
		{"all match", []match.Score{0.2, 0.4, 0.3}, match.Match, 0.4},
		{"one stranger among matches", []match.Score{0.2, 0.9, 0.3}, match.Unsure, 0.3},
		{"one lucky frame among strangers", []match.Score{0.8, 0.1, 0.9}, match.Unsure, 0.8},
		{"all strangers", []match.Score{0.8, 0.7, 0.9}, match.NoMatch, 0.7},
		{"not a number", []match.Score{0.1, nan, 0.1}, match.Unsure, nan},
		{"infinite", []match.Score{match.Score(math.Inf(1))}, match.NoMatch, match.Score(math.Inf(1))},
	}
	for _, tt := range tests {
		verdict, decided := p.Judge(tt.scores)
		same := decided == tt.decided || math.IsNaN(float64(decided)) && math.IsNaN(float64(tt.decided))
		if verdict != tt.verdict || !same {
			t.Errorf("%s: got %v by %v, want %v by %v", tt.name, verdict, decided, tt.verdict, tt.decided)
		}
	}
}

// More probes may only take matches away, whatever they score.
func TestMoreProbesNeverMakeAMatch(t *testing.T) {
	p := match.Policy{Accept: 0.45, Reject: 0.60}
	for _, first := range []match.Score{0.1, 0.45, 0.5, 0.6, 0.9} {
		alone, _ := p.Judge([]match.Score{first})
		for _, second := range []match.Score{0, 0.44, 0.46, 0.61} {
			if both, _ := p.Judge([]match.Score{first, second}); both == match.Match && alone != match.Match {
				t.Errorf("%v alone is %v, with %v it is a match", first, alone, second)
			}
		}
	}
}

func TestZeroValuesGrantNothing(t *testing.T) {
	var v match.Verdict
	if v != match.Unsure {
		t.Errorf("zero verdict is %v", v)
	}
	if got, _ := (match.Policy{}).Judge([]match.Score{0.01}); got == match.Match {
		t.Error("the zero policy matches a distance of 0.01")
	}
}
