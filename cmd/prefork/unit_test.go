package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAUnitOpensWhatTheConfigurationNeeds(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "100%.toml")
	for _, test := range []struct {
		config     string
		flags      string
		want, lack []string
	}{
		{config: "", want: []string{"Type=notify\n", "PrivateUsers=yes\n", "WatchdogSec=60s\n", "TimeoutStartSec=60s\n",
			" --config " + dir + "/100%%.toml ", "ExecReload="},
			lack: []string{"\nReadWritePaths=", "\nSockets="}},
		{config: `listen = ["tcp://:80"]`, want: []string{"AmbientCapabilities=CAP_NET_BIND_SERVICE\n", "PrivateUsers=no\n"}},
		{config: `listen = ["tcp://:80"]`, flags: "--user", want: []string{"WantedBy=default.target"}, lack: []string{"CAP_NET_BIND_SERVICE"}},
		{config: `listen = ["systemd:web", "systemd:api.socket"]`,
			want: []string{"Requires=web.socket\n", "Requires=api.socket\n", "Sockets=web.socket\nSockets=api.socket\n"}},
		{config: "listen = [\"unix:///srv/a b/x.sock\", \"unix:///run/prefork/y.sock\", \"unix:@z\"]\npid_file = \"/var/lib/prefork/pid\"\nlog_file = \"/srv/log\"",
			want: []string{"ReadWritePaths=/srv\n", "ReadWritePaths=\"/srv/a b\"\n"}, lack: []string{"ReadWritePaths=/run", "ReadWritePaths=/var"}},
		{config: "control = \"/srv/c.sock\"", want: []string{" --control /srv/c.sock\n", "ReadWritePaths=/srv\n"}},
		{config: "handler = \"http\"\n[options]\nroot = \"/home/me/site\"", want: []string{"ProtectHome=read-only\n"}},
		{config: "worker_timeout = \"45s\"\nstart_timeout = \"1m\"", want: []string{"WatchdogSec=90s\n", "TimeoutStartSec=182s\n"}},
		{config: "[reload]\nprobation = \"5m\"", want: []string{"TimeoutStartSec=330s\n"}},
		{config: "metrics = \"unix:///srv/m/s\"", want: []string{"ReadWritePaths=/srv/m\n"}},
		{config: "metrics = \"tcp://127.0.0.1:90\"", want: []string{"AmbientCapabilities=CAP_NET_BIND_SERVICE\n"}},
		{config: "listen = [\"unix:///run/s.sock?owner=1&group=2\"]", flags: "--socket", want: []string{"SocketUser=1\nSocketGroup=2\n"}},
		{config: "request_queue_size = 77\nlisten = [\"tcp6://:80\", \"unix:///a?mode=0600\", \"unix:///b?mode=0600\", \"unix:@c\"]", flags: "--socket",
			want: []string{"ListenStream=[::]:80\n", "BindIPv6Only=ipv6-only\n", "Backlog=77\n", "SocketMode=0600\n"}},
		{flags: "--socket", want: []string{"Backlog=4096\n"}, lack: []string{"BindIPv6Only"}},
		{config: "log_file = \"a.log\"\npid_file = \"/run/x\"\naccess_log = \"-\"", want: []string{"# Note: log_file = \"a.log\" is relative", "/100%%.toml is invisible to the service"},
			lack: []string{"access_log", "pid_file"}},
		{config: "access_log = \"a.log\"\npid_file = \"b\"", flags: "--user", want: []string{"access_log = ", "pid_file = ", "your home directory"}, lack: []string{"not there"}},
		{config: "listen = [\"unix:///tmp/s\"]", want: []string{"# Note: /tmp/s is invisible"}},
		{flags: "--name web", want: []string{"RuntimeDirectory=web\n", "%t/web/control.sock"}},
		{flags: "--notify-reload", want: []string{"Type=notify-reload\n"}, lack: []string{"ExecReload="}},
		{config: "listen = [\"tcp://:80\", \"tcp://[::1]:81\", \"tcp4://:82\", \"unix:///run/s.sock?mode=0666\"]", flags: "--socket",
			want: []string{"ListenStream=80\nListenStream=[::1]:81\nListenStream=0.0.0.0:82\nListenStream=/run/s.sock\n", "SocketMode=0666\n", "FileDescriptorName=prefork\n"}},
	} {
		write(t, file, "# "+t.Name()+"\n"+test.config+"\n")
		r := runHere(append([]string{"unit", "--config", file}, strings.Fields(test.flags)...)...)
		if r.status != 0 {
			t.Errorf("%q %s: %+v", test.config, test.flags, r)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(r.stdout, want) {
				t.Errorf("%q %s: no %q in\n%s", test.config, test.flags, want, r.stdout)
			}
		}
		for _, lack := range test.lack {
			if strings.Contains(r.stdout, lack) {
				t.Errorf("%q %s: %q in\n%s", test.config, test.flags, lack, r.stdout)
			}
		}
	}
}

func TestAnAddressThatMakesNoSocketUnitIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	for address, want := range map[string]string{
		"systemd:x":         "has no address",
		"tcp://localhost:1": "needs an IP address",
		"tcp://127.0.0.1:0": "needs a port",
	} {
		write(t, file, "listen = [\""+address+"\"]\n")
		if r := runHere("unit", "--socket", "--config", file); r.status != 2 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v, want status 2 and %q", address, r, want)
		}
	}
	if r := runHere("unit", "--config", filepath.Join(t.TempDir(), "none")); r.status != 78 {
		t.Errorf("a file that is not there: %+v", r)
	}
}

func TestAnInvalidUnitIsAUsageError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	for _, test := range []struct{ listen, flags, want string }{
		{`"unix:///a?mode=0600", "unix:///b"`, "--socket", `"unix:///a" and "unix:///b" differ`},
		{`"unix:///a?owner=1", "unix:///b?owner=2"`, "--socket", "differ"},
		{`"tcp://:80", "tcp6://:81"`, "--socket", "tcp6:// and tcp://"},
		{`"tcp://:80"`, "--socket --notify-reload", "--notify-reload changes the service unit"},
		{`"tcp://:80"`, "--name a/b", `name "a/b"`},
		{`"tcp://:80"`, "--socket --name a/b", `name "a/b"`},
		{`"tcp://:80"`, "--name=", "needs a name"},
	} {
		write(t, file, "listen = ["+test.listen+"]\n")
		r := runHere(append([]string{"unit", "--config", file}, strings.Fields(test.flags)...)...)
		if r.status != 2 || !strings.Contains(r.stderr, test.want) || r.stdout != "" {
			t.Errorf("%s %s: %+v, want status 2 and %q", test.listen, test.flags, r, test.want)
		}
	}
}

func TestAUnitReadsTheConfigurationThatItServes(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	if r := runHere("unit", "--user", "--name", "web"); r.status != 0 || !strings.Contains(r.stdout, "%E/web/web.toml") {
		t.Errorf("without a file: %+v", r)
	}
	if err := os.Mkdir(filepath.Join(dir, "web"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "web", "web.toml"), "listen = [\"systemd:api\"]\n")
	if r := runHere("unit", "--user", "--name", "web"); r.status != 0 || !strings.Contains(r.stdout, "Sockets=api.socket\n") || !strings.Contains(r.stdout, "%E/web/web.toml") {
		t.Errorf("with a file: %+v", r)
	}
}
