package inbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var (
	errNothing = errors.New("nothing to take")                 // taken already, or still empty
	errMissed  = errors.New("more files arrived than noticed") // the kernel dropped notices
	errGone    = errors.New("the folder is not there any more")
)

// A refusal is why a file was removed without being used.
type refusal struct {
	cause Cause
	err   error
}

func (r *refusal) Error() string { return fmt.Sprintf("%s: %v", r.cause, r.err) }

// A folder is a directory that is watched. It is held open, and files are
// reached through it alone, whatever becomes of its path.
type folder struct {
	path    string
	dir     *os.File
	notices *os.File // inotify(7)
}

// An arrival is a file that may be complete.
type arrival struct {
	name  string
	moved bool // renamed into place, as opposed to closed after writing
}

// An entry is what lies in the folder.
type entry struct {
	name    string
	changed time.Time
}

func openFolder(path string) (*folder, error) {
	dir, err := os.OpenFile(path, unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("%s: no such folder (create it, owned by this user)", path)
	case errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%s: not a folder", path)
	case errors.Is(err, os.ErrPermission):
		return nil, barred(path)
	case err != nil:
		return nil, err
	}
	f := &folder{path: path, dir: dir}
	if err := f.watch(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func barred(path string) error {
	return fmt.Errorf("%s: this user may not read and remove files there (chown or chmod it; if only systemd's sandbox forbids it, add ReadWritePaths= to the unit)", path)
}

// watch asks the kernel for notices.
func (f *folder) watch() error {
	if err := unix.Faccessat(int(f.dir.Fd()), ".", unix.R_OK|unix.W_OK|unix.X_OK, 0); err != nil {
		return barred(f.path)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch %s: %w (see fs.inotify.max_user_instances)", f.path, err)
	}
	f.notices = os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, f.path, unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO|unix.IN_ONLYDIR); err != nil {
		return fmt.Errorf("watch %s: %w (see fs.inotify.max_user_watches)", f.path, err)
	}
	return f.same()
}

func (f *folder) close() {
	_ = f.dir.Close()
	if f.notices != nil {
		_ = f.notices.Close()
	}
}

// same returns an error if the path leads to another folder than the one that
// is watched.
func (f *folder) same() error {
	held, err := f.dir.Stat()
	if err != nil {
		return err
	}
	if found, err := os.Stat(f.path); err != nil || !os.SameFile(held, found) {
		return fmt.Errorf("%s: %w", f.path, errGone)
	}
	return nil
}

// wait returns what arrived, at the latest after most, then perhaps nothing.
func (f *folder) wait(most time.Duration) ([]arrival, error) {
	if err := f.notices.SetReadDeadline(time.Now().Add(most)); err != nil {
		return nil, err
	}
	buf := make([]byte, 16<<10)
	n, err := f.notices.Read(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", f.path, err)
	}
	return arrivals(buf[:n])
}

// arrivals reads the kernel's notices: struct inotify_event of
// linux/inotify.h, a head of four 32-bit numbers (watch, mask, cookie, length
// of the name) and the name, padded with zeros.
func arrivals(notices []byte) ([]arrival, error) {
	var all []arrival
	for len(notices) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(notices[4:])
		length := binary.NativeEndian.Uint32(notices[12:])
		rest := notices[unix.SizeofInotifyEvent:]
		if uint64(length) > uint64(len(rest)) {
			return nil, errMissed
		}
		name := strings.TrimRight(string(rest[:length]), "\x00")
		notices = rest[length:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			return nil, errMissed
		case mask&unix.IN_IGNORED != 0:
			return nil, errGone
		case mask&unix.IN_ISDIR == 0 && name != "":
			all = append(all, arrival{name: name, moved: mask&unix.IN_MOVED_TO != 0})
		}
	}
	return all, nil
}

// list returns what lies in the folder, other folders apart.
func (f *folder) list() ([]entry, error) {
	fd, err := unix.Openat(int(f.dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", f.path, err)
	}
	dir := os.NewFile(uintptr(fd), f.path)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", f.path, err)
	}
	var all []entry
	for _, name := range names {
		var st unix.Stat_t
		err := unix.Fstatat(int(f.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
			continue
		}
		// A copy may carry the time of its original; the inode's is its own.
		changed := time.Unix(st.Ctim.Unix())
		if written := time.Unix(st.Mtim.Unix()); written.After(changed) {
			changed = written
		}
		all = append(all, entry{name, changed})
	}
	return all, nil
}

func (f *folder) remove(name string) error {
	if err := unix.Unlinkat(int(f.dir.Fd()), name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// read removes a file and returns what was in it. The error is errNothing, or
// a *refusal that says why the file cannot be used.
func (f *folder) read(a arrival) ([]byte, error) {
	fd, err := unix.Openat(int(f.dir.Fd()), a.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, errNothing
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO): // a link, a socket
		return nil, f.discard(a.name, NotAFile, err)
	case err != nil:
		return nil, f.discard(a.name, Unreadable, err)
	}
	file := os.NewFile(uintptr(fd), "inbox file")
	defer file.Close()
	var st unix.Stat_t
	switch err := unix.Fstat(fd, &st); {
	case err != nil:
		return nil, f.discard(a.name, Unreadable, err)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, f.discard(a.name, NotAFile, errors.New("not a regular file"))
	case st.Size == 0 && !a.moved:
		return nil, errNothing // made first, to be written later
	case st.Size == 0:
		return nil, f.discard(a.name, Empty, errors.New("no bytes"))
	}
	picture, err := io.ReadAll(io.LimitReader(file, MaxPicture+1))
	switch {
	case err != nil:
		return nil, f.discard(a.name, Unreadable, err)
	case len(picture) > MaxPicture:
		return nil, f.discard(a.name, TooLarge, fmt.Errorf("more than %d bytes", MaxPicture))
	}
	// If another file took the name meanwhile, that one has a notice of its own.
	var now unix.Stat_t
	if err := unix.Fstatat(int(f.dir.Fd()), a.name, &now, unix.AT_SYMLINK_NOFOLLOW); err == nil && (now.Ino != st.Ino || now.Dev != st.Dev) {
		return picture, nil
	}
	if err := f.remove(a.name); err != nil {
		return nil, &refusal{NotRemoved, err}
	}
	return picture, nil
}

// discard removes a file and returns the refusal to tell of it.
func (f *folder) discard(name string, cause Cause, why error) error {
	if err := f.remove(name); err != nil {
		return &refusal{NotRemoved, errors.Join(why, err)}
	}
	return &refusal{cause, why}
}
