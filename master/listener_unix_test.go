package master

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"prefork/internal/testdir"
)

// swapped binds a Unix socket and replaces its file by a link to another file,
// as a user with write access to the directory can. It also returns the other
// file, which has mode 0600.
func swapped(t *testing.T) (l *listener, victim string) {
	t.Helper()
	dir := testdir.Short(t)
	victim = filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l = bindOne(t, "unix://"+path)
	if err := errors.Join(os.Rename(path, path+".away"), os.Symlink(victim, path)); err != nil {
		t.Fatal(err)
	}
	return l, victim
}

func TestOnlyTheBoundSocketFileIsChanged(t *testing.T) {
	address := func(l *listener) Address {
		return Address{Name: l.name, Path: l.address, UID: os.Geteuid(), GID: os.Getegid(), Mode: 0o666, HasMode: true}
	}
	for name, change := range map[string]func(l *listener, a Address) error{
		"at bind":     (*listener).takeFile,
		"at a reload": (*listener).setFile,
	} {
		t.Run(name, func(t *testing.T) {
			l, victim := swapped(t)
			if err := change(l, address(l)); !errors.Is(err, errFileReplaced) {
				t.Errorf("error = %v, want %v", err, errFileReplaced)
			}
			if info, err := os.Stat(victim); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file that the link leads to: %v, %v; want mode 0600", info.Mode(), err)
			}
		})
	}
}
