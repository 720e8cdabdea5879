package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/facegate/facegate/daemon/internal/config"
)

func TestCheckNamesKeyFileAndRemedy(t *testing.T) {
	dir := t.TempDir()
	token, password, empty := filepath.Join(dir, "token"), filepath.Join(dir, "password"), filepath.Join(dir, "empty")
	write(t, token, "x", 0o600)
	write(t, password, "x", 0o644)
	write(t, empty, "", 0o600)
	text := fmt.Sprintf(`models: {dir: %[1]s/models}
http:
  token_file: %[1]s/token
  cert_file: %[1]s/none
  key_file: %[1]s
  listen: 127.0.0.1:8443
mqtt:
  username: gate
  password_file: %[1]s/password
door:
  grant_key_file: %[1]s/empty
camera:
  driver: replay
  replay: [%[1]s/walk.mjpeg]
`, dir)
	cfg, err := config.Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`c.yaml:1: models.dir: %[1]s/models: no such folder (run facegate models pull)
c.yaml:4: http.cert_file: %[1]s/none: no such file (create it or correct the path)
c.yaml:5: http.key_file: %[1]s: not a file (give the path of one)
c.yaml:9: mqtt.password_file: %[1]s/password: is a secret that every user can read or change (chmod o= %[1]s/password)
c.yaml:11: door.grant_key_file: %[1]s/empty: is empty (write what belongs in it, or correct the path)
c.yaml:14: camera.replay: %[1]s/walk.mjpeg: no such file (create it or correct the path)`, dir)
	if diff := cmp.Diff(want, config.Check(cfg).Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExtend(t *testing.T) {
	cfg, err := config.Parse("c.yaml", []byte("http:\n  cert_file: /c\n  key_file: /k\n  listen: 127.0.0.1:1\ndata: /d\n"))
	if err != nil {
		t.Fatal(err)
	}
	told := config.Problems{{File: "c.yaml", Line: 5, Key: "data", Text: "told"}}
	more := errors.New("http.listen: bad: worse\nhttp.cert_file, http.key_file: one of a pair\ndata: told again\nmodels.dir: no line")
	want := `c.yaml: models.dir: no line
c.yaml:2: http.cert_file, http.key_file: one of a pair
c.yaml:4: http.listen: bad: worse
c.yaml:5: data: told`
	if diff := cmp.Diff(want, cfg.Extend(told, more).Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := cfg.Extend(told, nil); len(got) != 1 {
		t.Errorf("nothing added: got %v", got)
	}
}

func TestCheckPassesWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"models", "frames"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "token"), "x", 0o640)
	text := fmt.Sprintf("models: {dir: %[1]s/models}\nhttp: {token_file: %[1]s/token}\ncamera: {driver: replay, replay: [%[1]s/frames]}\n", dir)
	cfg, err := config.Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if problems := config.Check(cfg); len(problems) > 0 {
		t.Errorf("got %v", problems)
	}
}
