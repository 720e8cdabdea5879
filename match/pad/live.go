package pad

// Live judges what a model said of each frame: how likely it shows a person and
// not a picture of one, 0 to 1. The mean must reach accept. It returns that mean,
// and [Passed] or [NotLive]; no frames, and numbers that are none, are NotLive.
func Live(frames []float64, accept float64) (mean float64, verdict Verdict) {
	for _, v := range frames {
		mean += v / float64(len(frames))
	}
	if len(frames) > 0 && mean >= accept {
		return mean, Passed
	}
	return mean, NotLive
}
