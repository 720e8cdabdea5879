package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/facegate/facegate/daemon/internal/config"
)

// values compares two configurations by what they say, not where they say it.
func values() cmp.Option { return cmpopts.IgnoreUnexported(config.Config{}) }

func TestNothingGivesDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# a comment\n", "---\n", "camera:\n", "\ufeff"} {
		got, err := config.Parse("c.yaml", []byte(text))
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
			continue
		}
		if diff := cmp.Diff(config.Default(), got, values()); diff != "" {
			t.Errorf("Parse(%q) (-default +got):\n%s", text, diff)
		}
	}
}

func TestFileOverridesDefaults(t *testing.T) {
	got, err := config.Parse("c.yaml", []byte(`
device: {site: harbour, name: gate-3}
camera:
  driver: replay
  replay: [/srv/a.jpg, "/srv/b"]
models: {set: dlib}
match: {accept: 0.4, reject: 1, distances_of: dlib}
attempt: {deadline: 1m, frames: 5}
board: {driver: gpio}
door:
  output: {chip: gpiochip0, line: 17, active_low: true}
  accept_active_low: true
  pulse: 1500ms
journal: {max_bytes: 1GiB}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Device.Site, want.Device.Name = "harbour", "gate-3"
	want.Camera.Driver, want.Camera.Replay = "replay", []string{"/srv/a.jpg", "/srv/b"}
	want.Models.Set, want.Match.Engine = "dlib", "dlib"
	want.Match.Accept, want.Match.Reject, want.Match.DistancesOf, want.Match.Rates = 0.4, 1, "dlib", config.Rates{}
	want.Attempt.Deadline, want.Attempt.Frames = time.Minute, 5
	want.Board.Driver = "gpio"
	want.Door.Output.Chip, want.Door.Output.Line, want.Door.Output.ActiveLow = "gpiochip0", 17, true
	want.Door.AcceptActiveLow, want.Door.Pulse = true, 1500*time.Millisecond
	want.Journal.MaxBytes = 1 << 30
	if diff := cmp.Diff(want, got, values()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Operators read these lines; they are held to the letter.
func TestProblems(t *testing.T) {
	for _, tt := range []struct{ name, yaml, want string }{
		{"unknown key", "camera:\n  widht: 640\n", "c.yaml:2: camera.widht: unknown key (did you mean width?)"},
		{"unknown section", "relay: {}\n", "c.yaml:1: relay: unknown key"},
		{"secret", "mqtt:\n  username: u\n  password: hunter2\n", "c.yaml:3: mqtt.password: unknown key (secrets stay in files: name one in password_file)"},
		{"relative marker", "clock: {marker: set}\n", "c.yaml:1: clock.marker: must be an absolute path, not \"set\""},
		{"no marker", "clock: {marker: \"\"}\n", "c.yaml:1: clock.marker: must not be empty"},
		{"duplicate", "data: /a\ndata: /b\n", "c.yaml:2: data: duplicate key (first on line 1)"},
		{"duplicate unknown", "x: 1\nx: 2\n", "c.yaml:1: x: unknown key\nc.yaml:2: x: duplicate key (first on line 1)"},
		{"forged line", `"a\nb": 1`, `c.yaml:1: "a\nb": unknown key`},
		{"second document", "data: /a\n---\ndata: /b\n", "c.yaml:2: a second document: a file holds one"},
		{"list at the root", "- a\n", "c.yaml:1: must be a section of keys, not a list"},
		{"word at the root", "hello\n", `c.yaml:1: must be a section of keys, not "hello"`},
		{"not yaml", "data: [\n", "c.yaml:1: not YAML: did not find expected node content"},
		{"alias", "device: &d {site: a}\ndoor: *d\n", "c.yaml:1: device: anchors and aliases are not understood here: write the value out\n" +
			"c.yaml:2: door: anchors and aliases are not understood here: write the value out"},
		{"merge", "device:\n  <<: {site: a}\n", "c.yaml:2: device.<<: unknown key (merge keys are not understood here: write the values out)"},
		{"tag", "data: !!binary aGVsbG8=\n", "c.yaml:1: data: tags are not understood here: remove !!binary"},
		{"odd key", "[a]: 1\n", "c.yaml:1: a key must be a plain word"},
		{"section for a text", "data: {a: b}\n", "c.yaml:1: data: must be a text, not a section (put it in quotes)"},
		{"number for a text", "device: {name: 12}\n", `c.yaml:1: device.name: must be a text, not "12" (put it in quotes)`},
		{"text for a section", "camera: yes\n", `c.yaml:1: camera: must be a section of keys, not "yes"`},
		{"text for a list", "camera:\n  replay: /a\n", `c.yaml:2: camera.replay: must be a list, not "/a"`},
		{"number in a list", "camera:\n  replay: [1]\n", `c.yaml:2: camera.replay[0]: must be a text, not "1" (put it in quotes)`},
		{"no value", "data:\n", "c.yaml:1: data: has no value: give one or remove the key"},
		{"old truth", "sources: {http: {enabled: yes}}\n", `c.yaml:1: sources.http.enabled: must be true or false, not "yes"`},
		{"fraction", "attempt: {frames: 1.5}\n", `c.yaml:1: attempt.frames: must be a whole number, not "1.5"`},
		{"not a number", "match: {accept: .nan}\n", `c.yaml:1: match.accept: must be a number, not ".nan"`},
		{"quoted number", "match: {accept: '0.4'}\n", `c.yaml:1: match.accept: must be a number, not "0.4"`},
		{"no unit", "door: {pulse: 3}\n", `c.yaml:1: door.pulse: must be a time with a unit, as in 500ms, 3s or 24h, not "3"`},
		{"unknown unit", "door: {pulse: 3 sec}\n", `c.yaml:1: door.pulse: must be a time with a unit, as in 500ms, 3s or 24h, not "3 sec"`},
		{"size without unit", "journal: {max_bytes: 1000}\n", `c.yaml:1: journal.max_bytes: must be a size with a unit, as in 512KiB or 256MiB, not "1000"`},
		{"size beyond 63 bits", "journal: {max_bytes: 9999999999GiB}\n", `c.yaml:1: journal.max_bytes: must be a size with a unit, as in 512KiB or 256MiB, not "9999999999GiB"`},
		{"small journal", "journal: {max_bytes: 512KiB}\n", "c.yaml:1: journal.max_bytes: must be 4MiB to 1024GiB, not 512KiB"},

		{"thresholds", "match:\n  distances_of: faceplugin\n  accept: 0.7\n  reject: 0.6\n", "c.yaml:4: match.reject: must be above match.accept (0.7) and at most 2, not 0.6"},
		{"equal thresholds", "match:\n  distances_of: faceplugin\n  accept: 0.5\n  reject: 0.5\n", "c.yaml:4: match.reject: must be above match.accept (0.5) and at most 2, not 0.5"},
		{"accept without reject", "match: {accept: 0.4}\n", "c.yaml:1: match.reject: must be given beside match.accept"},
		{"reject without accept", "match: {accept: 0, reject: 0.6}\n", "c.yaml:1: match.accept: must be given beside match.reject"},
		{"accept less than nothing", "match: {accept: -1, reject: 0.6, distances_of: faceplugin}\n", "c.yaml:1: match.accept: must be a distance above 0 and below 2, not -1"},
		{"no thresholds", "match: {accept_fmr: 0, reject_fnmr: 0}\n", "c.yaml:1: match: has no thresholds: give accept_fmr and reject_fnmr, or accept and reject"},
		{"no frames", "attempt: {frames: 0}\n", "c.yaml:1: attempt.frames: must be 1 to 9, not 0"},
		{"ten frames", "attempt: {frames: 10}\n", "c.yaml:1: attempt.frames: must be 1 to 9, not 10"},
		{"short deadline", "attempt: {deadline: 999ms}\n", "c.yaml:1: attempt.deadline: must be 1s to 2m0s, not 999ms"},
		{"long deadline", "attempt: {deadline: 121s}\n", "c.yaml:1: attempt.deadline: must be 1s to 2m0s, not 2m1s"},
		{"deadline too short for the frames", "attempt: {deadline: 5s, frames: 5, spacing: 1s}\n", "c.yaml:1: attempt.deadline: must be above attempt.frames times attempt.spacing (5s), not 5s"},
		{"pad with dlib", "pad: {challenge: turn}\nmodels: {set: dlib}\n", "c.yaml:1: pad.challenge: turn cannot be judged by dlib's landmarks, which tell no head from a picture: use another models.set (see docs/pad.md)"},
		{"pad unknown", "pad: {challenge: blink}\n", `c.yaml:1: pad.challenge: must be off or turn, not "blink"`},
		{"model unknown", "pad: {model: auto}\n", `c.yaml:1: pad.model: must be off or on, not "auto"`},
		{"model with no demand", "pad: {model: on, min_score: 0}\n", "c.yaml:1: pad.min_score: must be 0.01 to 1, not 0"},
		{"pad beyond the deadline", "match: {engine: onnx}\npad: {challenge: turn, within: 8s}\n", "c.yaml:2: pad.within: must be below attempt.deadline (8s), not 8s"},
		{"pitch with dlib", "quality: {max_pitch: 10}\nmodels: {set: dlib}\n", "c.yaml:1: quality.max_pitch: cannot be told from dlib's landmarks: leave it at 0, or use another models.set"},
		{"glare", "quality: {max_id_glare: 40}\n", "c.yaml:1: quality.max_id_glare: must be 0 to 1, not 40"},
		{"luma order", "quality: {min_luma: 220}\n", "c.yaml:1: quality.max_luma: must be above quality.min_luma (220), not 220"},
		{"lockout order", "lockout: {max: 1s}\n", "c.yaml:1: lockout.max: must not be below lockout.delay (30s), not 1s"},
		{"half of the rates", "match: {reject_fnmr: 0}\n", "c.yaml:1: match.reject_fnmr: must be 0.0001 to 0.2, not 0"},
		{"other half of the rates", "match: {accept_fmr: 0}\n", "c.yaml:1: match.accept_fmr: must be 1e-07 to 0.01, not 0"},
		{"a rate beside distances", "match: {accept: 0.4, accept_fmr: 1e-4, reject: 0.6}\n",
			"c.yaml:1: match.accept: is a distance, but thresholds are rates here (match.accept_fmr, match.reject_fnmr): remove one or the other\n" +
				"c.yaml:1: match.reject: is a distance, but thresholds are rates here (match.accept_fmr, match.reject_fnmr): remove one or the other"},
		{"loose rate", "match:\n  accept_fmr: 0.02\n  reject_fnmr: 0.01\n", "c.yaml:2: match.accept_fmr: must be 1e-07 to 0.01, not 0.02"},
		{"negative rate", "match:\n  accept_fmr: 1e-4\n  reject_fnmr: -1\n", "c.yaml:3: match.reject_fnmr: must be 0.0001 to 0.2, not -1"},
		{"rates and distances", "match:\n  accept: 0.4\n  accept_fmr: 1e-4\n  reject_fnmr: 0.01\n  reject: 0.6\n",
			"c.yaml:2: match.accept: is a distance, but thresholds are rates here (match.accept_fmr, match.reject_fnmr): remove one or the other\n" +
				"c.yaml:5: match.reject: is a distance, but thresholds are rates here (match.accept_fmr, match.reject_fnmr): remove one or the other"},
		{"calibration", "match: {calibration: site.json}\n", `c.yaml:1: match.calibration: must be an absolute path, not "site.json"`},
		{"lockout count", "lockout: {disable: 101}\n", "c.yaml:1: lockout.disable: must be above lockout.after (5) and at most 100, not 101"},
		{"keep longer than age", "journal: {max_age: 1h}\n", "c.yaml:1: journal.keep_delivered: must be 0s to 1h0m0s, not 168h0m0s"},
		{"log level", "log: {level: trace}\n", `c.yaml:1: log.level: must be debug or info or warn or error, not "trace"`},

		{"topic level", "device: {site: a/b}\n", "c.yaml:1: device.site: is one level of a topic: must not have + # / or control characters, nor begin with $"},
		{"wildcard", "device: {base: 'a+'}\n", "c.yaml:1: device.base: is one level of a topic: must not have + # / or control characters, nor begin with $"},
		{"empty level", "device: {site: ''}\n", "c.yaml:1: device.site: must not be empty"},
		{"relative path", "data: var/lib\n", `c.yaml:1: data: must be an absolute path, not "var/lib"`},
		{"camera", "camera: {device: video0}\n", `c.yaml:1: camera.device: must be an absolute path or usb:VID:PID[:SERIAL] with hexadecimal numbers as lsusb shows them, not "video0"`},
		{"replay of nothing", "camera: {driver: replay}\n", "c.yaml:1: camera.driver: replay needs pictures, folders or MJPEG files in camera.replay"},
		{"one camera twice", "document_camera: {enabled: true, device: /dev/video0}\n", "c.yaml:1: document_camera.device: is the live camera (camera.device) too: two cameras are needed"},

		{"unknown provider", "cloud: {providers: [kairos]}\n", `c.yaml:1: cloud.providers[0]: must be deepidv or rekognition or mxface or argos, not "kairos"`},
		{"provider twice", "cloud: {providers: [argos, argos], argos: {key_file: /k}}\n", "c.yaml:1: cloud.providers[1]: argos stands twice"},
		{"provider without key", "cloud: {providers: [deepidv]}\n", "c.yaml:1: cloud.deepidv.key_file: must name the file of the key, as deepidv is in cloud.providers"},
		{"key in the file", "cloud: {mxface: {key: hunter2}}\n", "c.yaml:1: cloud.mxface.key: unknown key (secrets stay in files: name one in key_file)"},
		{"quorum of one", "cloud: {providers: [argos], argos: {key_file: /k}, quorum: 2}\n", "c.yaml:1: cloud.quorum: 2 providers must agree, but cloud.providers has 1"},
		{"cloud without provider", "cloud: {engine_down: cloud}\n", "c.yaml:1: cloud.engine_down: cloud needs a provider in cloud.providers"},
		{"consent", "cloud: {consent: yes}\n", `c.yaml:1: cloud.consent: must be none or faces or whole, not "yes"`},
		{"consent that does not cover", "cloud: {send: whole, consent: faces}\n", "c.yaml:1: cloud.consent: faces does not cover cloud.send: whole: set whole, or none so that attempts say it"},
		{"hedge beyond the deadline", "cloud: {hedge: 4s}\n", "c.yaml:1: cloud.hedge: must be 0s to 3s, not 4s"},
		{"proxy", "cloud: {proxy: 'socks5://p:1'}\n", "c.yaml:1: cloud.proxy: must be an http:// or https:// URL"},
		{"accept of another scale", "cloud: {deepidv: {accept: 0.8, reject: 0.5}}\n", "c.yaml:1: cloud.deepidv.accept: must be 40 to 100, as scores go up to 100, not 0.8"},
		{"accept of another version", "cloud: {mxface: {version: v2}}\n", "c.yaml:1: cloud.mxface.accept: must be 40 to 100, as scores go up to 100, not 1"},
		{"accept of yes or no", "cloud: {mxface: {accept: 60}}\n", "c.yaml:1: cloud.mxface.accept: must be 0.4 to 1, as scores go up to 1, not 60"},
		{"thresholds of a provider", "cloud: {argos: {reject: 95}}\n", "c.yaml:1: cloud.argos.reject: must be at least 0 and below cloud.argos.accept (95), not 95"},

		{"pulse", "door: {pulse: 11s}\n", "c.yaml:1: door.pulse: must be above 0 and at most 10s, not 11s"},
		{"no pulse", "door: {pulse: 0s}\n", "c.yaml:1: door.pulse: must be above 0 and at most 10s, not 0s"},
		{"authorise", "door: {authorise: never}\n", `c.yaml:1: door.authorise: must be always or host or panel, not "never"`},
		{"host without key", "door: {authorise: host}\n", "c.yaml:1: door.authorise: host needs door.grant_key_file, the key that grants are signed with"},
		{"panel without line", "door: {authorise: panel}\n", "c.yaml:1: door.authorise: panel needs a wired door.panel, the input that says yes"},
		{"active low", "board: {driver: gpio}\ndoor:\n  output: {chip: gpiochip0, line: 4, active_low: true}\n",
			"c.yaml:3: door.output.active_low: drives the door open for a moment at every start, because the kernel is asked for the line before its level is set: wire it active high, or acknowledge with door.accept_active_low: true"},
		{"board", "board: {driver: pi}\n", `c.yaml:1: board.driver: must be none or gpio or sim, not "pi"`},
		{"no board", "door: {output: {name: DOOR}}\n", "c.yaml:1: door.output: is wired but board.driver is none: set it to gpio, or to sim for a trial"},
		{"real door on a simulated board", "board: {driver: sim}\ndoor: {output: {chip: gpiochip0, line: 1}}\n",
			"c.yaml:2: door.output.chip: names a real chip but board.driver is sim: use door.output.name, or board.driver: gpio"},
		{"line without chip", "board: {driver: gpio}\nlamps: {busy: {line: 4}}\n", "c.yaml:2: lamps.busy.line: needs lamps.busy.chip"},
		{"chip without line", "board: {driver: gpio}\nlamps: {busy: {chip: gpiochip0}}\n", "c.yaml:2: lamps.busy.chip: needs lamps.busy.line, its number on the chip (0 or above)"},
		{"chip and name", "board: {driver: gpio}\nlamps: {busy: {chip: gpiochip0, line: 1, name: A}}\n", "c.yaml:2: lamps.busy.name: give chip and line, or name, not both"},
		{"chip path", "board: {driver: gpio}\nlamps: {busy: {chip: /dev/gpiochip0, line: 1}}\n", `c.yaml:2: lamps.busy.chip: must be a chip as gpiodetect shows it, such as gpiochip0, not "/dev/gpiochip0"`},
		{"line twice", "board: {driver: gpio}\ndoor: {output: {chip: gpiochip0, line: 1}}\nlamps: {busy: {chip: gpiochip0, line: 1}}\n", "c.yaml:3: lamps.busy: gpiochip0 line 1 is used by door.output too"},
		{"name twice", "board: {driver: sim}\nlamps: {busy: {name: a}, denied: {name: a}}\n", "c.yaml:2: lamps.denied: name a is used by lamps.busy too"},
		{"pull of an output", "board: {driver: gpio}\nlamps: {busy: {name: a, pull: up}}\n", "c.yaml:2: lamps.busy.pull: only inputs have one: remove it"},

		{"inbox without folder", "sources: {inbox: {enabled: true, dir: ''}}\n", "c.yaml:1: sources.inbox.dir: must not be empty"},
		{"inbox over the data", "sources: {inbox: {enabled: true, dir: /var/lib/}}\n", "c.yaml:1: sources.inbox.dir: must not be or hold data (/var/lib/facegate): files in the inbox are removed once read\n" +
			"c.yaml:1: sources.inbox.dir: must not be or hold models.dir (/var/lib/facegate/models): files in the inbox are removed once read"},
		{"button alone", "sources: {button: {enabled: true}}\n", "c.yaml:1: sources.button.enabled: needs document_camera.enabled: true\nc.yaml:1: sources.button.enabled: needs a wired document_camera.button"},

		{"open port", "http: {listen: ':8080'}\n", "c.yaml:1: http.listen: others can reach :8080: it needs http.cert_file, http.key_file and http.token_file, or listen on 127.0.0.1 or unix:/path"},
		{"open port without token", "http: {listen: '10.0.0.1:8080', cert_file: /c, key_file: /k}\n", "c.yaml:1: http.listen: others can reach 10.0.0.1:8080: it needs http.cert_file, http.key_file and http.token_file, or listen on 127.0.0.1 or unix:/path"},
		{"no port", "http: {listen: localhost}\n", `c.yaml:1: http.listen: must be an address such as 127.0.0.1:8080, not "localhost"`},
		{"relative socket", "http: {listen: 'unix:a.sock'}\n", `c.yaml:1: http.listen: must be an absolute path, not "a.sock"`},
		{"certificate for a socket", "http: {cert_file: /c, key_file: /k}\n", "c.yaml:1: http.cert_file: a socket takes none: remove it, or listen on host:port"},
		{"half a pair", "http: {cert_file: /c}\n", "c.yaml:1: http.cert_file: needs http.key_file"},

		{"broker scheme", "mqtt: {broker: 'mqtt://h:1883'}\n", "c.yaml:1: mqtt.broker: must be embedded, or an address such as tcp://host:1883, ssl://host:8883, ws://host:80/mqtt or wss://host:443/mqtt"},
		{"broker port", "mqtt: {broker: 'ssl://h'}\n", "c.yaml:1: mqtt.broker: needs a port of 1 to 65535, as in ssl://h:8883"},
		{"broker with password", "mqtt: {broker: 'tcp://u:p@h:1'}\n", "c.yaml:1: mqtt.broker: must not hold a user or password: use mqtt.username and mqtt.password_file"},
		{"broker with path", "mqtt: {broker: 'tcp://h:1/x'}\n", "c.yaml:1: mqtt.broker: must end after the host and port; only ws:// and wss:// have a path"},
		{"certificates without TLS", "mqtt: {broker: 'tcp://h:1883', ca_file: /ca}\n", "c.yaml:1: mqtt.ca_file: needs an mqtt.broker of ssl:// or wss://"},
		{"password without user", "mqtt: {password_file: /p}\n", "c.yaml:1: mqtt.password_file: needs mqtt.username"},
		{"open broker", "mqtt: {embedded: {listen: '0.0.0.0:1883'}}\n", "c.yaml:1: mqtt.embedded.listen: others can reach 0.0.0.0:1883: it needs mqtt.embedded.users_file, or listen on 127.0.0.1"},
		{"open websocket", "mqtt: {embedded: {websocket: ':9001'}}\n", "c.yaml:1: mqtt.embedded.websocket: others can reach :9001: it needs mqtt.embedded.users_file, or listen on 127.0.0.1"},

		{"all at once, by line", "door: {pulse: 0s}\nextra: 1\ncamera:\n  fps: 0\n  wdth: 1\n",
			"c.yaml:1: door.pulse: must be above 0 and at most 10s, not 0s\nc.yaml:2: extra: unknown key\nc.yaml:4: camera.fps: must be 1 to 120, not 0\nc.yaml:5: camera.wdth: unknown key (did you mean width?)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Parse("c.yaml", []byte(tt.yaml))
			if _, ok := errors.AsType[config.Problems](err); !ok {
				t.Fatalf("Parse gave %v, want Problems", err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllowed(t *testing.T) {
	for name, yaml := range map[string]string{
		"loopback":          "http: {listen: '127.0.0.1:8080'}",
		"loopback v6":       "http: {listen: '[::1]:8080'}",
		"localhost":         "http: {listen: 'localhost:8080'}",
		"guarded port":      "http: {listen: ':8443', cert_file: /c, key_file: /k, token_file: /t}",
		"tls broker":        "mqtt: {broker: 'ssl://h:8883', ca_file: /ca, cert_file: /c, key_file: /k}",
		"websocket broker":  "mqtt: {broker: 'wss://h:443/mqtt'}",
		"guarded broker":    "mqtt: {embedded: {listen: ':1883', users_file: /u}}",
		"usb camera":        "camera: {device: 'usb:046d:0825:AB12'}",
		"by-id":             "camera: {device: /dev/v4l/by-id/usb-x-video-index0}",
		"two providers":     "cloud: {providers: [mxface, rekognition], quorum: 2, mxface: {key_file: /k, version: v2, accept: 80, reject: 40}, rekognition: {role_arn: a, role_token_file: /t}}",
		"no lockout":        "lockout: {after: 0, max: 0s}",
		"one frame":         "attempt: {frames: 1}",
		"sim by name":       "board: {driver: sim}\ndoor: {output: {name: door}}\n",
		"inbox in data":     "sources: {inbox: {enabled: true}}",
		"inbox beside data": "sources: {inbox: {enabled: true, dir: /var/lib/facegate-inbox}}",
		"end of document":   "data: /a\n...\n",
		"rates":             "match: {accept_fmr: 1e-4, reject_fnmr: 0.005, calibration: /etc/facegate/site.json}",
		"rates that are 0":  "match: {accept: 0.4, reject: 0.5, distances_of: faceplugin, accept_fmr: 0, reject_fnmr: 0}",
		"distances alone":   "match: {accept: 0.4, reject: 0.5, distances_of: faceplugin}",
		"one rate":          "match: {accept_fmr: 1e-5}",
	} {
		if _, err := config.Parse("c.yaml", []byte(yaml)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Rates, also those of the default, are no distances yet. Until a calibration
// makes some of them, nothing matches.
func TestRatesAloneMatchNothing(t *testing.T) {
	for text, want := range map[string]config.Match{
		"": {Rates: config.Rates{AcceptFMR: 1e-4, RejectFNMR: 0.02}},
		"match: {accept_fmr: 1e-5, reject_fnmr: 0.005}\n":               {Rates: config.Rates{AcceptFMR: 1e-5, RejectFNMR: 0.005}},
		"match: {accept: 0.3, reject: 0.8, distances_of: faceplugin}\n": {Accept: 0.3, Reject: 0.8},
	} {
		cfg, err := config.Parse("c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if m := cfg.Match; m.Accept != want.Accept || m.Reject != want.Reject || m.Rates != want.Rates {
			t.Errorf("%q: got %+v", text, m)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if _, err := config.Load(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write(t, path, "data: /srv\n", 0o600)
	cfg, err := config.Load(path)
	if err != nil || cfg.Data != "/srv" {
		t.Errorf("got %q, %v", cfg.Data, err)
	}
	write(t, path, "#"+strings.Repeat("x", int(config.MaxBytes)), 0o600)
	if _, err := config.Load(path); err == nil || err.Error() != path+": larger than 1MiB" {
		t.Errorf("too large: %v", err)
	}
}

func TestDeepNestingIsBounded(t *testing.T) {
	for _, text := range []string{strings.Repeat("[", 1<<18), "data: " + strings.Repeat("{a: ", 1<<17), strings.Repeat("- ", 1<<18)} {
		if _, err := config.Parse("c.yaml", []byte(text)); err == nil {
			t.Errorf("%.10s... passed", text)
		}
	}
}

func TestHash(t *testing.T) {
	hash := func(yaml string) string {
		t.Helper()
		cfg, err := config.Parse("c.yaml", []byte(yaml))
		if err != nil {
			t.Fatal(err)
		}
		return config.Hash(cfg)
	}
	base := hash("")
	if len(base) != 64 {
		t.Errorf("hash %q is not a SHA-256", base)
	}
	if got := hash("# said again\ndoor: {pulse: 3000ms}\n"); got != base {
		t.Error("the same values give another hash")
	}
	if got := hash("door: {pulse: 4s}\n"); got == base {
		t.Error("other values give the same hash")
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]config.Bytes{"0B": 0, "1000B": 1000, "512KiB": 512 << 10, "256MiB": 256 << 20, "3GiB": 3 << 30} {
		got, err := config.ParseBytes(text)
		if err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", text, got, err, want)
		}
		if got.String() != text {
			t.Errorf("%d prints as %s, want %s", got, got, text)
		}
	}
	for _, text := range []string{"", "B", "-1B", "1.5MiB", "1 MiB", "1MB", "1", "+1B", "8589934592GiB"} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "camera: {fps: 3}", "a: &a [*a, *a]", "- 1\n--- \n- 2", "door:\n  pulse: 3s\n  pulse: 4s", "? [a]\n: b", "<<: {data: /x}", "\xff\xfe", "data: !!str 1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Parse("c.yaml", data)
		if err == nil {
			if cfg.Door.Pulse <= 0 || cfg.Door.Pulse > 10*time.Second ||
				!cfg.Match.Rates.Given() && cfg.Match.Accept >= cfg.Match.Reject || cfg.Match.Rates.Given() && cfg.Match.Accept > 0 {
				t.Errorf("unsafe values passed: %v", cfg.Door.Pulse)
			}
			return
		}
		problems, ok := errors.AsType[config.Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("error is %T of %d problems", err, len(problems))
		}
		if n := strings.Count(err.Error(), "\n") + 1; n != len(problems) {
			t.Errorf("%d problems print as %d lines:\n%s", len(problems), n, err)
		}
	})
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
