package systemd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestActivationNamesEachDescriptor(t *testing.T) {
	for name, test := range map[string]struct {
		env  []string
		want []File
	}{
		"not activated":     {nil, nil},
		"another process":   {[]string{"LISTEN_PID=8", "LISTEN_FDS=nonsense"}, nil},
		"names alone":       {[]string{"LISTEN_FDNAMES=a:b"}, nil},
		"none":              {[]string{"LISTEN_PID=7", "LISTEN_FDS=0"}, nil},
		"none, no names":    {[]string{"LISTEN_PID=7", "LISTEN_FDS=0", "LISTEN_FDNAMES="}, nil},
		"without names":     {[]string{"LISTEN_PID=7", "LISTEN_FDS=2"}, []File{{3, "unknown"}, {4, "unknown"}}},
		"with names":        {[]string{"LISTEN_PID=7", "LISTEN_FDS=2", "LISTEN_FDNAMES=http:admin"}, []File{{3, "http"}, {4, "admin"}}},
		"a name shared":     {[]string{"LISTEN_PID=7", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:a"}, []File{{3, "a"}, {4, "a"}}},
		"an empty name":     {[]string{"LISTEN_PID=7", "LISTEN_FDS=2", "LISTEN_FDNAMES=:a"}, []File{{3, ""}, {4, "a"}}},
		"one empty name":    {[]string{"LISTEN_PID=7", "LISTEN_FDS=1", "LISTEN_FDNAMES="}, []File{{3, ""}}},
		"with a pidfd's ID": {[]string{"LISTEN_PID=7", "LISTEN_PIDFDID=12345", "LISTEN_FDS=1"}, []File{{3, "unknown"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseActivation(envOf(test.env...), 7)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestMalformedActivationIsReportedNotIgnored(t *testing.T) {
	for name, test := range map[string]struct {
		env            []string
		variable, says string
	}{
		"no PID":         {[]string{"LISTEN_FDS=1"}, "LISTEN_PID", "missing"},
		"empty PID":      {[]string{"LISTEN_PID=", "LISTEN_FDS=1"}, "LISTEN_PID", "not a process ID"},
		"PID a word":     {[]string{"LISTEN_PID=me", "LISTEN_FDS=1"}, "LISTEN_PID", `"me"`},
		"PID 0":          {[]string{"LISTEN_PID=0", "LISTEN_FDS=1"}, "LISTEN_PID", "not a process ID"},
		"PID negative":   {[]string{"LISTEN_PID=-7", "LISTEN_FDS=1"}, "LISTEN_PID", "not a process ID"},
		"PID huge":       {[]string{"LISTEN_PID=99999999999999999999", "LISTEN_FDS=1"}, "LISTEN_PID", "not a process ID"},
		"no number":      {[]string{"LISTEN_PID=7"}, "LISTEN_FDS", "missing"},
		"number a word":  {[]string{"LISTEN_PID=7", "LISTEN_FDS=two"}, "LISTEN_FDS", `"two"`},
		"number empty":   {[]string{"LISTEN_PID=7", "LISTEN_FDS="}, "LISTEN_FDS", "no number"},
		"negative":       {[]string{"LISTEN_PID=7", "LISTEN_FDS=-1"}, "LISTEN_FDS", "no number"},
		"over the limit": {[]string{"LISTEN_PID=7", "LISTEN_FDS=65537"}, "LISTEN_FDS", "65536"},
		"overflow":       {[]string{"LISTEN_PID=7", "LISTEN_FDS=18446744073709551617"}, "LISTEN_FDS", "no number"},
		"a name missing": {[]string{"LISTEN_PID=7", "LISTEN_FDS=2", "LISTEN_FDNAMES=a"}, "LISTEN_FDNAMES", "1 names for 2"},
		"a name more":    {[]string{"LISTEN_PID=7", "LISTEN_FDS=1", "LISTEN_FDNAMES=a:b"}, "LISTEN_FDNAMES", "2 names for 1"},
		"names for none": {[]string{"LISTEN_PID=7", "LISTEN_FDS=0", "LISTEN_FDNAMES=a"}, "LISTEN_FDNAMES", "1 names for 0"},
		"control":        {[]string{"LISTEN_PID=7", "LISTEN_FDS=1", "LISTEN_FDNAMES=a\tb"}, "LISTEN_FDNAMES", "printable"},
		"long name": {[]string{"LISTEN_PID=7", "LISTEN_FDS=1", "LISTEN_FDNAMES=" + strings.Repeat("x", 256)},
			"LISTEN_FDNAMES", "256 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := parseActivation(envOf(test.env...), 7)
			if files != nil {
				t.Errorf("got files %v beside the error", files)
			}
			wantEnvError(t, err, test.variable, test.says)
		})
	}
}

func FuzzActivation(f *testing.F) {
	f.Add("7", "2", "a:b", true)
	f.Add("7", "65536", "", false)
	f.Add("-1", "99999999999", ":::", true)
	f.Fuzz(func(t *testing.T, pid, fds, names string, named bool) {
		entries := []string{"LISTEN_PID=" + pid, "LISTEN_FDS=" + fds}
		if named {
			entries = append(entries, "LISTEN_FDNAMES="+names)
		}
		files, err := parseActivation(envOf(entries...), 7)
		if err != nil {
			if files != nil {
				t.Fatalf("files %v beside error %v", files, err)
			}
			return
		}
		if len(files) > MaxPassed {
			t.Fatalf("%d files", len(files))
		}
		var got []string
		for i, file := range files {
			if file.FD != ListenFD+i {
				t.Fatalf("file %d has descriptor %d", i, file.FD)
			}
			got = append(got, file.Name)
		}
		if named && len(files) > 0 && strings.Join(got, ":") != names {
			t.Fatalf("names %q are decoded as %q", names, got)
		}
	})
}

func TestEscapedNamesAreValidAndComeBack(t *testing.T) {
	for text, want := range map[string]string{
		"http":                 "http",
		"tcp://127.0.0.1:9999": "tcp%3a//127.0.0.1%3a9999",
		"a%3a":                 "a%253a",
		`a\x`:                  "a%5cx",
		"é\n":                  "%c3%a9%0a",
	} {
		got := EscapeName(text)
		if got != want {
			t.Errorf("%q is encoded as %q, want %q", text, got, want)
		}
		if err := checkStored(got); err != nil {
			t.Error(err)
		}
		if back := UnescapeName(got); back != text {
			t.Errorf("%q is decoded as %q", text, back)
		}
	}
	for _, plain := range []string{"a%", "a%3", "a%zz", `\x3a`} {
		if got := UnescapeName(plain); got != plain {
			t.Errorf("%q was changed to %q", plain, got)
		}
	}
}

func FuzzEscapeName(f *testing.F) {
	f.Add("tcp://[::1]:80%3a")
	f.Add(`a\x3a`)
	f.Fuzz(func(t *testing.T, text string) {
		name := EscapeName(text)
		if back := UnescapeName(name); back != text {
			t.Fatalf("%q is encoded as %q and decoded as %q", text, name, back)
		}
		if text != "" && len(name) <= maxName {
			if err := checkStored(name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func ExampleEscapeName() {
	fmt.Println(EscapeName("tcp://[::1]:80"))
	// Output: tcp%3a//[%3a%3a1]%3a80
}
