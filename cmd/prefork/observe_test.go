package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestAMetricsAddressInUseEndsTheServerBeforeItListens(t *testing.T) {
	dir := place(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := runProcess(t, "serve", "--listen", "unix://"+dir+"/s", "--metrics", l.Addr().String())
	if want := "metrics: bind tcp://" + l.Addr().String() + ": address already in use"; r.status != 1 || !strings.Contains(r.stderr, want) {
		t.Errorf("%+v, want status 1 and %s", r, want)
	}
	if strings.Contains(r.stderr, "listening") {
		t.Errorf("it had begun to listen:\n%s", r.stderr)
	}
}

func TestMetricsAreServedAtTheirAddressAndOnTheControlSocket(t *testing.T) {
	dir := place(t)
	file, at := filepath.Join(dir, "p.toml"), filepath.Join(dir, "m")
	config := "listen = \"unix://" + dir + "/s\"\ncontrol = \"" + dir + "/c\"\nworkers = 1\nmetrics = \"unix://" + at + "\"\n"
	write(t, file, config)
	serve(t, "--config", file)
	for _, socket := range []string{at, filepath.Join(dir, "c")} {
		if got := overUnix(t, socket, "/metrics"); !strings.Contains(got, "prefork_state{state=\"running\"} 1\n") {
			t.Errorf("%s: %s", socket, got)
		}
	}
	if got := overUnix(t, at, "/"); got != "404 page not found\n" {
		t.Errorf("the page is not enabled, but: %s", got)
	}

	moved := strings.NewReplacer(at, at+"2", dir+"/c", dir+"/c2").Replace(config)
	write(t, file, moved+"status_page = true\n")
	r := runHere("reload", "--control", filepath.Join(dir, "c"))
	for _, want := range []string{`control: "` + dir + `/c" cannot become "` + dir + `/c2" in a reload`, `metrics: "unix://` + at + `" cannot become "unix://` + at + `2" in a reload`, `status_page: false cannot become true in a reload`} {
		if r.status != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("reload: %+v, want status 1 and %s", r, want)
		}
	}
	if r := runHere("drain", "--control", filepath.Join(dir, "c")); r.status != 0 {
		t.Fatalf("drain: %+v", r)
	}
	if c, err := net.Dial("unix", at); err == nil {
		_ = c.Close()
		t.Error("the server has ended, but its metrics are served")
	}
}

// overUnix sends a GET request to an HTTP server on a Unix socket.
func overUnix(t *testing.T, socket, path string) string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return c, nil },
		DisableKeepAlives: true,
	}}
	r, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
