package gpio

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"github.com/facegate/facegate/hal"
)

// A use says whether somebody holds a line, and who.
type use struct {
	used     bool
	consumer string // what the holder calls itself: program@pid, or a kernel driver
}

// err is the error for a request of a line that is used.
func (u use) err() error {
	switch {
	case strings.HasSuffix(u.consumer, fmt.Sprintf("@%d", os.Getpid())):
		return fmt.Errorf("%w by this program already (each role needs a line of its own)", hal.ErrInUse)
	case u.consumer == "":
		return fmt.Errorf("%w by the kernel or a program without a name (see gpioinfo)", hal.ErrInUse)
	}
	return fmt.Errorf("%w by %q (stop that program, or choose another line; see gpioinfo)", hal.ErrInUse, u.consumer)
}

// lineInfo is struct gpio_v2_line_info of the kernel's include/uapi/linux/gpio.h.
type lineInfo struct {
	name     [32]byte
	consumer [32]byte
	offset   uint32
	numAttrs uint32
	flags    uint64
	attrs    [10]struct {
		id      uint32
		padding uint32
		value   uint64
	}
	padding [4]uint32
}

// From the same file: GPIO_V2_GET_LINEINFO_IOCTL, which is
// _IOWR(0xB4, 0x05, struct gpio_v2_line_info), and GPIO_V2_LINE_FLAG_USED.
const (
	lineInfoSize  = 256
	getLineInfo   = 3<<30 | lineInfoSize<<16 | 0xB4<<8 | 0x05
	lineFlagsUsed = 1 << 0
)

// The kernel knows the struct by its size, which is the same on 32 bits.
var _ [lineInfoSize]byte = [unsafe.Sizeof(lineInfo{})]byte{}

// inspect asks the kernel who holds a line now. periph keeps only what was
// true when it found the chip.
func inspect(path string, number int) (use, error) {
	f, err := os.Open(path)
	if err != nil {
		return use{}, err
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return use{}, err
	}
	info := lineInfo{offset: uint32(number)}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, getLineInfo, uintptr(unsafe.Pointer(&info)))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		return use{}, fmt.Errorf("read line %d of %s: %w", number, path, err)
	}
	consumer, _, _ := bytes.Cut(info.consumer[:], []byte{0})
	return use{used: info.flags&lineFlagsUsed != 0, consumer: string(consumer)}, nil
}
