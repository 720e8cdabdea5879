// Package config reads the one YAML file that configures facegate.
//
// Defaults stand in [Default]; the file overrides them; nothing else does.
// The file is read strictly: an unknown or duplicate key, a second document
// or a value of the wrong kind is a problem, and all problems are reported
// together, each with its line and key:
//
//	cfg, err := config.Load(path)      // what the file says
//	problems := config.Check(cfg)      // and what the file system says to that
//
// Secrets never stand in the file; it names the files that hold them.
package config

import (
	"runtime"
	"time"
)

// A Config is everything an operator can set. Field names in YAML are the
// lower-case words in the tags.
type Config struct {
	Device   Device   `yaml:"device"`
	Clock    Clock    `yaml:"clock"`
	Data     string   `yaml:"data"`
	Models   Models   `yaml:"models"`
	Camera   Camera   `yaml:"camera"`
	Document Document `yaml:"document_camera"`
	Match    Match    `yaml:"match"`
	Cloud    Cloud    `yaml:"cloud"`
	Quality  Quality  `yaml:"quality"`
	PAD      PAD      `yaml:"pad"`
	Attempt  Attempt  `yaml:"attempt"`
	Lockout  Lockout  `yaml:"lockout"`
	Board    Board    `yaml:"board"`
	Door     Door     `yaml:"door"`
	Lamps    Lamps    `yaml:"lamps"`
	Sources  Sources  `yaml:"sources"`
	HTTP     HTTP     `yaml:"http"`
	MQTT     MQTT     `yaml:"mqtt"`
	Journal  Journal  `yaml:"journal"`
	Log      Log      `yaml:"log"`

	source source   // where each key was read, for messages
	doubts Problems // what could not be read
}

// Device names this kiosk in topics and events.
type Device struct {
	Base string `yaml:"base"` // first level of every topic
	Site string `yaml:"site"`
	Name string `yaml:"name"` // empty: the host name
}

// Clock says how the daemon learns that the wall clock has been set, which the
// kernel tells by itself where it is kept right over the network.
type Clock struct {
	Marker string `yaml:"marker"` // a file that is there once the clock has been set
}

// Models says where the model files are.
type Models struct {
	Dir                 string `yaml:"dir"`
	Set                 string `yaml:"set"`                   // name of a set in the manifest, or of the one that Dir describes
	AcceptNonCommercial bool   `yaml:"accept_non_commercial"` // acknowledges that the set's licence forbids commercial use
}

// Camera is the live camera.
type Camera struct {
	Driver  string        `yaml:"driver"` // v4l2 or replay
	Device  string        `yaml:"device"` // v4l2: a path, or usb:VID:PID[:SERIAL]
	Replay  []string      `yaml:"replay"` // replay: pictures, folders or MJPEG files, in order, over and over
	Format  string        `yaml:"format"` // auto, jpeg, yuyv, nv12, grey
	Width   int           `yaml:"width"`
	Height  int           `yaml:"height"`
	FPS     int           `yaml:"fps"`
	Fresh   time.Duration `yaml:"fresh"`   // a frame older than this does not count
	Stalled time.Duration `yaml:"stalled"` // no frame for this long is a camera fault
}

// Document is an optional second camera above the ID, and the button that
// takes the picture.
type Document struct {
	Enabled bool     `yaml:"enabled"`
	Driver  string   `yaml:"driver"`
	Device  string   `yaml:"device"`
	Replay  []string `yaml:"replay"`
	Format  string   `yaml:"format"`
	Width   int      `yaml:"width"`
	Height  int      `yaml:"height"`
	FPS     int      `yaml:"fps"`
	Button  Line     `yaml:"button"`
}

// Match is the local engine and its thresholds, which are rates, or distances
// instead.
type Match struct {
	Engine      string        `yaml:"engine"` // dlib or onnx
	Rates                     // turned into Accept and Reject by the daemon
	Accept      float64       `yaml:"accept"`       // a distance; 0: AcceptFMR says it
	Reject      float64       `yaml:"reject"`       // a distance; 0: RejectFNMR says it
	DistancesOf string        `yaml:"distances_of"` // the model set that Accept and Reject are for, where the file gives them
	Calibration string        `yaml:"calibration"`  // file; empty: the one that ships for the model, if there is one
	Threads     int           `yaml:"threads"`      // of the linear-algebra library
	Hang        time.Duration `yaml:"hang"`         // a call that takes longer is an engine fault
}

// Rates are thresholds as the error rates of one comparison. They are 0 where
// the file gives distances.
type Rates struct {
	AcceptFMR  float64 `yaml:"accept_fmr"`  // pairs of different people that match
	RejectFNMR float64 `yaml:"reject_fnmr"` // pairs of one person that are no match
}

// Given says whether thresholds are rates.
func (r Rates) Given() bool { return r != Rates{} }

// Quality holds the gates that a live face must pass to become a probe.
type Quality struct {
	MinFace      int     `yaml:"min_face"`      // pixels, the shorter side of the face box
	MinSharpness float64 `yaml:"min_sharpness"` // see docs/quality.md
	MinLuma      float64 `yaml:"min_luma"`      // mean of the face, 0..255
	MaxLuma      float64 `yaml:"max_luma"`
	MaxClipped   float64 `yaml:"max_clipped"`  // share of the face, 0..1, that may be all black or all white
	MinContrast  float64 `yaml:"min_contrast"` // percent; this and those below: 0 means not looked at
	MaxSides     float64 `yaml:"max_sides"`    // share, 0..1, by which one half of the face may be brighter
	MinEyes      float64 `yaml:"min_eyes"`     // pixels between the eyes
	MaxYaw       float64 `yaml:"max_yaw"`      // degrees, as the two below
	MaxPitch     float64 `yaml:"max_pitch"`
	MaxRoll      float64 `yaml:"max_roll"`

	MinIDFace      int     `yaml:"min_id_face"`      // pixels, the portrait on the ID
	MinIDSharpness float64 `yaml:"min_id_sharpness"` // of that portrait; 0: not looked at
	MaxIDGlare     float64 `yaml:"max_id_glare"`     // share of it, 0..1, that may be all white; 0: not looked at
}

// PAD is how presentation attacks are detected; see docs/pad.md.
type PAD struct {
	Model       string        `yaml:"model"`        // off, on: that of the model set
	MinScore    float64       `yaml:"min_score"`    // of the model, 0..1
	Challenge   string        `yaml:"challenge"`    // off, turn
	Within      time.Duration `yaml:"within"`       // the person must have turned the head after this
	OpenWithout bool          `yaml:"open_without"` // whether a match may open if nobody could be tested
}

// Attempt bounds one attempt.
type Attempt struct {
	Deadline time.Duration `yaml:"deadline"` // from the ID photo to the outcome
	Frames   int           `yaml:"frames"`   // probes that must agree
	Spacing  time.Duration `yaml:"spacing"`  // least time between two probes
}

// Lockout slows repeated mismatches down, after NIST SP 800-63B.
type Lockout struct {
	After   int           `yaml:"after"`   // mismatches in a row before delays begin; 0 disables lockout
	Delay   time.Duration `yaml:"delay"`   // the first delay, doubled each time
	Max     time.Duration `yaml:"max"`     // the longest delay
	Disable int           `yaml:"disable"` // mismatches in a row that block the ID reference for Block
	Block   time.Duration `yaml:"block"`
	Forget  time.Duration `yaml:"forget"` // a counter is forgotten after this long without an attempt
}

// Board says which hardware the lines belong to.
type Board struct {
	Driver string `yaml:"driver"` // none, gpio, sim
	Socket string `yaml:"socket"` // sim: the simulated board's socket
}

// A Line is one GPIO line. An empty Chip and Name mean that it is not wired.
type Line struct {
	Chip      string        `yaml:"chip"` // gpiochip0
	Line      int           `yaml:"line"` // its number on the chip; -1: not given
	Name      string        `yaml:"name"` // or its name, instead of chip and number
	ActiveLow bool          `yaml:"active_low"`
	Pull      string        `yaml:"pull"`     // inputs: none, up, down
	Debounce  time.Duration `yaml:"debounce"` // inputs
}

// Wired says whether the line is connected to anything.
func (l Line) Wired() bool { return l.Chip != "" || l.Name != "" }

// Door is the relay and who may open it.
type Door struct {
	Output             Line          `yaml:"output"`
	AcceptActiveLow    bool          `yaml:"accept_active_low"` // acknowledges that the output is driven on for a moment at every start
	Pulse              time.Duration `yaml:"pulse"`
	Authorise          string        `yaml:"authorise"` // always, host, panel
	Wait               time.Duration `yaml:"wait"`      // for the host or the panel
	GrantKeyFile       string        `yaml:"grant_key_file"`
	Panel              Line          `yaml:"panel"`
	OpenWithoutJournal bool          `yaml:"open_without_journal"`
}

// Lamps are the outputs that show the state to people.
type Lamps struct {
	Ready     Line          `yaml:"ready"`
	Busy      Line          `yaml:"busy"`
	Granted   Line          `yaml:"granted"`
	Denied    Line          `yaml:"denied"`
	Attention Line          `yaml:"attention"`
	Fault     Line          `yaml:"fault"`
	Hold      time.Duration `yaml:"hold"` // how long an outcome is shown
}

// Sources says where ID photos may come from and which may open the door.
type Sources struct {
	HTTP   Source `yaml:"http"`
	Inbox  Inbox  `yaml:"inbox"`
	Button Source `yaml:"button"`
	MQTT   MQTTIn `yaml:"mqtt"`
}

// Source is one way for an ID photo to arrive.
type Source struct {
	Enabled bool `yaml:"enabled"`
	MayOpen bool `yaml:"may_open"`
}

// Inbox is a folder that scanner software writes to.
type Inbox struct {
	Enabled bool   `yaml:"enabled"`
	MayOpen bool   `yaml:"may_open"`
	Dir     string `yaml:"dir"`
}

// MQTTIn is the command topic as a source.
type MQTTIn struct {
	Enabled  bool `yaml:"enabled"`
	MayOpen  bool `yaml:"may_open"`
	Pictures bool `yaml:"pictures"` // whether a command may carry a photo itself
}

// HTTP is the local interface.
type HTTP struct {
	Listen    string `yaml:"listen"` // unix:/path, or host:port
	TokenFile string `yaml:"token_file"`
	CertFile  string `yaml:"cert_file"`
	KeyFile   string `yaml:"key_file"`
}

// MQTT is the connection to the broker.
type MQTT struct {
	Broker       string   `yaml:"broker"` // embedded, or tcp://, ssl://, ws://, wss:// and an address
	ClientID     string   `yaml:"client_id"`
	Username     string   `yaml:"username"`
	PasswordFile string   `yaml:"password_file"`
	CAFile       string   `yaml:"ca_file"`
	CertFile     string   `yaml:"cert_file"`
	KeyFile      string   `yaml:"key_file"`
	Embedded     Embedded `yaml:"embedded"`
}

// Embedded is the broker inside the daemon, used with broker: embedded.
type Embedded struct {
	Listen    string `yaml:"listen"`
	WebSocket string `yaml:"websocket"`  // empty: none
	UsersFile string `yaml:"users_file"` // lines of user:password; empty: anyone on loopback
}

// Journal bounds the record of events.
type Journal struct {
	MaxBytes      Bytes         `yaml:"max_bytes"`
	MaxAge        time.Duration `yaml:"max_age"`        // of events not yet delivered
	KeepDelivered time.Duration `yaml:"keep_delivered"` // so that a consumer can ask for them again
}

// Log says how much is logged.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn, error
}

// Default returns the configuration that an empty file gives.
func Default() Config {
	cfg := defaults()
	cfg.settle(runtime.GOARCH)
	return cfg
}

// auto leaves models.set and match.engine to us.
const auto = "auto"

// UsualSet returns the set of models that auto is on a processor, by Go's name of
// that: of those that a package manager fetches, a company may use and the
// processor runs, the one that matches more people at an FMR of 1e-4
// (docs/models.md).
func UsualSet(arch string) string {
	if arch == "amd64" || arch == "arm64" {
		return "faceplugin"
	}
	return "dlib"
}

// settle says what auto is on a processor.
func (c *Config) settle(arch string) {
	if c.Models.Set == auto {
		c.Models.Set = UsualSet(arch)
	}
	if c.Match.Engine == auto {
		c.Match.Engine = "onnx"
		if c.Models.Set == "dlib" {
			c.Match.Engine = "dlib"
		}
	}
}

func defaults() Config {
	usual := Line{Line: -1, Pull: "none", Debounce: 20 * time.Millisecond}
	return Config{
		Device: Device{Base: "facegate", Site: "default"},
		Clock:  Clock{Marker: "/run/systemd/timesync/synchronized"}, // systemd-timesyncd's
		Data:   "/var/lib/facegate",
		Models: Models{Dir: "/var/lib/facegate/models", Set: auto},
		Camera: Camera{
			Driver: "v4l2", Device: "/dev/video0", Format: "auto", Width: 640, Height: 480, FPS: 30,
			Fresh: 500 * time.Millisecond, Stalled: 2 * time.Second,
		},
		Document: Document{Driver: "v4l2", Device: "/dev/video2", Format: "auto", Width: 1920, Height: 1080, FPS: 5, Button: usual},
		Match: Match{
			Engine: auto, Rates: Rates{AcceptFMR: 1e-4, RejectFNMR: 0.02}, Threads: 1, Hang: 5 * time.Second,
		},
		Cloud:   defaultCloud(),
		Quality: Quality{MinFace: 80, MinSharpness: 3, MinLuma: 40, MaxLuma: 220, MaxClipped: 0.4, MinIDFace: 60, MaxIDGlare: 0.4},
		PAD:     PAD{Model: "off", MinScore: 0.5, Challenge: "off", Within: 5 * time.Second},
		Attempt: Attempt{Deadline: 8 * time.Second, Frames: 3, Spacing: 100 * time.Millisecond},
		Lockout: Lockout{
			After: 5, Delay: 30 * time.Second, Max: 15 * time.Minute, Disable: 50, Block: 24 * time.Hour, Forget: 24 * time.Hour,
		},
		Board: Board{Driver: "none", Socket: "/run/facegate/board.sock"},
		Door:  Door{Output: usual, Pulse: 3 * time.Second, Authorise: "always", Wait: 5 * time.Second, Panel: usual},
		Lamps: Lamps{Ready: usual, Busy: usual, Granted: usual, Denied: usual, Attention: usual, Fault: usual, Hold: 3 * time.Second},
		Sources: Sources{
			HTTP: Source{Enabled: true}, Inbox: Inbox{MayOpen: true, Dir: "/var/lib/facegate/inbox"},
			Button: Source{MayOpen: true}, MQTT: MQTTIn{},
		},
		HTTP:    HTTP{Listen: "unix:/run/facegate/http.sock"},
		MQTT:    MQTT{Broker: "embedded", Embedded: Embedded{Listen: "127.0.0.1:1883"}},
		Journal: Journal{MaxBytes: 256 << 20, MaxAge: 30 * 24 * time.Hour, KeepDelivered: 7 * 24 * time.Hour},
		Log:     Log{Level: "info"},
	}
}
