package handlers

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"
)

// site is a directory as the web may see it. os.Root keeps every name inside,
// links included. It is an http.FileSystem and no fs.FS, because only an
// *os.File that http.FileServer sees as such is sent by sendfile.
type site struct {
	root   *os.Root
	list   bool
	hidden bool
}

// Open opens a regular file, or a directory that may be listed or has an index
// page. Everything else does not exist.
func (s *site) Open(name string) (http.File, error) {
	missing := &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		name = "."
	}
	if !fs.ValidPath(name) || !s.hidden && isHidden(name) {
		return nil, missing
	}
	// O_NONBLOCK, or a named pipe would hold the request until someone writes
	// into it. It means nothing to a regular file.
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || isTrouble(err) {
			return nil, err // 403, 500
		}
		return nil, missing // which hides why: a link that leads out, a loop
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		_ = f.Close()
		return nil, err
	case info.Mode().IsRegular(), info.IsDir() && s.list:
		if info.IsDir() && !s.hidden {
			return visibleDir{f}, nil
		}
		return f, nil
	case info.IsDir() && s.hasIndex(name):
		return f, nil
	}
	_ = f.Close()
	return nil, missing
}

// isTrouble reports whether err is about this process and not about the name.
func isTrouble(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

func (s *site) hasIndex(dir string) bool {
	info, err := s.root.Stat(dir + "/index.html")
	return err == nil && info.Mode().IsRegular()
}

// visibleDir leaves out of a listing what Open would not open.
type visibleDir struct{ *os.File }

// ReadDir is what http.FileServer lists with.
func (d visibleDir) ReadDir(n int) ([]fs.DirEntry, error) {
	entries, err := d.File.ReadDir(n)
	kept := entries[:0]
	for _, e := range entries {
		if !isHidden(e.Name()) {
			kept = append(kept, e)
		}
	}
	return kept, err
}

// isHidden reports whether any part of the path begins with a dot, .well-known
// (RFC 8615) aside.
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
