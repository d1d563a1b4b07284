package handlers

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// site is a directory on the web. It is an http.FileSystem and not an fs.FS, because
// only an *os.File is sent by sendfile.
type site struct {
	path   string
	list   bool
	hidden bool

	opened atomic.Pointer[siteDir]
}

// siteDir is the directory to which the site's path led when it was opened. os.Root
// keeps links inside.
type siteDir struct {
	root *os.Root
	dir  *os.File // the same
	dev  uint64   // its file system
	ino  uint64   // its number there
	real string   // its path without links
}

// newSite opens the directory at path.
func newSite(path string, list, hidden bool) (*site, error) {
	dir, err := openSite(path)
	if err != nil {
		return nil, err
	}
	s := &site{path: path, list: list, hidden: hidden}
	s.opened.Store(dir)
	return s, nil
}

func openSite(path string) (*siteDir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	d := &siteDir{root: root}
	if d.dir, err = root.Open("."); err == nil {
		err = d.identify()
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// identify notes which directory it is.
func (d *siteDir) identify() error {
	info, err := d.dir.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		d.dev, d.ino = st.Dev, st.Ino
	}
	d.real, err = realPath(d.dir)
	return err
}

func (d *siteDir) close() {
	_ = d.root.Close()
	_ = d.dir.Close() // nil if it is not open
}

// directory returns the directory to which the path leads now. A deployment moves a
// link or replaces the directory, and all workers must see that at once. While nothing
// is there, it is the last one.
func (s *site) directory() *siteDir {
	for {
		was := s.opened.Load()
		var st syscall.Stat_t // os.Stat would allocate
		err := syscall.Stat(s.path, &st)
		if err != nil || st.Dev == was.dev && st.Ino == was.ino {
			return was
		}
		now, err := openSite(s.path)
		if err != nil {
			return was
		}
		if s.opened.CompareAndSwap(was, now) {
			was.close()
			return now
		}
		now.close() // another request was faster
	}
}

// Open opens a regular file, or a directory that may be listed or has an index page.
// For everything else the error is fs.ErrNotExist.
func (s *site) Open(name string) (http.File, error) {
	f, info, err := s.open(name)
	if err != nil {
		return nil, err
	}
	dir, _ := f.(*os.File)
	switch {
	case info.Mode().IsRegular():
		return f, nil
	case info.IsDir() && s.list:
		return listedDir{dir, s.hidden}, nil
	case info.IsDir() && s.hasIndex(name):
		return closedDir{dir}, nil
	}
	_ = f.Close()
	return nil, notFound(name)
}

func notFound(name string) error { return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist} }

// open opens what has that name, if it is not hidden.
func (s *site) open(name string) (http.File, fs.FileInfo, error) {
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		name = "."
	}
	if !fs.ValidPath(name) || !s.hidden && isHidden(name) {
		return nil, nil, notFound(name)
	}
	for {
		d := s.directory()
		if f, info := d.openPlain(name); f != nil {
			return f, info, nil
		}
		f, info, err := d.open(name, s.hidden)
		switch {
		case err == nil:
			return f, info, nil
		case errors.Is(err, fs.ErrClosed):
			continue // another request has replaced the directory
		case errors.Is(err, fs.ErrPermission), isResourceError(err):
			return nil, nil, err // 403, 500
		}
		return nil, nil, notFound(name) // for example, a link that leads out
	}
}

// open opens what has that name, also through links.
func (d *siteDir) open(name string, hidden bool) (*os.File, fs.FileInfo, error) {
	// Without O_NONBLOCK, to open a named pipe would block.
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !hidden {
		err = d.visible(f)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// visible returns an error if f is outside the directory or has a hidden name, to
// which a link has led.
func (d *siteDir) visible(f *os.File) error {
	real, err := realPath(f)
	if err != nil {
		return err
	}
	name, inside := within(d.real, real)
	if !inside { // the directory may have been renamed
		root, err := realPath(d.dir)
		if err != nil {
			return err
		}
		name, inside = within(root, real)
	}
	if !inside || isHidden(name) {
		return notFound(real)
	}
	return nil
}

// within returns the name of path relative to dir. Both must be without links.
func within(dir, path string) (name string, inside bool) {
	if path == dir {
		return ".", true
	}
	return strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// realPath returns the path of an open file, without links.
func realPath(f *os.File) (path string, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return "", err
	}
	controlErr := raw.Control(func(fd uintptr) { path, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(int(fd))) })
	return path, errors.Join(controlErr, err)
}

// isResourceError reports whether err is about the machine and not about the name.
func isResourceError(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

func (s *site) hasIndex(dir string) bool {
	f, info, err := s.open(path.Join(dir, "index.html"))
	if err != nil {
		return false
	}
	_ = f.Close()
	return info.Mode().IsRegular()
}

// listedDir does not list hidden names.
type listedDir struct {
	*os.File
	hidden bool
}

// ReadDir is called by http.FileServer.
func (d listedDir) ReadDir(n int) ([]fs.DirEntry, error) {
	entries, err := d.File.ReadDir(n)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !d.hidden && isHidden(e.Name()) }), err
}

// closedDir is not listed: http.FileServer would do that if its index page were
// deleted at this moment.
type closedDir struct{ *os.File }

// ReadDir is called by http.FileServer.
func (closedDir) ReadDir(int) ([]fs.DirEntry, error) { return nil, fs.ErrPermission }

// isHidden reports whether a part of the path begins with a dot, except .well-known
// (RFC 8615).
func isHidden(name string) bool {
	if name == "." {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != ".well-known" {
			return true
		}
	}
	return false
}
