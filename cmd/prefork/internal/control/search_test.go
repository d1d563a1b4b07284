package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheOneRunningServerIsFound(t *testing.T) {
	dir := place(t)
	path, err := DefaultPath("tcp://127.0.0.1:9999")
	if err != nil {
		t.Fatal(err)
	}
	stale(t, filepath.Join(dir, "tcp-127.0.0.1-1.sock"))
	if err := os.WriteFile(filepath.Join(dir, "plain.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listen(t, filepath.Join(dir, "not-a-control-socket"))
	listen(t, path)
	if got, err := Find(within(t)); err != nil || got != path {
		t.Errorf("Find = %q, %v, want %s", got, err, path)
	}
}

func TestAServerUnderSystemdIsFoundFromItsUnit(t *testing.T) {
	place(t)
	dir := filepath.Join(os.Getenv("TMPDIR"), "unit")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RUNTIME_DIRECTORY", dir)
	path, err := DefaultPath("systemd:web")
	if err != nil {
		t.Fatal(err)
	}
	listen(t, path)
	if got, err := Find(within(t)); err != nil || got != path {
		t.Errorf("Find = %q, %v, want %s", got, err, path)
	}
}

func TestAmongSeveralServersTheErrorListsThem(t *testing.T) {
	place(t)
	var paths []string
	for _, address := range []string{"tcp://:1", "tcp://:2"} {
		path, err := DefaultPath(address)
		if err != nil {
			t.Fatal(err)
		}
		listen(t, path)
		paths = append(paths, path)
	}
	_, err := Find(within(t))
	if err == nil {
		t.Fatal("one of two was chosen")
	}
	for _, path := range paths {
		if !strings.Contains(err.Error(), "--control "+path) {
			t.Errorf("the error does not offer %s: %v", path, err)
		}
	}
	if got, err := FindListen(within(t), "tcp://:2"); err != nil || got != paths[1] {
		t.Errorf("FindListen = %q, %v, want %s", got, err, paths[1])
	}
}

func TestWithoutAServerTheErrorSaysWhereItLookedAndHowToStartOne(t *testing.T) {
	dir := place(t)
	_, err := Find(within(t))
	if err == nil || !strings.Contains(err.Error(), dir+" (not there)") || !strings.Contains(err.Error(), "prefork serve") {
		t.Errorf("Find: %v", err)
	}
	if _, err := DefaultPath("tcp://:1"); err != nil {
		t.Fatal(err)
	}
	stale(t, filepath.Join(dir, fileName("tcp://:1")))
	_, err = FindListen(within(t), "tcp://:1")
	if err == nil || !strings.Contains(err.Error(), "for tcp://:1") || !strings.Contains(err.Error(), "prefork serve --listen tcp://:1") {
		t.Errorf("FindListen: %v", err)
	}
}
