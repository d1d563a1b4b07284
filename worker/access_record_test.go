package worker

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

func TestARecordIsShorterThanAnAtomicWrite(t *testing.T) {
	nasty := strings.Repeat("\x00", 64<<10)
	a := &accessLog{worker: []byte(`,"slot":12345,"pid":1234567890,"generation":1234567890`)}
	c := &Conn{listener: &listenerInfo{name: nasty, network: "unix"}, remote: &syscall.SockaddrUnix{Name: nasty}}
	c.bytesIn.Store(1<<64 - 1)
	c.bytesOut.Store(1<<64 - 1)
	c.requests.Store(1<<64 - 1)
	line := a.appendRecord(nil, c, outcomeRejected, errors.New(nasty))
	if len(line) > maxRecord || !json.Valid(line) || bytes.IndexByte(line, '\n') != len(line)-1 {
		t.Errorf("%d bytes, want at most %d: %s", len(line), maxRecord, line)
	}
}

func TestARecordDoesNotAllocate(t *testing.T) {
	a := &accessLog{worker: []byte(`,"slot":1,"pid":2,"generation":3`)}
	c := &Conn{listener: &listenerInfo{name: "tcp://[::1]:80", network: "tcp"}, remote: &syscall.SockaddrInet6{Addr: netip.MustParseAddr("2001:db8::1").As16(), Port: 1234}}
	b := make([]byte, 0, maxRecord)
	if n := testing.AllocsPerRun(100, func() { b = a.appendRecord(b[:0], c, outcomeOK, nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\n\r\t\x00\x1b[31m\x7f", "é\u2028\u0085", "\xff\xfe", "😀", strings.Repeat("\x01", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		const limit = 256
		b := appendText(nil, s, limit)
		var back string
		if err := json.Unmarshal(b, &back); err != nil || len(b) > limit+2 {
			t.Fatalf("%q is encoded as %s: %v", s, b, err)
		}
		for _, r := range string(b) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
				t.Fatalf("%q is encoded as %q", s, b)
			}
		}
		if whole := strings.ToValidUTF8(s, "\ufffd"); 6*len(s) < limit/2 && back != whole && utf8.ValidString(s) {
			t.Fatalf("%q is decoded as %q", s, back)
		}
	})
}

// BenchmarkRecord measures a record, including the write to a file.
func BenchmarkRecord(b *testing.B) {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "access"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	a := &accessLog{format: AccessJSON, sample: 1, worker: []byte(`,"slot":1,"pid":2,"generation":3`), file: new(accessFile)}
	if err := a.file.open(dup(b, int(f.Fd()))); err != nil {
		b.Fatal(err)
	}
	defer a.file.close()
	c := &Conn{listener: &listenerInfo{name: "tcp://127.0.0.1:9999", network: "tcp"}, remote: &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 40312}}
	b.ReportAllocs()
	for b.Loop() {
		a.record(c, outcomeOK, nil)
	}
}
