package v4l2

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapLeaked removes this process's mappings of a device.
//
// blackjack/webcam#70: when streaming fails to start, the library forgets the
// buffers that it has mapped. Each mapping holds the device open, so that it
// would stay busy until the process ends: a camera lost for good to one
// moment without USB bandwidth.
func unmapLeaked(device string) error {
	ranges, err := deviceMappings(device)
	if err != nil {
		return err
	}
	for _, r := range ranges {
		// Not unix.Munmap, which wants the slice that was lost.
		if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, r.start, r.end-r.start, 0); errno != 0 {
			return errno
		}
	}
	return nil
}

// deviceMappings lists this process's mappings of a device.
func deviceMappings(device string) ([]memoryRange, error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer maps.Close()
	return mappings(maps, device)
}

// A memoryRange is the addresses of one mapping.
type memoryRange struct{ start, end uintptr }

// mappings finds a file in the text of /proc/PID/maps, proc_pid_maps(5):
// start-end, permissions, offset, device, inode and path.
func mappings(maps io.Reader, path string) ([]memoryRange, error) {
	var out []memoryRange
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[5] != path {
			continue
		}
		from, to, ok := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseUint(from, 16, strconv.IntSize)
		end, err2 := strconv.ParseUint(to, 16, strconv.IntSize)
		if ok && err1 == nil && err2 == nil && start < end {
			out = append(out, memoryRange{uintptr(start), uintptr(end)})
		}
	}
	return out, lines.Err()
}
