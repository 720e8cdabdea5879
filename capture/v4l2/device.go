package v4l2

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A system is where devices are looked for.
type system struct {
	sys   string                  // /sys
	dev   string                  // /dev
	check func(path string) error // whether the node at path is a camera
}

// A node is one entry of /sys/class/video4linux.
type node struct {
	path   string // in /dev
	number int    // of videoN
	name   string
	index  int    // among the nodes of one device
	usb    string // directory of the USB device in /sys; empty for others
	vendor string // as four hexadecimal digits
	model  string
	serial string // may be empty
}

// find returns the path of the configured device.
func (s system) find(device string) (string, error) {
	if id, ok := strings.CutPrefix(device, "usb:"); ok {
		return s.findUSB(id)
	}
	if !filepath.IsAbs(device) {
		return "", errors.New("not a device (give a path, or usb:VID:PID with four hexadecimal digits each)")
	}
	path, err := filepath.EvalSymlinks(device)
	if errors.Is(err, fs.ErrNotExist) {
		return "", s.noSuchDevice()
	}
	if err != nil {
		return "", err
	}
	return path, s.check(path)
}

// findUSB finds VID:PID or VID:PID:SERIAL.
func (s system) findUSB(id string) (string, error) {
	vendor, rest, _ := strings.Cut(id, ":")
	model, serial, withSerial := strings.Cut(rest, ":")
	if !isHex4(vendor) || !isHex4(model) || withSerial && serial == "" {
		return "", errors.New("not a USB device (give usb:VID:PID or usb:VID:PID:SERIAL, with four hexadecimal digits each)")
	}
	var matches []node
	for _, n := range s.nodes() {
		if strings.EqualFold(n.vendor, vendor) && strings.EqualFold(n.model, model) && (!withSerial || n.serial == serial) {
			matches = append(matches, n)
		}
	}
	if len(matches) == 0 {
		return "", s.noSuchDevice()
	}
	for _, n := range matches {
		if n.usb != matches[0].usb {
			return "", fmt.Errorf("several cameras match: %s (add the serial number, or use a path in /dev/v4l/by-path)", describe(matches))
		}
	}
	var err error
	for _, n := range matches {
		if err = s.check(n.path); err == nil {
			return n.path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", matches[len(matches)-1].path, err)
}

func isHex4(s string) bool {
	_, err := strconv.ParseUint(s, 16, 16)
	return len(s) == 4 && err == nil
}

// noSuchDevice names the cameras that there are.
func (s system) noSuchDevice() error {
	const hint = "see v4l2-ctl --list-devices"
	nodes := s.nodes()
	if len(nodes) == 0 {
		return errors.New("no such device, no camera is connected (" + hint + ")")
	}
	return fmt.Errorf("no such device, connected are %s (%s)", describe(nodes), hint)
}

// describe lists the first node of each device.
func describe(nodes []node) string {
	var out []string
	for _, n := range nodes {
		if n.index != 0 {
			continue
		}
		text := n.path + " " + strconv.Quote(n.name)
		if n.usb != "" {
			text += " usb:" + n.vendor + ":" + n.model
			if n.serial != "" {
				text += ":" + n.serial
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// nodes lists the video devices, by index within their device, then number.
func (s system) nodes() []node {
	dirs, _ := filepath.Glob(filepath.Join(s.sys, "class/video4linux/video*")) // fails only on a bad pattern
	var out []node
	for _, dir := range dirs {
		number, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "video"))
		if err != nil {
			continue
		}
		n := node{path: filepath.Join(s.dev, filepath.Base(dir)), number: number, name: attribute(dir, "name")}
		n.index, _ = strconv.Atoi(attribute(dir, "index")) // absent on old kernels: 0
		n.addUSB(filepath.Join(dir, "device"))
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b node) int {
		return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.number, b.number))
	})
	return out
}

// addUSB fills in the USB device, whose directory is the parent of most
// nodes' device, which is one of its interfaces.
func (n *node) addUSB(link string) {
	device, err := filepath.EvalSymlinks(link)
	if err != nil {
		return
	}
	for _, dir := range []string{device, filepath.Dir(device)} {
		if vendor := attribute(dir, "idVendor"); vendor != "" {
			n.usb, n.vendor = dir, vendor
			n.model, n.serial = attribute(dir, "idProduct"), attribute(dir, "serial")
			return
		}
	}
}

// attribute reads a file of /sys; an absent one is empty.
func attribute(dir, name string) string {
	data, _ := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(data))
}
