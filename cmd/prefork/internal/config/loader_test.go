package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryDefaultIsTheValueThatItsKeyPrints(t *testing.T) {
	c := Default()
	for _, k := range Keys() {
		if got := k.Text(&c); got != k.Default {
			t.Errorf("%s = %s, want %s", k.Name, got, k.Default)
		}
	}
}

func TestAFlagWinsOverTheFileAndOnlyIfGiven(t *testing.T) {
	text := "mode = \"forking\"\nlisten = [\"tcp://:1\", \"tcp://:2\"]\n[timeouts]\ndrain_timeout = \"7s\"\n"
	c := mustParse(t, text)
	if c.Mode != "forking" || c.DrainTimeout != 7*time.Second || len(c.Listen) != 2 {
		t.Errorf("without flags: %+v", c)
	}
	c = mustParse(t, text, "--mode", "threading", "--listen", "tcp://:3", "--listen", "tcp://:4")
	if c.Mode != "threading" || c.DrainTimeout != 7*time.Second {
		t.Errorf("mode %s, drain_timeout %v, want the flag's and the file's", c.Mode, c.DrainTimeout)
	}
	if want := []string{"tcp://:3", "tcp://:4"}; !slices.Equal(c.Listen, want) {
		t.Errorf("listen = %q, want %q", c.Listen, want)
	}
	// A flag at its default is given all the same.
	if c = mustParse(t, text, "--drain-timeout", "30s"); c.DrainTimeout != 30*time.Second {
		t.Errorf("drain_timeout = %v, want the flag's 30s", c.DrainTimeout)
	}
}

func TestAFlagHealsTheKeyThatIsWrongInTheFile(t *testing.T) {
	_, err := Parse("f", []byte("handler = \"nope\""), parseFlags(t, "--handler", "echo"))
	if err != nil {
		t.Errorf("the handler is the flag's, but: %v", err)
	}
}

func TestOptionsBelongToTheHandlerThatTheFileNames(t *testing.T) {
	text := "[options]\nmax_line = 100\n"
	if c := mustParse(t, text, "--option", "max_line=1KiB"); c.Options["max_line"] != "1KiB" {
		t.Errorf("options = %v, want the flag's", c.Options)
	}
	if c := mustParse(t, text, "--handler", "echo"); len(c.Options) != 0 {
		t.Errorf("options = %v, want none: they are upper's", c.Options)
	}
	if c := mustParse(t, text, "--handler", "upper"); c.Options["max_line"] != int64(100) {
		t.Errorf("options = %v, want the file's: it is the same handler", c.Options)
	}
}

func TestEachKeyMayStandInItsTableAtTheTopOrInAnInlineTable(t *testing.T) {
	for _, text := range []string{
		"[limits]\nmax_children = 7", "max_children = 7", "limits = { max_children = 7 }", "limits.max_children = 7",
	} {
		if c := mustParse(t, text); c.MaxChildren != 7 {
			t.Errorf("%q: max_children = %d, want 7", text, c.MaxChildren)
		}
	}
}

func TestWorkersMayBeANumberAutoOrARange(t *testing.T) {
	for text, want := range map[string]Workers{
		`workers = 4`: {4, 4}, `workers = "4"`: {4, 4}, `workers = "auto"`: {}, `workers = "2-8"`: {2, 8},
	} {
		c := mustParse(t, text)
		if c.Workers != want {
			t.Errorf("%s: %+v, want %+v", text, c.Workers, want)
		}
		s, err := c.Server()
		if err != nil || s.Workers != want.Min || s.MaxWorkers != want.Max {
			t.Errorf("%s: server has %d to %d workers (error %v)", text, s.Workers, s.MaxWorkers, err)
		}
	}
}

func TestTheServerHasWhatTheConfigurationSays(t *testing.T) {
	s, err := mustParse(t, "worker_timeout = \"0s\"\nwrite_timeout = \"0s\"\nidle_timeout = \"0s\"\ncontrol = \"none\"\nreuse_address = false\nrecycle_rss = \"1MiB\"\nhandler = \"upper\"\n[options]\nmax_line = 5").Server()
	if err != nil {
		t.Fatal(err)
	}
	if s.Timeouts.WorkerTimeout >= 0 || s.Timeouts.WriteTimeout >= 0 || s.Timeouts.IdleTimeout >= 0 {
		t.Errorf("timeouts of 0s became %v, %v and %v, want never (negative)", s.Timeouts.WorkerTimeout, s.Timeouts.WriteTimeout, s.Timeouts.IdleTimeout)
	}
	if s.Control != "" || !s.NoReuseAddress || s.Recycle.RSS != 1<<20 {
		t.Errorf("control %q, no reuse %v, rss %d", s.Control, s.NoReuseAddress, s.Recycle.RSS)
	}
	if got, want := string(s.Settings), `{"handler":"upper","options":{"max_line":5}}`; got != want {
		t.Errorf("settings %s, want %s", got, want)
	}
}

// Each field of Config belongs to exactly one key, so that none is forgotten.
func TestEveryFieldHasItsKey(t *testing.T) {
	var c Config
	fields := map[any]string{}
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name != "Options" && name != "ListenGiven" {
			fields[v.Field(i).Addr().Interface()] = name
		}
	}
	for _, k := range Keys() {
		name, ok := fields[k.field(&c)]
		if !ok {
			t.Errorf("key %s has no field of its own", k.Name)
		}
		if got := strings.ToLower(name); got != strings.ReplaceAll(k.Name, "_", "") {
			t.Errorf("key %s is field %s", k.Name, name)
		}
		delete(fields, k.field(&c))
	}
	for _, name := range fields {
		t.Errorf("field %s has no key", name)
	}
}

func TestEveryChoiceIsOneThatTheServerTakes(t *testing.T) {
	for _, k := range Keys() {
		for _, word := range k.Choices() {
			text := k.Name + ` = "` + word + `"`
			if k.Name == "access_format" { // which needs a log, and in common a handler of requests
				text += "\naccess_log = \"-\"\nhandler = \"http\""
			}
			mustParse(t, text)
		}
	}
}

func TestWhatIsPrintedReadsBackAsTheSame(t *testing.T) {
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
	a.Listen[0] = "changed"
	if b.Listen[0] == "changed" {
		t.Error("two configurations share a list")
	}
}

// A default must not keep the server from what systemd passes it.
func TestOnlyAConfiguredListenReachesTheServer(t *testing.T) {
	for text, want := range map[string]int{"": 0, "handler = \"echo\"": 0, "listen = [\"tcp://127.0.0.1:9999\"]": 1} {
		c := mustParse(t, text)
		s, err := c.Server()
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Listen) != want || len(c.Listen) != 1 {
			t.Errorf("%q: the server listens on %q and the configuration says %q", text, s.Listen, c.Listen)
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
