package worker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestFileIsSentWhole(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 300<<10/16)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		open func(f *os.File) io.Reader
		want []byte
	}{
		"whole":      {func(f *os.File) io.Reader { return f }, want},
		"limited":    {func(f *os.File) io.Reader { return io.LimitReader(f, 100_001) }, want[:100_001]},
		"over-limit": {func(f *os.File) io.Reader { return io.LimitReader(f, 1<<40) }, want},
		"from offset": {func(f *os.File) io.Reader {
			if _, err := f.Seek(77, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			return f
		}, want[77:]},
		"not a file": {func(f *os.File) io.Reader { return io.MultiReader(f) }, want},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, conn *Conn, client net.Conn) {
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				result := make(chan error, 1)
				go func() {
					n, err := io.Copy(conn, c.open(f))
					if err == nil && n != int64(len(c.want)) {
						err = errors.New("io.Copy counted wrongly")
					}
					_ = conn.CloseWrite()
					result <- err
				}()
				got, err := io.ReadAll(client)
				if err != nil || !bytes.Equal(got, c.want) {
					t.Fatalf("client read %d bytes, %v; want %d", len(got), err, len(c.want))
				}
				if err := within(t, "io.Copy", result); err != nil {
					t.Fatal(err)
				}
				if conn.BytesOut() != uint64(len(c.want)) {
					t.Errorf("counted %d bytes, want %d", conn.BytesOut(), len(c.want))
				}
			})
		})
	}
}

func TestPipeIsCopiedThoughItCannotBeSent(t *testing.T) {
	c, client := connPair(t, "tcp", Config{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("through a pipe"); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if n, err := io.Copy(c, r); n != 14 || err != nil {
		t.Fatalf("io.Copy = %d, %v", n, err)
	}
	expect(t, client, "through a pipe")
}

func TestCopyFromAConnStopsAtAFailedWrite(t *testing.T) {
	c, client := connPair(t, "tcp", Config{})
	if _, err := client.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	bad := errors.New("disk full")
	n, err := io.Copy(writerFunc(func(b []byte) (int, error) { return 2, bad }), c)
	if n != 2 || !errors.Is(err, bad) {
		t.Fatalf("io.Copy = %d, %v; want 2 and the writer's error", n, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
