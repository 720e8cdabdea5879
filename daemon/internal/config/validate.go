package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// A checker collects what is wrong with the values of a Config.
type checker struct {
	cfg      Config
	problems Problems
}

// validate reports everything about cfg that can be told without looking at
// the machine.
func validate(cfg Config) Problems {
	c := &checker{cfg: cfg}
	c.device()
	c.cameras()
	c.match()
	c.cloud()
	c.pad()
	c.attempt()
	c.lockout()
	c.board()
	c.lines()
	c.door()
	c.sources()
	c.http()
	c.mqtt()
	c.journal()
	return c.problems
}

func (c *checker) fail(key, format string, args ...any) {
	c.problems = append(c.problems, c.cfg.source.problem(key, format, args...))
}

// within demands least <= v <= most.
func within[T int | float64 | time.Duration | Bytes](c *checker, key string, v, least, most T) {
	if !(v >= least && v <= most) {
		c.fail(key, "must be %v to %v, not %v", least, most, v)
	}
}

// oneOf demands that v is one of the words.
func (c *checker) oneOf(key, v string, words ...string) {
	if !slices.Contains(words, v) {
		c.fail(key, "must be %s, not %q", strings.Join(words, " or "), short(v))
	}
}

// path demands an absolute path; an empty one is fine if optional says so.
func (c *checker) path(key, v string, optional bool) {
	switch {
	case v == "" && optional:
	case v == "":
		c.fail(key, "must not be empty")
	case !filepath.IsAbs(v):
		c.fail(key, "must be an absolute path, not %q", short(v))
	}
}

// level demands a text that can be one level of an MQTT topic.
func (c *checker) level(key, v string, optional bool) {
	const most = 64
	switch {
	case v == "" && optional:
	case v == "":
		c.fail(key, "must not be empty")
	case len(v) > most:
		c.fail(key, "must be at most %d bytes, not %d", most, len(v))
	case strings.ContainsAny(v, "+#/") || strings.HasPrefix(v, "$") || strings.ContainsFunc(v, unicode.IsControl):
		c.fail(key, "is one level of a topic: must not have + # / or control characters, nor begin with $")
	}
}

func (c *checker) device() {
	c.level("device.base", c.cfg.Device.Base, false)
	c.level("device.site", c.cfg.Device.Site, false)
	c.level("device.name", c.cfg.Device.Name, true)
	c.path("clock.marker", c.cfg.Clock.Marker, false)
	c.path("data", c.cfg.Data, false)
	c.path("models.dir", c.cfg.Models.Dir, false)
	if c.cfg.Models.Set == "" || strings.ContainsRune(c.cfg.Models.Set, '/') {
		c.fail("models.set", "must be the name of a set (see facegate models list)")
	}
}

// A camera is what Camera and Document have in common.
type camera struct {
	section, driver, device, format string
	replay                          []string
	width, height, fps              int
}

func (c *checker) cameras() {
	live, id := c.cfg.Camera, c.cfg.Document
	c.camera(camera{"camera", live.Driver, live.Device, live.Format, live.Replay, live.Width, live.Height, live.FPS})
	within(c, "camera.fresh", live.Fresh, 50*time.Millisecond, 5*time.Second)
	within(c, "camera.stalled", live.Stalled, time.Second, time.Minute)
	if live.Stalled < live.Fresh {
		c.fail("camera.stalled", "must not be below camera.fresh (%v)", live.Fresh)
	}
	c.camera(camera{"document_camera", id.Driver, id.Device, id.Format, id.Replay, id.Width, id.Height, id.FPS})
	if id.Enabled && id.Driver == "v4l2" && live.Driver == "v4l2" && id.Device == live.Device {
		c.fail("document_camera.device", "is the live camera (camera.device) too: two cameras are needed")
	}
}

func (c *checker) camera(v camera) {
	c.oneOf(v.section+".driver", v.driver, "v4l2", "replay")
	c.oneOf(v.section+".format", v.format, "auto", "jpeg", "yuyv", "nv12", "grey")
	within(c, v.section+".width", v.width, 160, 4096)
	within(c, v.section+".height", v.height, 120, 4096)
	within(c, v.section+".fps", v.fps, 1, 120)
	for i, path := range v.replay {
		c.path(fmt.Sprintf("%s.replay[%d]", v.section, i), path, false)
	}
	switch {
	case v.driver == "replay" && len(v.replay) == 0:
		c.fail(v.section+".driver", "replay needs pictures, folders or MJPEG files in %s.replay", v.section)
	case v.driver == "v4l2" && !filepath.IsAbs(v.device) && !usbID().MatchString(v.device):
		c.fail(v.section+".device", "must be an absolute path or usb:VID:PID[:SERIAL] with hexadecimal numbers as lsusb shows them, not %q", short(v.device))
	}
}

// usbID matches usb:046d:0825 and usb:046d:0825:SERIAL.
func usbID() *regexp.Regexp {
	return regexp.MustCompile(`^usb:[0-9a-fA-F]{4}:[0-9a-fA-F]{4}(:.+)?$`)
}

func (c *checker) match() {
	m, q := c.cfg.Match, c.cfg.Quality
	c.oneOf("match.engine", m.Engine, "dlib", "onnx")
	c.thresholds()
	within(c, "match.threads", m.Threads, 1, 64)
	within(c, "match.hang", m.Hang, time.Second, time.Minute)
	within(c, "quality.min_face", q.MinFace, 20, 2000)
	within(c, "quality.min_sharpness", q.MinSharpness, 0, 100000)
	within(c, "quality.min_luma", q.MinLuma, 0, 255)
	within(c, "quality.max_luma", q.MaxLuma, 0, 255)
	if q.MinLuma >= q.MaxLuma {
		c.fail("quality.max_luma", "must be above quality.min_luma (%v), not %v", q.MinLuma, q.MaxLuma)
	}
	within(c, "quality.max_clipped", q.MaxClipped, 0, 1)
	within(c, "quality.min_id_face", q.MinIDFace, 20, 2000)
	c.optionalGates()
}

// optionalGates are those that 0 switches off.
func (c *checker) optionalGates() {
	q := c.cfg.Quality
	within(c, "quality.min_contrast", q.MinContrast, 0, 100)
	within(c, "quality.max_sides", q.MaxSides, 0, 1)
	within(c, "quality.min_eyes", q.MinEyes, 0, 1000)
	within(c, "quality.max_yaw", q.MaxYaw, 0, 90)
	within(c, "quality.max_pitch", q.MaxPitch, 0, 90)
	within(c, "quality.max_roll", q.MaxRoll, 0, 90)
	within(c, "quality.min_id_sharpness", q.MinIDSharpness, 0, 100000)
	within(c, "quality.max_id_glare", q.MaxIDGlare, 0, 1)
	if q.MaxPitch > 0 && c.cfg.Match.Engine == "dlib" {
		c.fail("quality.max_pitch", "cannot be told from dlib's landmarks: leave it at 0, or use another models.set")
	}
}

func (c *checker) pad() {
	p := c.cfg.PAD
	c.oneOf("pad.model", p.Model, "off", "on")
	within(c, "pad.min_score", p.MinScore, 0.01, 1)
	c.oneOf("pad.challenge", p.Challenge, "off", "turn")
	within(c, "pad.within", p.Within, 2*time.Second, 30*time.Second)
	if p.Challenge != "turn" {
		return
	}
	if c.cfg.Match.Engine == "dlib" {
		c.fail("pad.challenge", "turn cannot be judged by dlib's landmarks, which tell no head from a picture: use another models.set (see docs/pad.md)")
	}
	if c.cfg.Attempt.Deadline <= p.Within {
		c.fail("pad.within", "must be below attempt.deadline (%v), not %v", c.cfg.Attempt.Deadline, p.Within)
	}
}

// thresholds are rates that a calibration turns into distances, or distances.
func (c *checker) thresholds() {
	m := c.cfg.Match
	c.path("match.calibration", m.Calibration, true)
	switch {
	case m.Rates.Given():
		c.rates()
	case m.Accept == 0 && m.Reject == 0:
		c.fail("match", "has no thresholds: give accept_fmr and reject_fnmr, or accept and reject")
	case m.Accept == 0:
		c.fail("match.accept", "must be given beside match.reject")
	case m.Reject == 0:
		c.fail("match.reject", "must be given beside match.accept")
	default:
		c.distances()
	}
}

// rates demands that no distance stands beside them: it would be a second
// answer to the same question.
func (c *checker) rates() {
	const leastFMR, mostFMR, leastFNMR, mostFNMR = 1e-7, 0.01, 1e-4, 0.2
	m := c.cfg.Match
	for key, distance := range map[string]float64{"match.accept": m.Accept, "match.reject": m.Reject} {
		if distance != 0 {
			c.fail(key, "is a distance, but thresholds are rates here (match.accept_fmr, match.reject_fnmr): remove one or the other")
		}
	}
	if m.Accept == 0 && m.Reject == 0 {
		within(c, "match.accept_fmr", m.AcceptFMR, leastFMR, mostFMR)
		within(c, "match.reject_fnmr", m.RejectFNMR, leastFNMR, mostFNMR)
	}
}

// distances of one model set mean nothing for another: what is far apart for one
// may be near for the next, and would open the door.
func (c *checker) distances() {
	m, set := c.cfg.Match, c.cfg.Models.Set
	if !(m.Accept > 0 && m.Accept < 2) {
		c.fail("match.accept", "must be a distance above 0 and below 2, not %v", m.Accept)
	}
	if !(m.Reject > m.Accept && m.Reject <= 2) {
		c.fail("match.reject", "must be above match.accept (%v) and at most 2, not %v", m.Accept, m.Reject)
	}
	switch m.DistancesOf {
	case set:
	case "":
		c.fail("match.distances_of", "must name the model set that match.accept and match.reject are distances of (models.set is %s)", quoted(set))
	default:
		c.fail("match.distances_of", "match.accept and match.reject are distances of model set %s, but models.set is %s: "+
			"remove all three to ask for error rates, or give those of %[2]s", quoted(m.DistancesOf), quoted(set))
	}
}

func (c *checker) attempt() {
	a := c.cfg.Attempt
	within(c, "attempt.deadline", a.Deadline, time.Second, 2*time.Minute)
	within(c, "attempt.frames", a.Frames, 1, 9)
	within(c, "attempt.spacing", a.Spacing, 0, 5*time.Second)
	if least := time.Duration(a.Frames) * a.Spacing; least >= a.Deadline {
		c.fail("attempt.deadline", "must be above attempt.frames times attempt.spacing (%v), not %v", least, a.Deadline)
	}
}

func (c *checker) lockout() {
	l := c.cfg.Lockout
	within(c, "lockout.after", l.After, 0, 100)
	if l.After == 0 {
		return
	}
	within(c, "lockout.delay", l.Delay, time.Second, 24*time.Hour)
	if l.Max < l.Delay {
		c.fail("lockout.max", "must not be below lockout.delay (%v), not %v", l.Delay, l.Max)
	}
	// NIST SP 800-63B allows no more than 100 failures in a row.
	if l.Disable <= l.After || l.Disable > 100 {
		c.fail("lockout.disable", "must be above lockout.after (%d) and at most 100, not %d", l.After, l.Disable)
	}
	within(c, "lockout.block", l.Block, time.Minute, 30*24*time.Hour)
	within(c, "lockout.forget", l.Forget, time.Minute, 30*24*time.Hour)
}

func (c *checker) journal() {
	j := c.cfg.Journal
	within(c, "journal.max_bytes", j.MaxBytes, 4<<20, 1<<40) // what package journal needs
	within(c, "journal.max_age", j.MaxAge, time.Hour, 10*365*24*time.Hour)
	within(c, "journal.keep_delivered", j.KeepDelivered, 0, j.MaxAge)
	c.oneOf("log.level", c.cfg.Log.Level, "debug", "info", "warn", "error")
}
