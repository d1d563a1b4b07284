package control

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"prefork/master"
)

const suffix = ".sock"

// maxPath is the room for a path in a socket address (unix(7)), its closing
// NUL aside.
const maxPath = 107

// systemDirectory is where a unit with RuntimeDirectory=prefork has its socket.
// Clients look there too, because they do not run in the unit.
const systemDirectory = "/run/prefork"

// directory is a place for control sockets.
type directory struct {
	path    string
	private bool // ours to make, and to distrust if another user owns it
}

// directories returns the places in order of preference.
func directories() []directory {
	var dirs []directory
	for _, d := range filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY")) {
		if filepath.IsAbs(d) {
			dirs = append(dirs, directory{path: d})
		}
	}
	if d := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(d) && owned(d) == nil {
		dirs = append(dirs, directory{path: filepath.Join(d, "prefork"), private: true})
	}
	temp := filepath.Join(os.TempDir(), "prefork-"+strconv.Itoa(os.Geteuid()))
	return append(dirs, directory{path: temp, private: true})
}

// DefaultPath returns the path of the control socket of a server whose first
// address is listen, and makes its directory.
func DefaultPath(listen string) (string, error) {
	dir := directories()[0]
	if dir.private {
		err := os.Mkdir(dir.path, 0o700)
		if err == nil || errors.Is(err, fs.ErrExist) {
			err = owned(dir.path)
		}
		if err != nil {
			return "", fmt.Errorf("control socket directory: %w; choose a path with --control, or --control none", err)
		}
	}
	name := fileName(listen)
	if anyPort(listen) {
		// Such servers have the same address.
		name = strings.TrimSuffix(name, suffix) + "-" + strconv.Itoa(os.Getpid()) + suffix
	}
	return join(dir.path, name)
}

// owned returns an error unless path is a directory that is this user's and
// that nobody else can write to.
func owned(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", path)
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", path)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written to by others (mode %04o)", path, info.Mode().Perm())
	}
	return nil
}

// fileName makes a file name of a listen address: tcp://127.0.0.1:9999 becomes
// tcp-127.0.0.1-9999.sock, and so does 127.0.0.1:9999.
func fileName(listen string) string {
	if a, err := master.ParseAddress(listen); err == nil {
		listen = a.Name
	}
	address, _, _ := strings.Cut(listen, "?")
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest, _ = strings.Cut(address, ":")
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && strings.HasPrefix(scheme, "tcp") {
		rest = strings.Trim(rest[:i], "[]") + "-" + rest[i+1:]
	}
	plain := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}
	return strings.Map(plain, scheme+"-"+rest) + suffix
}

// anyPort reports whether the kernel chooses the port.
func anyPort(listen string) bool {
	a, err := master.ParseAddress(listen)
	return err == nil && strings.HasPrefix(a.Network, "tcp") && a.Port == 0
}

// join puts a socket's name into a directory, hashed if it does not fit.
func join(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if len(path) <= maxPath {
		return path, nil
	}
	sum := sha256.Sum256([]byte(name))
	path = filepath.Join(dir, hex.EncodeToString(sum[:8])+suffix)
	if len(path) > maxPath {
		return "", fmt.Errorf("control socket: %s has %d bytes, a socket's path at most %d; choose one with --control", path, len(path), maxPath)
	}
	return path, nil
}
