package main

import (
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
		{flags: "--name web", want: []string{"RuntimeDirectory=web\n", "%t/web/control.sock"}},
		{flags: "--notify-reload", want: []string{"Type=notify-reload\n"}, lack: []string{"ExecReload="}},
		{config: "listen = [\"tcp://:80\", \"tcp://[::1]:81\", \"tcp4://:82\", \"unix:///run/s.sock?mode=0666\"]", flags: "--socket",
			want: []string{"ListenStream=80\nListenStream=[::1]:81\nListenStream=0.0.0.0:82\nListenStream=/run/s.sock\n", "SocketMode=0666\n", "FileDescriptorName=prefork\n"}},
	} {
		write(t, file, test.config+"\n")
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
		"tcp6://:80":        "needs an IP address",
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
