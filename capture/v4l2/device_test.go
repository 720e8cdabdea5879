package v4l2

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A fakeNode is one entry of a made-up /sys and /dev.
type fakeNode struct {
	name   string // video0
	title  string
	index  string
	usb    string // directory of the USB device, such as 1-1.2; empty for none
	vendor string
	model  string
	serial string
	refuse string // why it is no camera
}

// fakeSystem lays the nodes out as Linux does: the class directory links to
// the device tree, and a node's device links to an interface of the USB
// device.
func fakeSystem(t *testing.T, nodes ...fakeNode) system {
	t.Helper()
	root := t.TempDir()
	s := system{sys: filepath.Join(root, "sys"), dev: filepath.Join(root, "dev")}
	refused := map[string]string{}
	write := func(dir, name, text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(s.sys, "class/video4linux"), "not-a-node", "")
	for _, n := range nodes {
		device := filepath.Join(s.sys, "devices/platform/soc", n.name)
		if n.usb != "" {
			usb := filepath.Join(s.sys, "devices/usb1", n.usb)
			write(usb, "idVendor", n.vendor)
			write(usb, "idProduct", n.model)
			if n.serial != "" {
				write(usb, "serial", n.serial)
			}
			device = filepath.Join(usb, n.usb+":1.0")
		}
		dir := filepath.Join(device, "video4linux", n.name)
		write(dir, "name", n.title)
		write(dir, "index", n.index)
		link(device, filepath.Join(dir, "device"))
		link(dir, filepath.Join(s.sys, "class/video4linux", n.name))
		write(s.dev, n.name, "")
		refused[filepath.Join(s.dev, n.name)] = n.refuse
	}
	s.check = func(path string) error {
		why, ok := refused[path]
		if !ok {
			return errors.New("checked " + path)
		}
		if why != "" {
			return errors.New(why)
		}
		return nil
	}
	return s
}

func twoCameras(t *testing.T) system {
	return fakeSystem(t,
		fakeNode{"video0", "HD Webcam", "0", "1-1.2", "046d", "082d", "AB12", ""},
		fakeNode{"video1", "HD Webcam", "1", "1-1.2", "046d", "082d", "AB12", "it carries metadata"},
		fakeNode{"video10", "HD Webcam", "0", "1-1.3", "046d", "082d", "CD34", ""},
		fakeNode{"video11", "HD Webcam", "1", "1-1.3", "046d", "082d", "CD34", "it carries metadata"},
		fakeNode{"video2", "rkisp", "0", "", "", "", "", "a multi-planar camera"},
		fakeNode{"video3", "Scanner", "0", "1-1.4", "1FC9", "00ab", "", ""},
	)
}

func TestFind(t *testing.T) {
	s := twoCameras(t)
	byID := filepath.Join(s.dev, "v4l/by-id/usb-HD_Webcam")
	if err := os.MkdirAll(filepath.Dir(byID), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../video10", byID); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]string{
		filepath.Join(s.dev, "video0"): "video0",
		byID:                           "video10",
		"usb:046d:082d:AB12":           "video0",
		"usb:046D:082D:CD34":           "video10",
		"usb:1fc9:00AB":                "video3",
	} {
		got, err := s.find(device)
		if err != nil || got != filepath.Join(s.dev, want) {
			t.Errorf("find(%s) = %s, %v, want %s", device, got, err, want)
		}
	}
}

func TestFindPrefersLowestIndexThatIsACamera(t *testing.T) {
	s := fakeSystem(t,
		fakeNode{"video0", "Cam", "2", "1-1", "046d", "082d", "", ""},
		fakeNode{"video5", "Cam", "0", "1-1", "046d", "082d", "", "it carries metadata"},
		fakeNode{"video7", "Cam", "1", "1-1", "046d", "082d", "", ""},
	)
	got, err := s.find("usb:046d:082d")
	if err != nil || filepath.Base(got) != "video7" {
		t.Errorf("found %s, %v", got, err)
	}
}

func TestFindSaysWhatToDo(t *testing.T) {
	s := twoCameras(t)
	const connected = `/video0 "HD Webcam" usb:046d:082d:AB12, `
	for device, want := range map[string][]string{
		filepath.Join(s.dev, "video9"): {"no such device", connected, `/video2 "rkisp", `, "v4l2-ctl --list-devices"},
		filepath.Join(s.dev, "video1"): {"it carries metadata"},
		filepath.Join(s.dev, "video2"): {"a multi-planar camera"},
		"usb:dead:beef":                {"no such device", connected},
		"usb:046d:082d:EF56":           {"no such device", connected},
		"usb:046d:082d":                {"several cameras match", connected, "CD34", "serial number", "by-path"},
		"usb:046d":                     {"usb:VID:PID:SERIAL"},
		"usb:46d:082d":                 {"four hexadecimal digits"},
		"usb:046d:082d:":               {"usb:VID:PID:SERIAL"},
		"video0":                       {"give a path"},
		"":                             {"give a path"},
	} {
		_, err := s.find(device)
		if err == nil {
			t.Errorf("find(%s) found something", device)
			continue
		}
		for _, text := range want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("find(%s): %q lacks %q", device, err, text)
			}
		}
		if strings.Contains(err.Error(), "/video11") {
			t.Errorf("find(%s): %q names a second node", device, err)
		}
	}
	none := fakeSystem(t)
	if _, err := none.find("/dev/none"); err == nil || !strings.Contains(err.Error(), "no camera is connected") {
		t.Errorf("without a camera: %v", err)
	}
	only := fakeSystem(t, fakeNode{"video4", "Cam", "0", "1-1", "046d", "082d", "", "it can't stream"})
	if _, err := only.find("usb:046d:082d"); err == nil || !strings.Contains(err.Error(), "video4: it can't stream") {
		t.Errorf("with a useless camera: %v", err)
	}
}
