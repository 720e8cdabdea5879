package v4l2

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// The sizes are those of the kernel's structs; the numbers, which contain
// them, are what a C compiler makes of videodev2.h.
func TestStructsMatchTheKernel(t *testing.T) {
	size, offset, number := uintptr(208), uintptr(8), uintptr(0xc0d05604)
	if strconv.IntSize == 32 {
		size, offset, number = 204, 4, 0xc0cc5604
	}
	if got := unsafe.Sizeof(format{}); got != size {
		t.Errorf("v4l2_format has %d bytes, want %d", got, size)
	}
	if got := requestGetFormat(); got != number {
		t.Errorf("VIDIOC_G_FMT is %#x, want %#x", got, number)
	}
	if got := request(iocRead|iocWrite, 5, size); got != webcam.VIDIOC_S_FMT {
		t.Errorf("VIDIOC_S_FMT is %#x, the library has %#x", got, webcam.VIDIOC_S_FMT)
	}
	if got := unsafe.Offsetof(format{}.pix); got != offset {
		t.Errorf("its union is at %d, want %d", got, offset)
	}
	size, number = 88, 0xc0585609
	if strconv.IntSize == 32 {
		size, number = 68, 0xc0445609
	}
	if got := unsafe.Sizeof(buffer{}); got != size {
		t.Errorf("v4l2_buffer has %d bytes, want %d", got, size)
	}
	if got := requestQueryBuffer(); got != number || got != webcam.VIDIOC_QUERYBUF {
		t.Errorf("VIDIOC_QUERYBUF is %#x, want %#x; the library has %#x", got, number, webcam.VIDIOC_QUERYBUF)
	}
	if got := unsafe.Sizeof(pixFormat{}); got != 48 {
		t.Errorf("v4l2_pix_format has %d bytes, want 48", got)
	}
	if got := unsafe.Sizeof(capability{}); got != 104 {
		t.Errorf("v4l2_capability has %d bytes, want 104", got)
	}
	if got := requestQueryCap(); got != 0x80685600 || got != webcam.VIDIOC_QUERYCAP {
		t.Errorf("VIDIOC_QUERYCAP is %#x", got)
	}
}

// The library keeps its descriptor to itself, and could rename it.
func TestDescriptor(t *testing.T) {
	var w webcam.Webcam
	reflect.NewAt(reflect.TypeFor[uintptr](), unsafe.Pointer(reflect.ValueOf(&w).Elem().FieldByName("fd").UnsafeAddr())).Elem().SetUint(7)
	if got := descriptor(&w); got != 7 {
		t.Errorf("descriptor %d, want 7", got)
	}
}

func TestFourCC(t *testing.T) {
	// videodev2.h: v4l2_fourcc('Y', 'U', 'Y', 'V')
	if codeYUYV != 0x56595559 || codeYUYV.String() != "YUYV" {
		t.Errorf("%#x %s", uint32(codeYUYV), codeYUYV)
	}
}

func TestControlRefusesOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "video0")
	if _, err := openControl(path); err != unix.ENOENT {
		t.Errorf("open: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := openControl(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if got, err := c.capability(); err == nil {
		t.Errorf("capability: %v", got)
	}
	if got, err := c.format(); err == nil {
		t.Errorf("format: %v", got)
	}
	other, err := openControl(path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if err := c.lock(); err != nil {
		t.Errorf("lock: %v", err)
	}
	if err := other.lock(); err != unix.EWOULDBLOCK {
		t.Errorf("second lock: %v", err)
	}
}

func TestMappings(t *testing.T) {
	const maps = `00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/facegate
7f10-7f20 rw-s 00000000 00:05 88 /dev/video0
7f20-7f30 rw-s 00001000 00:05 88 /dev/video0
7f30-7f40 rw-s 00000000 00:05 89 /dev/video01
7f40-7f50 rw-s 00002000 00:05 88 /dev/video0 (deleted)
zz-7f60 rw-s 00000000 00:05 88 /dev/video0
7f70-7f60 rw-s 00000000 00:05 88 /dev/video0
7f80 rw-s 00000000 00:05 88 /dev/video0
7f90-7fa0 rw-p 00000000 00:00 0
`
	got, err := mappings(strings.NewReader(maps), "/dev/video0")
	want := []memoryRange{{0x7f10, 0x7f20}, {0x7f20, 0x7f30}, {0x7f40, 0x7f50}}
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v, want %v", got, err, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("range %d is %v, want %v", i, got[i], want[i])
		}
	}
}

// A library that forgets its mappings leaves them to us.
func TestUnmapLeaked(t *testing.T) {
	path, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(path, "video0")
	if err := os.WriteFile(path, make([]byte, 3*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := unix.Mmap(int(file.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_SHARED); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := deviceMappings(path); err != nil || len(got) == 0 {
		t.Fatalf("nothing is mapped, so the test shows nothing: %v", err)
	}
	if err := unmapLeaked(path); err != nil {
		t.Error(err)
	}
	if got, err := deviceMappings(path); err != nil || len(got) != 0 {
		t.Errorf("still mapped: %v, %v", got, err)
	}
}
