package handlers

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// countingListener counts the writes of its connections.
type countingListener struct {
	net.Listener
	writes atomic.Int32
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countingConn{c, l}, err
}

type countingConn struct {
	net.Conn
	l *countingListener
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.l.writes.Add(1)
	return c.Conn.Write(b)
}

// ReadFrom is what net/http uses for sendfile.
func (c *countingConn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// needOpenat2 skips a test where the kernel or a sandbox has no openat2.
func needOpenat2(t *testing.T) {
	t.Helper()
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC})
	if err != nil {
		t.Skip("no openat2: ", err)
	}
	_ = unix.Close(fd)
}

func TestHTTPSendsASmallFileInOneWrite(t *testing.T) {
	needOpenat2(t)
	root := t.TempDir()
	sizes := map[string]int{"/empty": 0, "/one": 1, "/kib.html": 1 << 10, "/largest.bin": maxSmall}
	for name, size := range sizes {
		if err := os.WriteFile(filepath.Join(root, name), []byte(strings.Repeat("x", size)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Files(root, false, false)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &countingListener{Listener: inner}
	srv := &http.Server{Handler: files}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	ask := func(method, path, header string) (*http.Response, string) {
		t.Helper()
		if _, err := io.WriteString(conn, method+" "+path+" HTTP/1.1\r\nHost: t\r\n"+header+"\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	for name, size := range sizes {
		l.writes.Store(0)
		resp, body := ask("GET", name, "")
		if resp.StatusCode != http.StatusOK || len(body) != size || resp.ContentLength != int64(size) {
			t.Errorf("GET %s: %d with %d bytes, length %d, want %d", name, resp.StatusCode, len(body), resp.ContentLength, size)
		}
		if n := l.writes.Load(); n != 1 {
			t.Errorf("GET %s: sent in %d writes, want 1", name, n)
		}
		if resp, _ := ask("HEAD", name, ""); resp.ContentLength != int64(size) {
			t.Errorf("HEAD %s: length %d, want %d", name, resp.ContentLength, size)
		}
		if again, _ := ask("GET", name, "If-Modified-Since: "+resp.Header.Get("Last-Modified")+"\r\n"); again.StatusCode != http.StatusNotModified {
			t.Errorf("GET %s, not modified: %d, want 304", name, again.StatusCode)
		}
	}
	if resp, body := ask("GET", "/kib.html", "Range: bytes=1000-1009\r\n"); resp.StatusCode != http.StatusPartialContent || body != "xxxxxxxxxx" {
		t.Errorf("a range: %d %q", resp.StatusCode, body)
	}
	if resp, body := ask("GET", "/kib.html", "Range: bytes=0-0,5-6\r\n"); resp.StatusCode != http.StatusPartialContent || strings.Count(body, "Content-Range") != 2 {
		t.Errorf("two ranges: %d %q", resp.StatusCode, body)
	}
}

func TestAFileIsReadWholeOrNotAtAll(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, size := range []int64{4, 5, 6, maxSmall + 1} {
		info := &fileInfo{name: "f"}
		info.Stat_t.Size = size // what fstat said before the file changed
		if small := readSmall(fd, info); (small != nil) != (size == 5) {
			t.Errorf("a file of 5 bytes, of which fstat says %d: read %t", size, small != nil)
		}
	}
}

// A name with a zero byte makes openat2 return descriptor 0 beside its error.
func TestOpenPlainOpensOnlyRegularFiles(t *testing.T) {
	needOpenat2(t)
	dir, err := openSite(makeSite(t))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Readlink("/proc/self/fd/0")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.txt\x00", "page", ".", "pipe", "in", "out", "missing", "../secret.txt", "/etc/passwd"} {
		if f, _ := dir.openPlain(name); f != nil {
			_ = f.Close()
			t.Errorf("%q was opened", name)
		}
	}
	if after, err := os.Readlink("/proc/self/fd/0"); after != before {
		t.Errorf("descriptor 0 was %q and is %q, %v", before, after, err)
	}
	f, info := dir.openPlain("a.txt")
	if f == nil || !info.Mode().IsRegular() || info.Name() != "a.txt" {
		t.Fatalf("a.txt: %v, %+v", f, info)
	}
	_ = f.Close()
	dir.close()
	if f, _ := dir.openPlain("a.txt"); f != nil {
		t.Error("a closed directory opens files")
	}
}

// sendfile is used only if the connection gets an *os.File.
func TestALargeFileReachesSendfile(t *testing.T) {
	needOpenat2(t)
	root := t.TempDir()
	content := []byte(strings.Repeat("x", maxSmall+1))
	if err := os.WriteFile(filepath.Join(root, "large"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	site, err := newSite(root, false, false)
	if err != nil {
		t.Fatal(err)
	}
	defer site.opened.Load().close()
	f, err := site.Open("/large")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != int64(len(content)) {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	behind := &fileTaker{ResponseWriter: httptest.NewRecorder()}
	if _, err := (&smallResponse{behind}).ReadFrom(&io.LimitedReader{R: f, N: 7}); err != nil {
		t.Fatal(err)
	}
	limited, _ := behind.from.(*io.LimitedReader)
	if limited == nil || limited.N != 7 {
		t.Fatalf("read from %#v", behind.from)
	}
	if _, ok := limited.R.(*os.File); !ok {
		t.Errorf("read from a %T, want an *os.File", limited.R)
	}
}
