package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"prefork"
	"prefork/worker"
)

func TestAFlagWinsOverTheFileAndOnlyIfGiven(t *testing.T) {
	text := "mode = \"forking\"\nlisten = [\"tcp://:1\", \"tcp://:2\"]\n[timeouts]\ndrain_timeout = \"7s\"\n"
	c := mustParse(t, text)
	if c.Mode != "forking" || c.Timeouts.DrainTimeout != 7*time.Second || len(c.Listen) != 2 {
		t.Errorf("without flags: %+v", c)
	}
	c = mustParse(t, text, "--mode", "threading", "--listen", "tcp://:3", "--listen", "tcp://:4")
	if c.Mode != "threading" || c.Timeouts.DrainTimeout != 7*time.Second {
		t.Errorf("mode %s, drain_timeout %v, want the flag's and the file's", c.Mode, c.Timeouts.DrainTimeout)
	}
	if want := []string{"tcp://:3", "tcp://:4"}; !slices.Equal(c.Listen, want) {
		t.Errorf("listen = %q, want %q", c.Listen, want)
	}
	// A flag that is set to its default counts as given.
	if c = mustParse(t, text, "--drain-timeout", "30s"); c.Timeouts.DrainTimeout != 30*time.Second {
		t.Errorf("drain_timeout = %v, want the flag's 30s", c.Timeouts.DrainTimeout)
	}
}

func TestAFlagReplacesAnInvalidKeyOfTheFile(t *testing.T) {
	_, err := Parse("f", []byte("handler = \"nope\""), parseFlags(t, "--handler", "echo"))
	if err != nil {
		t.Errorf("the handler is the flag's, but: %v", err)
	}
}

func TestOptionsBelongToTheHandlerThatTheFileNames(t *testing.T) {
	text := "[options]\nmax_line = 100\n"
	for flags, want := range map[string]string{
		"--option=max_line=1KiB": `"MaxLine":1024`,
		"--handler=upper":        `"MaxLine":100`,      // from the file, which has the same handler
		"--handler=echo":         `{"Handler":"echo"}`, // the file's options belong to upper
	} {
		if c := mustParse(t, text, flags); !strings.Contains(string(c.Settings), want) {
			t.Errorf("%s: settings %s, want %s", flags, c.Settings, want)
		}
	}
}

func TestEachKeyMayStandInItsTableAtTheTopOrInAnInlineTable(t *testing.T) {
	for _, text := range []string{
		"[limits]\nmax_children = 7", "max_children = 7", "limits = { max_children = 7 }", "limits.max_children = 7",
	} {
		if c := mustParse(t, text); c.Limits.MaxChildren != 7 {
			t.Errorf("%q: max_children = %d, want 7", text, c.Limits.MaxChildren)
		}
	}
}

func TestWorkersMayBeANumberAutoOrARange(t *testing.T) {
	for text, want := range map[string][2]int{
		`workers = 4`: {4, 4}, `workers = "4"`: {4, 4}, `workers = "auto"`: {}, `workers = "2-8"`: {2, 8},
	} {
		if c := mustParse(t, text); c.Workers != want[0] || c.MaxWorkers != want[1] {
			t.Errorf("%s: from %d to %d, want %v", text, c.Workers, c.MaxWorkers, want)
		}
	}
}

func TestTheServerHasWhatTheConfigurationSays(t *testing.T) {
	c := mustParse(t, "worker_timeout = \"0s\"\nwrite_timeout = \"0s\"\nidle_timeout = \"0s\"\nreuse_address = false\nrecycle_rss = \"1MiB\"\nhandler = \"upper\"\n[options]\nmax_line = 5")
	if c.Timeouts.WorkerTimeout != worker.Disabled || c.Timeouts.WriteTimeout != worker.Disabled || c.Timeouts.IdleTimeout != worker.Disabled {
		t.Errorf("timeouts of 0s are %+v, want worker.Disabled", c.Timeouts)
	}
	if !c.NoReuseAddress || c.Recycle.RSS != 1<<20 {
		t.Errorf("no reuse %v, rss %d", c.NoReuseAddress, c.Recycle.RSS)
	}
	if got, want := string(c.Settings), `{"Handler":"upper","Options":{"MaxLine":5}}`; got != want {
		t.Errorf("settings %s, want %s", got, want)
	}
}

func TestAWorkerBuildsWhatTheSettingsName(t *testing.T) {
	for name, service := range map[string]bool{"upper": false, "echo": false, "discard": false, "http": true} {
		c := mustParse(t, "handler = \""+name+"\"")
		var o worker.Options
		if err := Configure(c.Settings, &o); err != nil || (o.Service != nil) != service || (o.Handler != nil) == service || (o.EventHandler != nil) == service {
			t.Errorf("%s: built %+v, %v", name, o, err)
		}
	}
	for _, bad := range []string{"", "[]", `{"Handler":"uper"}`, `{"Handler":"upper","Options":{"MaxLine":-1}}`,
		`{"Handler":"http","Options":{"Root":"/nonexistent"}}`} {
		if err := Configure(json.RawMessage(bad), &worker.Options{}); err == nil {
			t.Errorf("settings %q were taken", bad)
		}
	}
}

func TestEveryKeyAndOptionHasADefaultAndAHelpText(t *testing.T) {
	d := Default()
	for _, k := range Keys() {
		c := Default()
		if err := c.set(&k, defaultOf(d.Text(&k))); err != nil || c.Text(&k) != d.Text(&k) || k.Help == "" {
			t.Errorf("%s: %s reads as %s, %v", k.Key, d.Text(&k), c.Text(&k), err)
		}
	}
	for _, name := range HandlerNames() {
		h, _ := LookupHandler(name)
		for _, o := range h.Options() {
			field := o.In(reflect.ValueOf(h.new()).Elem())
			if err := set(&o, field, defaultOf(h.DefaultText(&o))); err != nil || text(&o, field) != h.DefaultText(&o) || o.Help == "" {
				t.Errorf("%s.%s: %s reads as %s, %v", name, o.Key, h.DefaultText(&o), text(&o, field), err)
			}
		}
	}
}

// defaultOf drops the quotes and brackets of a text.
func defaultOf(text string) string { return strings.Trim(text, `[]"`) }

func TestEveryChoiceIsOneThatTheServerTakes(t *testing.T) {
	for _, k := range Keys() {
		for _, word := range k.Choices {
			text := k.Key + ` = "` + word + `"`
			if k.Key == "access_format" { // it needs an access log, and common needs an HTTP handler
				text += "\naccess_log = \"-\"\nhandler = \"http\""
			}
			mustParse(t, text)
		}
	}
}

func TestPrintedConfigurationReadsBackAsTheSame(t *testing.T) {
	for _, text := range []string{
		"",
		"listen = [\"unix:///run/a \\\"b\\\".sock\"]\nworkers = \"2-8\"\ncrash_budget = 1.5\npid_file = \"\\u0007\"",
		"recycle_rss = 1025\nrecycle_age = \"1h0m1s\"\n[options]\nmax_line = \"1MiB\"",
		"handler = \"echo\"",
	} {
		c := mustParse(t, text)
		var once, twice bytes.Buffer
		if err := c.Write(&once); err != nil {
			t.Fatal(err)
		}
		if err := mustParse(t, once.String()).Write(&twice); err != nil {
			t.Fatal(err)
		}
		if once.String() != twice.String() {
			t.Errorf("printed:\n%s\nread and printed again:\n%s", &once, &twice)
		}
	}
}

func TestLocateNeedsOnlyWhatNamesTheSocket(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		text, control, listen, err string
	}{
		{"mode = \"wrong\"\nlisten = \"tcp://:7\"", "", "tcp://:7", ""},
		{"control = \"/run/x.sock\"\nunknown = 1", "/run/x.sock", "tcp://127.0.0.1:9999", ""},
		{"\ncontrol = 5", "", "", ":2: control: want a string, not 5"},
		{"= =", "", "", ":1: "},
	} {
		file := dir + "/f.toml"
		write(t, file, c.text)
		control, listen, err := Locate(file)
		if c.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), file+c.err) {
				t.Errorf("%q: error %v, want %s", c.text, err, c.err)
			}
			continue
		}
		if err != nil || control != c.control || listen[0] != c.listen {
			t.Errorf("%q: %q %q %v", c.text, control, listen, err)
		}
	}
}

func TestAConfigurationIsNotSharedBetweenLoads(t *testing.T) {
	a, b := Default(), Default()
	a.program.(*upper).MaxLine = 1
	if b.program.(*upper).MaxLine == 1 {
		t.Error("two configurations share their options")
	}
}

// A default of listen must not hide the sockets that systemd passes.
func TestOnlyAConfiguredListenReachesTheServer(t *testing.T) {
	for text, want := range map[string]int{"": 0, "handler = \"echo\"": 0, "listen = [\"tcp://127.0.0.1:9999\"]": 1} {
		c := mustParse(t, text)
		if len(c.Listen) != want || len(c.Addresses()) != 1 {
			t.Errorf("%q: the server listens on %q and the configuration says %q", text, c.Listen, c.Addresses())
		}
	}
}

func TestAReloadThatChangesAFixedKeyIsRefusedByName(t *testing.T) {
	was := mustParse(t, "control = \"/run/a\"\nworkers = 1")
	if err := Fixed(&was, &was); err != nil {
		t.Errorf("nothing has changed, but: %v", err)
	}
	is := mustParse(t, "control = \"/run/b\"\naccess_log = \"-\"\nworkers = 2\nmetrics = \":9100\"\nstatus_page = true\n[access]\naccess_sample = 0.5")
	want := `control: "/run/a" cannot become "/run/b" in a reload; restart the server
metrics: "" cannot become ":9100" in a reload; restart the server
status_page: false cannot become true in a reload; restart the server
access_log: "" cannot become "-" in a reload; restart the server`
	if err := Fixed(&was, &is); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// Every command binds the flags of serve and check, which ask for all defaults.
func TestADefaultCostsLittle(t *testing.T) {
	keys := Keys()
	if n := testing.AllocsPerRun(10, func() {
		for i := range keys {
			DefaultText(&keys[i])
		}
	}); n > float64(10*len(keys)) {
		t.Errorf("%.0f allocations for %d keys, want a few for each", n, len(keys))
	}
}

func TestAutoForksOnlyHandlersThatAreKnownToWorkThen(t *testing.T) {
	for _, tt := range []struct {
		handler     string
		spawn, want prefork.Spawn
	}{
		{"upper", prefork.SpawnAuto, prefork.SpawnFork},
		{"upper", prefork.SpawnExec, prefork.SpawnExec},
		{"http", prefork.SpawnAuto, prefork.SpawnAuto},
		{"http", prefork.SpawnFork, prefork.SpawnFork},
	} {
		c := Config{Handler: tt.handler, Config: prefork.Config{Spawn: tt.spawn}}
		if got := c.SpawnMethod(); got != tt.want {
			t.Errorf("%s with spawn %q: %q, want %q", tt.handler, tt.spawn, got, tt.want)
		}
	}
}
