package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
)

func TestEachCommandAsksTheServerAndPrintsTheOutcome(t *testing.T) {
	const answer = `{"ok":true,"generation":3,"target":"5"}`
	for _, c := range []struct {
		args    string
		request string // method, path and query
		stdout  string
	}{
		{"reload", "POST /v1/reload", "reloaded: generation 3 serves\n"},
		{"drain", "POST /v1/drain", "drained: the server has ended\n"},
		{"stop", "POST /v1/stop", "stopped: the server has ended\n"},
		{"scale 4", "POST /v1/scale?n=4", "scaled: 5 workers\n"},
		{"scale +1", "POST /v1/scale?n=%2B1", "scaled: 5 workers\n"},
		{"scale -1", "POST /v1/scale?n=-1", "scaled: 5 workers\n"},
		{"recycle 2", "POST /v1/recycle?slot=2", "recycling the worker in slot 2\n"},
		{"recycle 2 --now", "POST /v1/drain-worker?slot=2", "recycling the worker in slot 2\n"},
		{"log-level debug", "POST /v1/log-level?level=debug", "log level: debug\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			asked := make(chan string, 1)
			path := fake(t, func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Method + " " + r.URL.RequestURI()
				_, _ = w.Write([]byte(answer))
			})
			r := runHere(append(strings.Fields(c.args), "--control", path)...)
			if r.status != 0 || r.stdout != c.stdout || r.stderr != "" {
				t.Fatalf("got %+v, want %q", r, c.stdout)
			}
			if got := <-asked; got != c.request {
				t.Errorf("asked %s, want %s", got, c.request)
			}
		})
	}
}

func TestAFailedCommandPrintsWhyAndExits1(t *testing.T) {
	path := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"ok":false,"error":"prefork.toml:3: mode: unknown mode \"x\"","generation":1}`))
	})
	for _, args := range []string{"reload", "drain", "stop", "scale 4", "recycle 0", "log-level info", "status"} {
		r := runHere(append(strings.Fields(args), "--control", path)...)
		if r.status != 1 || r.stdout != "" || !strings.HasSuffix(r.stderr, ": prefork.toml:3: mode: unknown mode \"x\"\n") {
			t.Errorf("%s: %+v, want status 1 and the reason", args, r)
		}
	}
}

func TestEachProblemOfAReloadBeginsALine(t *testing.T) {
	path := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"ok":false,"error":"p.toml:3: a\np.toml:4: b"}`))
	})
	if r := runHere("reload", "--control", path); r.status != 1 || r.stderr != "prefork: reload failed:\np.toml:3: a\np.toml:4: b\n" {
		t.Errorf("got %+v", r)
	}
}

// The server passes text of a worker to the operator's terminal: the reason of a
// failure, and what the worker is doing.
func TestNoTextOfAServerOrAFileReachesTheTerminalRaw(t *testing.T) {
	const evil = `\u001b]0;owned\u0007\u001b[2J\u009b31m\r\u202e`
	server := fake(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && r.URL.Path == "/v1/stream":
			status := strings.ReplaceAll(statusJSON, "\n", "")
			status = strings.Replace(status, `"mode":`, `"degraded":"`+evil+`","mode":`, 1)
			w.Header().Set("Content-Type", "text/event-stream")
			for range 2 {
				_, _ = w.Write([]byte("event: status\ndata: " + status + "\n\n"))
			}
			_, _ = w.Write([]byte(`event: log` + "\n" + `data: {"seq":1,"level":"warn","message":"` + evil + `","fields":{"` + evil + `":["` + evil + `"]}}` + "\n\n"))
		case r.Method == http.MethodGet:
			_, _ = w.Write([]byte(`{"state":"` + evil + `","version":"` + evil + `","mode":"` + evil + `","target":"` + evil + `","degraded":"` + evil + `",
				"listeners":[{"name":"` + evil + `","address":"` + "\u009b" + `"}],"workers":[{"state":"` + evil + `","doing":"` + evil + `"}],
				"last_reload":{"error":"` + evil + `\nnext","at":"2026-01-01T00:00:00Z"}}`))
		case r.URL.Path == "/v1/scale" && r.URL.Query().Get("n") == "5":
			_, _ = w.Write([]byte(`{"ok":true,"target":"` + evil + `"}`))
		default:
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"ok":false,"error":"` + evil + `"}`))
		}
	})
	file := filepath.Join(t.TempDir(), "p.toml")
	write(t, file, `pid_file = "/tmp/`+evil[:len(evil)-len(`\r\u202e`)]+`"`)
	broken := filepath.Join(t.TempDir(), "broken\x1b[2J.toml")
	write(t, broken, "mode = \"\x1b[2J\"\n\x9b = 1\n")
	for _, args := range [][]string{
		{"status"}, {"status", "--json"}, {"top", "--once"}, {"reload"}, {"drain"}, {"stop"}, {"scale", "4"}, {"scale", "5"}, {"recycle", "1"}, {"log-level", "info"},
		{"check", file}, {"check", broken}, {"check", "\x1b[2J"}, {"serve", "--config", broken}, {"\x1b[2J"},
	} {
		if args[0] != "check" && args[0] != "serve" && len(args[0]) > 1 {
			args = append(args, "--control", server)
		}
		r := runHere(args...)
		for _, c := range r.stdout + r.stderr {
			if !unicode.IsPrint(c) && c != '\n' {
				t.Errorf("%q prints %q:\n%q", args, c, r.stdout+r.stderr)
				break
			}
		}
		if r.stdout+r.stderr == "" {
			t.Errorf("%q prints nothing", args)
		}
	}
}

func TestWaitingEndsWithTheTimeoutAndTheServerGoesOn(t *testing.T) {
	path := fake(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r := runHere("reload", "--control", path, "--timeout", "20ms")
	if want := "prefork: reload: no answer within 20ms; the server goes on with what it was asked\n"; r.status != 1 || r.stderr != want {
		t.Errorf("got %+v, want status 1 and %q", r, want)
	}
}

func TestASignalEndsTheWaitingCleanly(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		asked := make(chan struct{}, 1)
		path := fake(t, func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-r.Context().Done()
		})
		cmd := preforkCommand(t, "reload", "--control", path, "--timeout", "0s")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-asked:
		case <-time.After(20 * time.Second):
			t.Fatal("the command did not ask")
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		want := "prefork: reload: interrupted; the server goes on with what it was asked\n"
		if cmd.ProcessState.ExitCode() != 1 || stderr.String() != want {
			t.Errorf("%v: status %d, %q, want 1 and %q", sig, cmd.ProcessState.ExitCode(), stderr.String(), want)
		}
	}
}

func TestTheServerIsFoundByItsConfigurationFile(t *testing.T) {
	path := fake(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"ok":true,"generation":2}`)) })
	dir := os.Getenv("TMPDIR")
	file := dir + "/p.toml"
	write(t, file, "mode = \"a mistake\"\ncontrol = \""+path+"\"\n")
	if r := runHere("reload", "--config", file); r.status != 0 {
		t.Errorf("a file with a mistake elsewhere: %+v", r)
	}
	write(t, file, "control = \"none\"\n")
	if r := runHere("reload", "--config", file); r.status != 1 || !strings.Contains(r.stderr, "no control socket") {
		t.Errorf("control none: %+v", r)
	}
	if r := runHere("reload", "--config", dir+"/missing.toml"); r.status != 78 || !strings.Contains(r.stderr, "missing.toml: no such file") {
		t.Errorf("a missing file: %+v", r)
	}
}

func TestTheArgumentsOfCommandsAreChecked(t *testing.T) {
	place(t)
	for _, c := range []struct{ args, want string }{
		{"scale", "want one argument, a number such as 4, +1 or -1, not 0"},
		{"scale 1 2", "want one argument, a number such as 4, +1 or -1, not 2"},
		{"scale many", `want a number such as 4, +1 or -1, not "many"`},
		{"scale 99999999999", `want a number such as 4, +1 or -1, not "99999999999"`},
		{"recycle x", `want a slot such as 0 ("prefork status" shows them), not "x"`},
		{"recycle -1", `want a slot such as 0 ("prefork status" shows them), not "-1"`},
		{"log-level debgu", `unknown level "debgu"; did you mean "debug"?`},
		{"log-level loud", `unknown level "loud"; want debug, info, warn or error`},
		{"reload now", `prefork reload takes no arguments, but there is "now"`},
		{"status --control a --listen b", `name the server by one of --control, --listen and --config`},
		{"reload --timeout -1s", `--timeout: at least 0s, not -1s`},
	} {
		r := runHere(strings.Fields(c.args)...)
		if r.status != 2 || !strings.HasPrefix(r.stderr, "prefork: "+c.want+"\n") {
			t.Errorf("%s: %+v, want status 2 and %s", c.args, r, c.want)
		}
	}
}
