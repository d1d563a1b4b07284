package handlers

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxSmall is the size of the largest file that is read when it is opened. With its
// header it fits into the buffer of net/http, 4 KiB, so that one system call sends the
// whole answer. Larger ones are sent by sendfile.
const maxSmall = 3 << 10

// openPlain opens a regular file to whose name no link leads: openat2(2) refuses links,
// so the file has the name that it was asked for and is inside the directory. For
// everything else, and on kernels without the call, the result is nil.
func (d *siteDir) openPlain(name string) (f http.File, info fs.FileInfo) {
	raw, err := d.dir.SyscallConn()
	if err != nil {
		return nil, nil
	}
	var fd int
	openErr := fs.ErrClosed // if the directory is
	_ = raw.Control(func(dir uintptr) {
		// Without O_NONBLOCK, to open a named pipe would block.
		fd, openErr = unix.Openat2(int(dir), name, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
		})
	})
	if openErr != nil {
		return nil, nil
	}
	st := new(fileInfo)
	if err := syscall.Fstat(fd, &st.Stat_t); err != nil || st.Stat_t.Mode&syscall.S_IFMT != unix.S_IFREG {
		_ = unix.Close(fd)
		return nil, nil
	}
	st.name = path.Base(name)
	if small := readSmall(fd, st); small != nil {
		_ = unix.Close(fd)
		return small, st
	}
	return &plainFile{os.NewFile(uintptr(fd), name), st}, st
}

// plainFile is a file whose Stat needs no system call.
type plainFile struct {
	*os.File
	info *fileInfo
}

// Stat returns what the file was when it was opened.
func (f *plainFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// readSmall reads a small file. The result is nil if the file is not small, or
// if its size changes at this moment.
func readSmall(fd int, info *fileInfo) *smallFile {
	size := int(info.Size())
	if size > maxSmall {
		return nil
	}
	content := make([]byte, size+1)
	n, err := unix.Pread(fd, content, 0)
	if err != nil || n != size {
		return nil
	}
	f := &smallFile{info: info}
	f.Reset(content[:n])
	return f
}

// smallFile is a file that has been read. Its content is not reused, because net/http
// may read it for a moment after Close.
type smallFile struct {
	bytes.Reader
	info *fileInfo
}

func (f *smallFile) Stat() (fs.FileInfo, error)         { return f.info, nil }
func (f *smallFile) Readdir(int) ([]fs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (f *smallFile) Close() error                       { return nil }

// fileInfo describes a regular file.
type fileInfo struct {
	syscall.Stat_t
	name string
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.Stat_t.Size }
func (i *fileInfo) Mode() fs.FileMode  { return fs.FileMode(i.Stat_t.Mode & 0o777) }
func (i *fileInfo) ModTime() time.Time { return time.Unix(i.Mtim.Unix()) }
func (i *fileInfo) IsDir() bool        { return false }
func (i *fileInfo) Sys() any           { return &i.Stat_t }

// sendSmall sends a smallFile together with its header. net/http would send the
// header first, as it does for sendfile.
func sendSmall(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&smallResponse{w}, r) })
}

type smallResponse struct{ http.ResponseWriter }

// ReadFrom is called by http.FileServer.
func (w *smallResponse) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(w.ResponseWriter, r)
	}
	switch f := limited.R.(type) {
	case *smallFile:
		if limited.N >= int64(f.Len()) {
			n, err := f.WriteTo(w.ResponseWriter)
			limited.N -= n
			return n, err
		}
	case *plainFile:
		limited.R = f.File // which sendfile needs
	}
	return io.Copy(w.ResponseWriter, limited)
}

// Unwrap is for http.ResponseController.
func (w *smallResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }
