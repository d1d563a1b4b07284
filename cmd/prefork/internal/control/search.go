package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Find returns the control socket of the one server that runs. If there are several
// or none, the error says where it looked and what to do.
func Find(ctx context.Context) (string, error) {
	var s search
	for _, dir := range places() {
		s.directory(ctx, dir)
	}
	return s.verdict("")
}

// FindListen returns the control socket of the server whose first address is
// listen.
func FindListen(ctx context.Context, listen string) (string, error) {
	var s search
	for _, dir := range places() {
		if !s.believe(dir) {
			continue
		}
		path, err := join(dir.path, fileName(listen))
		if err != nil {
			return "", err
		}
		if s.try(ctx, path) {
			break // the first in order is the one that a server would take
		}
	}
	return s.verdict(listen)
}

func places() []directory {
	dirs := directories()
	if slices.ContainsFunc(dirs, func(d directory) bool { return d.path == systemDirectory }) {
		return dirs
	}
	return append(dirs, directory{path: systemDirectory})
}

type search struct {
	looked []string // one line for each place
	live   []string
	denied []string
}

// maxSockets bounds the files looked at in one directory.
const maxSockets = 256

func (s *search) directory(ctx context.Context, dir directory) {
	if !s.believe(dir) {
		return
	}
	d, err := os.Open(dir.path)
	if err != nil {
		return // gone or closed to us: believe has noted the place
	}
	defer d.Close()
	names, _ := d.Readdirnames(maxSockets) // what was read before an error counts
	for _, name := range names {
		if strings.HasSuffix(name, suffix) {
			s.try(ctx, filepath.Join(dir.path, name))
		}
	}
}

// believe notes a place and reports whether its sockets can be trusted.
func (s *search) believe(dir directory) bool {
	note := ""
	defer func() { s.looked = append(s.looked, dir.path+note) }()
	_, err := os.Stat(dir.path)
	if err == nil && dir.private {
		err = owned(dir.path)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, fs.ErrNotExist):
		note = " (not there)"
	default:
		note = " (" + strings.TrimPrefix(err.Error(), dir.path+" ") + ")"
	}
	return false
}

// probeTimeout bounds the look at one socket: connecting to a Unix socket
// either works at once or waits for a queue that a dead server does not empty.
const probeTimeout = 2 * time.Second

// try notes the socket if a server listens on it. A killed server leaves a file,
// which is skipped.
func (s *search) try(ctx context.Context, path string) bool {
	d := net.Dialer{Timeout: probeTimeout}
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		s.live = append(s.live, path)
		return true
	case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM):
		s.denied = append(s.denied, path)
	}
	return false
}

// verdict returns the one socket, or the error that helps. listen is what was
// looked for, or "".
func (s *search) verdict(listen string) (string, error) {
	switch {
	case len(s.live) == 1:
		return s.live[0], nil
	case len(s.live) > 1:
		var b strings.Builder
		b.WriteString("several servers run; choose one:")
		for _, path := range s.live {
			b.WriteString("\n  --control " + path)
		}
		return "", errors.New(b.String())
	case len(s.denied) > 0:
		return "", fmt.Errorf("no permission to use %s: ask as the server's user or as root", strings.Join(s.denied, ", "))
	}
	what, start := "", "prefork serve"
	if listen != "" {
		what, start = " for "+listen, "prefork serve --listen "+listen
	}
	return "", fmt.Errorf("no running server found%s; looked in:\n  %s\nstart one with: %s\nor name its socket with: --control PATH",
		what, strings.Join(s.looked, "\n  "), start)
}
