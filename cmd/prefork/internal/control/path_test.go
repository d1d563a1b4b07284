package control

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"prefork/internal/needtool"
)

func TestASocketIsNamedAfterTheAddress(t *testing.T) {
	for listen, want := range map[string]string{
		"tcp://127.0.0.1:9999":                 "tcp-127.0.0.1-9999.sock",
		"127.0.0.1:9999":                       "tcp-127.0.0.1-9999.sock",
		"tcp://:80":                            "tcp--80.sock",
		":80":                                  "tcp--80.sock",
		"tcp://[::1]:80":                       "tcp-__1-80.sock",
		"tcp6://[fe80::1%eth0]:80":             "tcp6-fe80__1_eth0-80.sock",
		"tcp4://localhost:80":                  "tcp4-localhost-80.sock",
		"unix:///run/a b/x.sock?mode=0660":     "unix-_run_a_b_x.sock.sock",
		"unix:@name":                           "unix-_name.sock",
		"systemd:web":                          "systemd-web.sock",
		"unix:///../../etc/passwd\x00\n\u2028": "unix-_.._.._etc_passwd___.sock",
	} {
		got := fileName(listen)
		if got != want {
			t.Errorf("fileName(%q) = %q, want %q", listen, got, want)
		}
		if strings.ContainsAny(got, "/\x00") {
			t.Errorf("fileName(%q) = %q leaves its directory", listen, got)
		}
	}
}

func TestTheDefaultPathIsInTheFirstDirectoryThatExists(t *testing.T) {
	temp := place(t)
	const listen, name = "tcp://127.0.0.1:9999", "tcp-127.0.0.1-9999.sock"
	check := func(want string) {
		t.Helper()
		got, err := DefaultPath(listen)
		if err != nil || got != filepath.Join(want, name) {
			t.Errorf("DefaultPath = %q, %v, want it in %s", got, err, want)
		}
	}
	check(temp)
	if info, err := os.Stat(temp); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v, want mode 0700", temp, info, err)
	}
	xdg := filepath.Join(os.Getenv("TMPDIR"), "xdg")
	t.Setenv("XDG_RUNTIME_DIR", xdg)
	check(temp) // a missing directory is skipped
	if err := os.Mkdir(xdg, 0o700); err != nil {
		t.Fatal(err)
	}
	check(filepath.Join(xdg, "prefork"))
	t.Setenv("RUNTIME_DIRECTORY", "/run/one:/run/two")
	check("/run/one")
}

func TestWithPortZeroEachServerHasItsOwnPath(t *testing.T) {
	place(t)
	for _, listen := range []string{"tcp://127.0.0.1:0", "127.0.0.1:0"} {
		got, err := DefaultPath(listen)
		if want := "tcp-127.0.0.1-0-" + strconv.Itoa(os.Getpid()) + ".sock"; err != nil || filepath.Base(got) != want {
			t.Errorf("DefaultPath(%q) = %q, %v, want %s", listen, got, err, want)
		}
	}
}

func TestADirectoryThatOthersCanWriteIsNotUsed(t *testing.T) {
	for name, plant := range map[string]func(dir string) error{
		"can be written to by others": func(dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chmod(dir, 0o777)
		},
		"is not a directory": func(dir string) error {
			real := dir + "-real"
			if err := os.Mkdir(real, 0o700); err != nil {
				return err
			}
			return os.Symlink(real, dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := place(t)
			if err := plant(dir); err != nil {
				t.Fatal(err)
			}
			listen(t, filepath.Join(dir, "tcp--80.sock"))
			if _, err := DefaultPath("tcp://:80"); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("the server would use it: %v", err)
			}
			if path, err := Find(within(t)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("the client believes it: %q, %v", path, err)
			}
		})
	}
}

func TestWithoutADirectoryTheErrorSaysHowToChooseAPath(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(place(t), "none"))
	if path, err := DefaultPath("tcp://:80"); err == nil || !strings.Contains(err.Error(), "--control") {
		t.Errorf("DefaultPath = %q, %v; want an error that names --control", path, err)
	}
}

func TestADirectoryOfAnotherUserIsNotUsed(t *testing.T) {
	needtool.Root(t, "gives a directory away")
	dir := place(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if _, err := DefaultPath("tcp://:80"); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("the server would use it: %v", err)
	}
}

func TestAPathThatDoesNotFitASocketIsHashedOrRefused(t *testing.T) {
	long := "unix:///" + strings.Repeat("a", 100)
	dir := "/" + strings.Repeat("d", 60)
	a, errA := join(dir, fileName(long))
	b, errB := join(dir, fileName(long+"b"))
	if errA != nil || errB != nil || len(a) > maxPath || a == b || filepath.Dir(a) != dir {
		t.Errorf("join: %q %v, %q %v: want two paths that fit", a, errA, b, errB)
	}
	if again, _ := join(dir, fileName(long)); again != a {
		t.Errorf("%q and then %q: the client would not find the server", a, again)
	}
	if path, err := join("/"+strings.Repeat("d", 99), "x.sock"); err != nil {
		t.Errorf("a path of %d bytes fits, but: %v", len(path), err)
	}
	if path, err := join("/"+strings.Repeat("d", 107), "x.sock"); err == nil {
		t.Errorf("join = %q (%d bytes), want an error", path, len(path))
	}
}
