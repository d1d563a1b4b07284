package systemd

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// envOf returns a lookup function for NAME=value entries.
func envOf(entries ...string) lookup {
	return func(name string) (string, bool) {
		for _, e := range entries {
			if n, v, _ := strings.Cut(e, "="); n == name {
				return v, true
			}
		}
		return "", false
	}
}

// wantEnvError checks that err names the variable and contains a remedy.
func wantEnvError(t *testing.T, err error, variable, says string) {
	t.Helper()
	var e *EnvError
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want an *EnvError about %s", err, variable)
	}
	if e.Variable != variable {
		t.Errorf("the error blames %s, want %s: %v", e.Variable, variable, e)
	}
	if e.Remedy == "" || !strings.Contains(e.Error(), e.Remedy) {
		t.Errorf("the error names no remedy: %v", e)
	}
	if !strings.Contains(e.Error(), says) {
		t.Errorf("got error %q, want %q in it", e, says)
	}
}

func TestEnvironKeepsWhatConcernsAChild(t *testing.T) {
	env := []string{"PATH=/bin", "NOTIFY_SOCKET=/run/n", "LISTEN_PID=1", "LISTEN_PIDFDID=9", "LISTEN_FDS=1", "LISTEN_FDNAMES=a",
		"WATCHDOG_USEC=1", "WATCHDOG_PID=1", "JOURNAL_STREAM=1:2", "LISTEN_FDS_OTHER=1", "NOTIFY_SOCKET"}
	before := slices.Clone(env)
	want := []string{"PATH=/bin", "JOURNAL_STREAM=1:2", "LISTEN_FDS_OTHER=1"}
	if got := Environ(env); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Equal(env, before) {
		t.Error("the argument was changed")
	}
}

func TestNotifySocketIsReadOrRefusedByName(t *testing.T) {
	long := "/" + strings.Repeat("x", maxSocketPath-1)
	for _, good := range []string{"/run/systemd/notify", "@a", "@a:b", long} {
		if sa, err := parseNotifySocket(good); err != nil || sa.Name != good {
			t.Errorf("%q: got %v, %v", good, sa, err)
		}
	}
	for value, says := range map[string]string{
		"":                  "empty",
		"vsock:2:1234":      "vsock is not supported",
		"vsock-stream:2:12": "vsock is not supported",
		"run/notify":        "no socket address",
		"/":                 "names no socket",
		"@":                 "names no socket",
		"/run/a\x00b":       "NUL",
		long + "x":          "108 bytes",
	} {
		_, err := parseNotifySocket(value)
		wantEnvError(t, err, "NOTIFY_SOCKET", says)
	}
}

func FuzzNotifySocket(f *testing.F) {
	f.Add("/run/systemd/notify")
	f.Add("@x")
	f.Add("vsock:2:1")
	f.Fuzz(func(t *testing.T, value string) {
		sa, err := parseNotifySocket(value)
		if (sa == nil) == (err == nil) {
			t.Fatalf("got %v, %v", sa, err)
		}
		if err == nil && len(sa.Name) > maxSocketPath {
			t.Fatalf("%q does not fit a socket address", sa.Name)
		}
	})
}
