package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Check looks at the files that cfg names and reports those that would stop
// the daemon: files that cannot be read, secrets that are empty or that every
// user of the machine can read, folders and recorded pictures that are not
// there. Devices are not looked at; a missing camera is a fault while running.
func Check(cfg Config) Problems {
	var problems Problems
	fail := func(key, text string) { problems = append(problems, cfg.source.problem(key, "%s", text)) }
	for _, f := range files(cfg) {
		if text := f.problem(); text != "" {
			fail(f.key, text)
		}
	}
	if info, err := os.Stat(cfg.Models.Dir); err != nil || !info.IsDir() {
		fail("models.dir", cfg.Models.Dir+": no such folder (run facegate models pull)")
	}
	var played []replay
	if cfg.Camera.Driver == "replay" {
		played = append(played, replay{"camera.replay", cfg.Camera.Replay})
	}
	if cfg.Document.Enabled && cfg.Document.Driver == "replay" {
		played = append(played, replay{"document_camera.replay", cfg.Document.Replay})
	}
	for _, r := range played {
		for _, path := range r.paths {
			if _, err := os.Stat(path); err != nil {
				fail(r.key, reason(path, err))
			}
		}
	}
	return sorted(problems)
}

// Extend returns problems and what err says, in the order of lines. Each line of
// err begins with a key, or with two that are joined by a comma, and a colon.
// Left out are those about keys that have a problem already, for it would be the
// same one in other words.
func (c Config) Extend(problems Problems, err error) Problems {
	if err == nil {
		return problems
	}
	all := slices.Clone(problems)
	for line := range strings.Lines(err.Error()) {
		keys, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		told := slices.ContainsFunc(strings.Split(keys, ", "), func(key string) bool {
			return slices.ContainsFunc(problems, func(p Problem) bool { return p.Key == key })
		})
		if told {
			continue
		}
		first, _, _ := strings.Cut(keys, ", ")
		p := c.source.problem(first, "%s", text)
		p.Key = keys
		all = append(all, p)
	}
	return sorted(all)
}

// A replay is the recorded pictures of one camera.
type replay struct {
	key   string
	paths []string
}

// A file is one that the configuration names.
type file struct {
	key, path string
	secret    bool
}

// files lists the files that cfg makes use of.
func files(cfg Config) []file {
	all := []file{
		{"match.calibration", cfg.Match.Calibration, false},
		{"http.token_file", cfg.HTTP.TokenFile, true},
		{"http.cert_file", cfg.HTTP.CertFile, false},
		{"http.key_file", cfg.HTTP.KeyFile, true},
		{"mqtt.password_file", cfg.MQTT.PasswordFile, true},
		{"mqtt.ca_file", cfg.MQTT.CAFile, false},
		{"mqtt.cert_file", cfg.MQTT.CertFile, false},
		{"mqtt.key_file", cfg.MQTT.KeyFile, true},
		{"mqtt.embedded.users_file", cfg.MQTT.Embedded.UsersFile, true},
		{"door.grant_key_file", cfg.Door.GrantKeyFile, true},
	}
	for key, path := range cloudFiles(cfg.Cloud) {
		if cfg.Cloud.used(key) {
			all = append(all, file{key, path, !strings.HasSuffix(key, "cert_file")})
		}
	}
	if len(cfg.Cloud.Providers) > 0 {
		all = append(all, file{"cloud.ca_file", cfg.Cloud.CAFile, false})
	}
	var used []file
	for _, f := range all {
		if f.path != "" {
			used = append(used, f)
		}
	}
	return used
}

// problem says what is wrong with the file and how to mend it, or nothing.
func (f file) problem() string {
	// Opening a named pipe would wait for its writer.
	if info, err := os.Stat(f.path); err != nil {
		return reason(f.path, err)
	} else if !info.Mode().IsRegular() {
		return f.path + ": not a file (give the path of one)"
	}
	r, err := os.Open(f.path)
	if err != nil {
		return reason(f.path, err)
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return reason(f.path, err)
	}
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
		return f.path + ": is empty (write what belongs in it, or correct the path)"
	} else if err != nil {
		return reason(f.path, err)
	}
	if f.secret && info.Mode().Perm()&0o007 != 0 {
		return f.path + ": is a secret that every user can read or change (chmod o= " + f.path + ")"
	}
	return ""
}

// reason says why path cannot be used, with the remedy.
func reason(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path + ": no such file (create it or correct the path)"
	case errors.Is(err, fs.ErrPermission):
		return path + ": not readable by this user (check its owner and mode, or hand it over with LoadCredential=)"
	}
	if bad, ok := errors.AsType[*fs.PathError](err); ok {
		err = bad.Err
	}
	return path + ": " + err.Error()
}
