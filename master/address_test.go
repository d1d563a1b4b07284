package master

import (
	"strings"
	"testing"
)

func TestParseAddressReadsEveryScheme(t *testing.T) {
	tests := []struct {
		in   string
		want Address
	}{
		{"tcp://127.0.0.1:9999", Address{Name: "tcp://127.0.0.1:9999", Network: "tcp", Host: "127.0.0.1", Port: 9999, UID: -1, GID: -1}},
		{":9999", Address{Name: "tcp://:9999", Network: "tcp", Port: 9999, UID: -1, GID: -1}},
		{"127.0.0.1:9999", Address{Name: "tcp://127.0.0.1:9999", Network: "tcp", Host: "127.0.0.1", Port: 9999, UID: -1, GID: -1}},
		{"localhost:9999", Address{Name: "tcp://localhost:9999", Network: "tcp", Host: "localhost", Port: 9999, UID: -1, GID: -1}},
		{"[::1]:0", Address{Name: "tcp://[::1]:0", Network: "tcp", Host: "::1", UID: -1, GID: -1}},
		{"systemd:80", Address{Name: "systemd:80", Network: "systemd", Label: "80", UID: -1, GID: -1}},
		{"tcp://:80", Address{Name: "tcp://:80", Network: "tcp", Port: 80, UID: -1, GID: -1}},
		{"tcp6://[::1]:0", Address{Name: "tcp6://[::1]:0", Network: "tcp6", Host: "::1", UID: -1, GID: -1}},
		{"unix:///run/p.sock", Address{Name: "unix:///run/p.sock", Network: "unix", Path: "/run/p.sock", UID: -1, GID: -1}},
		{"unix:@name", Address{Name: "unix://@name", Network: "unix", Path: "@name", UID: -1, GID: -1}},
		{"unix:///p?mode=0660&owner=0&group=0", Address{Name: "unix:///p", Network: "unix", Path: "/p", Mode: 0o660, HasMode: true}},
		{"systemd:web", Address{Name: "systemd:web", Network: "systemd", Label: "web", UID: -1, GID: -1}},
	}
	for _, tt := range tests {
		got, err := ParseAddress(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("ParseAddress(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
		}
	}
}

func TestParseAddressNamesTheProblemAndTheRemedy(t *testing.T) {
	tests := []struct{ in, want string }{
		{"127.0.0.1:http", "or host:port"},
		{"127.0.0.1:70000", "from 0 to 65535"},
		{":", "or host:port"},
		{"::1", "or host:port"},
		{"http:80/x", `unknown scheme "http"`},
		{"unix:80", "must be absolute"},
		{"9999", "no scheme; write tcp://host:port"},
		{"tcp:127.0.0.1:80", "write tcp://host:port"},
		{"tcp://127.0.0.1", "missing port"},
		{"tcp://127.0.0.1:http", `port "http" is not a number`},
		{"tcp://127.0.0.1:70000", "from 0 to 65535"},
		{"udp://127.0.0.1:1", "want tcp, tcp4, tcp6, unix or systemd"},
		{"unix://relative", "must be absolute"},
		{"unix:///" + strings.Repeat("x", 120), "at most 107"},
		{"unix:///p?mode=abc", "octal"},
		{"unix:///p?owner=no-such-user-here", "no-such-user-here"},
		{"unix:///p?colour=red", `unknown option "colour"`},
		{"systemd:", "FileDescriptorName"},
	}
	for _, tt := range tests {
		_, err := ParseAddress(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "listen address") {
			t.Errorf("ParseAddress(%q) = %v; want an error with %q", tt.in, err, tt.want)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"tcp://[::]:1", "unix:///a?mode=7", "systemd:x", "tcp4://:", "unix:@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err == nil && a.Name == "" {
			t.Errorf("ParseAddress(%q) gave an address without a name", s)
		}
	})
}
