package handlers

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The site has a file, a directory with an index, one without, and hidden files.
func makeSite(t *testing.T) string {
	t.Helper()
	outside := t.TempDir()
	root := filepath.Join(outside, "www")
	for name, text := range map[string]string{
		"secret.txt":                "secret",
		"www/a.txt":                 "file a",
		"www/page/index.html":       "index page",
		"www/plain/b.txt":           "file b",
		"www/plain/.hidden":         "hidden",
		"www/.git/config":           "hidden",
		"www/.well-known/security":  "known",
		"www/odd/index.html/x.html": "an index that is a directory",
	} {
		path := filepath.Join(outside, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret.txt", filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.txt", filepath.Join(root, "in")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

// options are a test's options of the files and the server.
type options struct {
	root         string
	list, hidden bool
	maxHeader    int
	lameDuck     time.Duration
}

// start serves the site.
func start(t *testing.T, o options) *running {
	t.Helper()
	files, err := Files(o.root, o.list, o.hidden)
	if err != nil {
		t.Fatal(err)
	}
	service := HTTPServer(&http.Server{Handler: files, MaxHeaderBytes: o.maxHeader})
	service.LameDuck = o.lameDuck
	r := run(t, service)
	return r
}

// ask sends a raw request on a new connection.
func (r *running) ask(request string) (*http.Response, string) {
	r.t.Helper()
	c := r.dial()
	defer c.conn.Close()
	if _, err := io.WriteString(c.conn, request); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		r.t.Fatalf("%.60q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("%.60q: %v", request, err)
	}
	return resp, string(body)
}

func (r *running) get(path string) (int, string) {
	r.t.Helper()
	resp, body := r.ask("GET " + path + " HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
	return resp.StatusCode, body
}

func TestHTTPServesOnlyFiles(t *testing.T) {
	r := start(t, options{root: makeSite(t)})
	for _, test := range []struct {
		path string
		code int
		body string // part of it
	}{
		{"/a.txt", 200, "file a"},
		{"/in", 200, "file a"},
		{"/page/", 200, "index page"},
		{"/page", 301, ""},
		{"/.well-known/security", 200, "known"},
		{"/", 404, ""},
		{"/plain/", 404, ""},
		{"/odd/", 404, ""},
		{"/missing", 404, ""},
		{"/a.txt/b", 404, ""},
		{"/pipe", 404, ""},
		{"/out", 404, ""},
		{"/.git/config", 404, ""},
		{"/plain/.hidden", 404, ""},
		{"/page/../../secret.txt", 307, ""}, // to the cleaned path
		{"/%2e%2e/secret.txt", 404, ""},
		{"/..%2fsecret.txt", 404, ""},
		{"/..%5csecret.txt", 404, ""},
		{"/a.txt%00", 404, ""},
		{"/" + strings.Repeat("x", 300), 404, ""},
	} {
		code, body := r.get(test.path)
		if code != test.code || !strings.Contains(body, test.body) || strings.Contains(body, "secret") && code == 200 {
			t.Errorf("GET %s: %d %q, want %d with %q", test.path, code, body, test.code, test.body)
		}
	}
}

func TestHTTPSendsWholeLargeFilesAndRanges(t *testing.T) {
	root := makeSite(t)
	large := strings.Repeat("0123456789", 300_000)
	if err := os.WriteFile(filepath.Join(root, "large"), []byte(large), 0o644); err != nil {
		t.Fatal(err)
	}
	r := start(t, options{root: root})
	if code, body := r.get("/large"); code != 200 || body != large {
		t.Errorf("GET /large: %d with %d bytes, want %d", code, len(body), len(large))
	}
	resp, body := r.ask("GET /large HTTP/1.1\r\nHost: t\r\nRange: bytes=5-14\r\n\r\n")
	if resp.StatusCode != http.StatusPartialContent || body != "5678901234" {
		t.Errorf("a range: %d %q", resp.StatusCode, body)
	}
}

// Thousands of ranges of one byte would cost as much as hundreds of requests.
func TestHTTPAnswersManyRangesWithTheWholeFile(t *testing.T) {
	root := makeSite(t)
	whole := strings.Repeat("0123456789", 1000)
	if err := os.WriteFile(filepath.Join(root, "a.txt"), []byte(whole), 0o644); err != nil {
		t.Fatal(err)
	}
	r := start(t, options{root: root})
	ranges := func(n int) string { return strings.Repeat(",0-0", n)[1:] }
	for n, want := range map[int]int{
		2: http.StatusPartialContent, maxRanges: http.StatusPartialContent,
		maxRanges + 1: http.StatusOK, 6000: http.StatusOK,
	} {
		resp, body := r.ask("GET /a.txt HTTP/1.1\r\nHost: t\r\nRange: bytes=" + ranges(n) + "\r\n\r\n")
		if resp.StatusCode != want || want == http.StatusOK && body != whole {
			t.Errorf("%d ranges: %d with %d bytes, want %d", n, resp.StatusCode, len(body), want)
		}
	}
}

func TestHTTPListsOnlyWhenAskedAndLeavesOutHiddenNames(t *testing.T) {
	root := makeSite(t)
	code, body := start(t, options{root: root, list: true}).get("/plain/")
	if code != 200 || !strings.Contains(body, "b.txt") || strings.Contains(body, ".hidden") {
		t.Errorf("listing: %d %q", code, body)
	}
	r := start(t, options{root: root, list: true, hidden: true})
	if code, body := r.get("/plain/"); code != 200 || !strings.Contains(body, ".hidden") {
		t.Errorf("listing with hidden names: %d %q", code, body)
	}
	if code, _ := r.get("/.git/config"); code != 200 {
		t.Errorf("hidden file: %d", code)
	}
}

func TestHTTPAllowsReadingOnlyAndLimitsHeaders(t *testing.T) {
	r := start(t, options{root: makeSite(t), maxHeader: 4 << 10})
	resp, _ := r.ask("DELETE /a.txt HTTP/1.1\r\nHost: t\r\n\r\n")
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE: %s, Allow %q", resp.Status, resp.Header.Get("Allow"))
	}
	resp, _ = r.ask("GET / HTTP/1.1\r\nHost: t\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n")
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 20 kB: %s", resp.Status)
	}
	resp, _ = r.ask("nonsense\r\n\r\n")
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("nonsense: %s", resp.Status)
	}
}

func TestHTTPWithoutARootAnswersThatItHasNone(t *testing.T) {
	r := start(t, options{})
	if code, body := r.get("/"); code != 200 || !strings.Contains(body, "root") {
		t.Errorf("GET /: %d %q", code, body)
	}
	if code, _ := r.get("/etc/passwd"); code != 404 {
		t.Errorf("GET /etc/passwd: %d", code)
	}
}

// A load balancer must learn that the server ends while it still serves.
func TestHealthFailsWhenTheServerEnds(t *testing.T) {
	r := start(t, options{lameDuck: time.Hour})
	c := r.dial()
	c.mustGet(t, "/healthz", "ok\n", false)
	r.service.HandleLameDuck()
	for range 2 {
		if err := c.send("/healthz"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Close {
			t.Errorf("%s, close %t; want 503 on a connection that stays", resp.Status, resp.Close)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "draining\n" || err != nil {
			t.Errorf("body %q, %v", body, err)
		}
		r.service.HandleLameDuck() // a second call changes nothing
	}
}

// If only one worker ends, as in a reload, the load balancer must not notice: its
// next connection gets another worker.
func TestHealthSucceedsWhileOnlyThisWorkerDrains(t *testing.T) {
	r := start(t, options{lameDuck: time.Hour})
	c := r.dial()
	c.mustGet(t, "/healthz", "ok\n", false)
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() { drained <- r.service.Drain(ctx) }() // and no HandleLameDuck
	<-r.service.draining
	c.mustGet(t, "/healthz", "ok\n", true)
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Errorf("Drain: %v", err)
	}
}

func TestHTTPRefusesAMissingRoot(t *testing.T) {
	_, err := Files(filepath.Join(t.TempDir(), "gone"), false, false)
	if err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("Files: %v, want the path named", err)
	}
}

func TestAResourceErrorIsNotAMissingFile(t *testing.T) {
	for err, want := range map[error]bool{
		&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}: true,
		&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}: false,
		fs.ErrNotExist: false,
	} {
		if isResourceError(err) != want {
			t.Errorf("isTrouble(%v) is %v", err, !want)
		}
	}
}
