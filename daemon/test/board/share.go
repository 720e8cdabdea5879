//go:build linux

package board

import (
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/image/draw"

	"github.com/facegate/facegate/daemon/internal/scene"
)

// Lines of the chip, as a shared configuration wires them. Line 3 is the
// board's power button.
const (
	door = iota
	ready
	busy
	_
	granted
	denied
	attention
	fault
)

// pulse is for how long a shared configuration opens the door. The board may
// take two seconds to run a script, and what a test does to the daemon with the
// door open must find it open.
const pulse = 5 * time.Second

// A Share is what the board gets from the host: install.sh, which installs the
// rest, ID photos and films.
type Share struct {
	Release  string // tarball of cross-build.sh
	Models   string // folder of the model files
	Pictures string // folder of the portraits
	Script   string // install.sh
	Broker   string // URL of the broker, as the board sees it, or embedded
}

// Lay fills the folder dir.
func (s Share) Lay(dir string) error {
	return errors.Join(
		copyFile(s.Release, filepath.Join(dir, "release.tar.gz")),
		copyFile(s.Script, filepath.Join(dir, "install.sh")),
		os.CopyFS(filepath.Join(dir, "models"), os.DirFS(s.Models)),
		os.WriteFile(filepath.Join(dir, "facegate.yaml"), s.configuration(), 0o644),
		s.draw(dir),
	)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// configuration asks for as small a picture as will do, and for as much time
// as there is: an emulated board takes half a minute for an attempt, and more.
func (s Share) configuration() []byte {
	return fmt.Appendf(nil, `device: {site: test, name: board}
camera: {device: /dev/v4l/by-path/platform-vivid.0-video-index0, width: %d, height: %d, fps: 25}
match: {hang: 1m}
attempt: {deadline: 2m, frames: 1}
board: {driver: gpio}
door: {output: {chip: gpiochip0, line: %d}, pulse: %v}
lamps:
  ready: {chip: gpiochip0, line: %d}
  busy: {chip: gpiochip0, line: %d}
  granted: {chip: gpiochip0, line: %d}
  denied: {chip: gpiochip0, line: %d}
  attention: {chip: gpiochip0, line: %d}
  fault: {chip: gpiochip0, line: %d}
sources: {inbox: {enabled: true}}
mqtt: {broker: "%s"}
models: {set: dlib}
`, Width/2, Height/2, door, pulse, ready, busy, granted, denied, attention, fault, s.Broker)
}

// draw makes the films same, other, nobody, black, and dark and bright, which
// show the same person in bad light, the ID photos id.jpg and blank.jpg, and portraits live.jpg and other.jpg.
func (s Share) draw(dir string) error {
	const frames = 12
	same, err := scene.FirstLive().Film(s.Pictures, frames)
	if err != nil {
		return err
	}
	other, err := scene.Second().Film(s.Pictures, frames)
	if err != nil {
		return err
	}
	card, err := scene.FirstOnID().Card(s.Pictures)
	if err != nil {
		return err
	}
	live, err := scene.FirstLive().Card(s.Pictures)
	if err != nil {
		return err
	}
	stranger, err := scene.Second().Card(s.Pictures)
	if err != nil {
		return err
	}
	films := filepath.Join(dir, "films")
	return errors.Join(
		os.Mkdir(films, 0o755),
		SaveFilm(filepath.Join(films, "same"), same),
		SaveFilm(filepath.Join(films, "other"), other),
		SaveFilm(filepath.Join(films, "nobody"), scene.Film(nil, image.Rectangle{}, frames)),
		SaveFilm(filepath.Join(films, "black"), lit(same, 0)),
		SaveFilm(filepath.Join(films, "dark"), lit(same, 1./16)),
		SaveFilm(filepath.Join(films, "bright"), lit(same, 12)),
		saveID(filepath.Join(dir, "id.jpg"), card),
		saveID(filepath.Join(dir, "live.jpg"), live),
		saveID(filepath.Join(dir, "other.jpg"), stranger),
		saveID(filepath.Join(dir, "blank.jpg"), scene.Card(nil, image.Rectangle{})),
	)
}

// saveID saves what is printed around the face on an ID card. It is large
// enough to end the search for a face, and cut so that none is seen in it
// upside down, which would have to be looked into: half the time of an attempt.
func saveID(path string, card image.Image) error {
	photo := image.NewRGBA(image.Rect(0, 0, 200, 200))
	draw.BiLinear.Scale(photo, photo.Rect, card, image.Rect(95, 240, 335, 480), draw.Src, nil)
	data, err := scene.JPEG(photo)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
