package notifytest

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"prefork/systemd"
)

// stored is one descriptor of the store, owned by the Recorder.
type stored struct {
	name string
	fd   int
}

// keep does what FDSTORE=1 and FDSTOREREMOVE=1 ask for. After FDSTORE=1 without
// an error fds are the store's. The caller holds mu.
func (r *Recorder) keep(m Message, fds []int) error {
	name, named := m.Get("FDNAME")
	if len(name) > 255 || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c >= 0x7f || c == ':' }) {
		return fmt.Errorf("FDNAME=%q is no descriptor name", name)
	}
	switch {
	case m.Has("FDSTOREREMOVE", "1"):
		if !named {
			return fmt.Errorf("FDSTOREREMOVE=1 without FDNAME")
		}
		r.store = slices.DeleteFunc(r.store, func(s stored) bool {
			if s.name == name {
				_ = unix.Close(s.fd)
			}
			return s.name == name
		})
	case m.Has("FDSTORE", "1"):
		if !named {
			name = "stored" // systemd's own word for it
		}
		for _, fd := range fds {
			r.add(name, fd)
		}
	}
	return nil
}

// add takes fd. As in the manager, a descriptor of a file description that is
// in the store already is dropped and the old one keeps its name.
func (r *Recorder) add(name string, fd int) {
	for _, s := range r.store {
		if same(s.fd, fd) {
			_ = unix.Close(fd)
			return
		}
	}
	r.store = append(r.store, stored{name, fd})
}

// same reports whether two descriptors share one open file description. Where the
// kernel lacks kcmp(2), no two do.
func same(a, b int) bool {
	const kcmpFile = 0
	pid := uintptr(unix.Getpid())
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, uintptr(a), uintptr(b), 0)
	return errno == 0 && order == 0
}

// Stored returns what the descriptor store holds, in the order of arrival. The
// descriptors stay the recorder's: they are valid until they are removed or the
// test ends.
func (r *Recorder) Stored() []systemd.File {
	r.mu.Lock()
	defer r.mu.Unlock()
	files := make([]systemd.File, len(r.store))
	for i, s := range r.store {
		files[i] = systemd.File{FD: s.fd, Name: s.name}
	}
	return files
}
