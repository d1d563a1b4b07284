package master

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// With TCP_DEFER_ACCEPT a handshake stays half-open until the client sends data.
// So the test can imitate a client whose ACK takes long.
func TestADrainWaitsForUnfinishedHandshakes(t *testing.T) {
	if _, err := halfOpen(unix.AF_INET, nil); err != nil {
		t.Skipf("this kernel does not say which handshakes are under way: %v", err)
	}
	for _, address := range []string{"tcp4://127.0.0.1:0", "tcp://[::]:0"} {
		l, other := bindOne(t, address), bindOne(t, address)
		grace := func() time.Duration {
			awaitHandshakes([]*listener{l})
			return time.Until(l.graceUntil)
		}
		if got := grace(); got > quiesceGrace {
			t.Errorf("%s: waits for %v, want no wait", address, got)
		}
		if err := unix.SetsockoptInt(l.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30); err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(l.address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		if got := grace(); got <= quiesceGrace || got > handshakeGrace {
			t.Errorf("%s: waits for %v while a handshake is under way, want up to %v", address, got, handshakeGrace)
		}
		awaitHandshakes([]*listener{other})
		if got := time.Until(other.graceUntil); got > quiesceGrace {
			t.Errorf("%s: waits for %v for the clients of another listener", address, got)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestUnfinishedHandshakesAreReadFromTheKernel(t *testing.T) {
	message := func(kind uint16, body ...byte) []byte {
		p := make([]byte, 16+(len(body)+3)&^3)
		binary.NativeEndian.PutUint32(p, uint32(16+len(body)))
		binary.NativeEndian.PutUint16(p[4:], kind)
		copy(p[16:], body)
		return p
	}
	join := func(messages ...[]byte) (p []byte) {
		for _, m := range messages {
			p = append(p, m...)
		}
		return p
	}
	of := func(port byte) []byte { return message(sockDiagFamily, 2, stateSynRecv, 0, 0, 0, port, 9, 9, 9) }
	refusal := make([]byte, 4)
	binary.NativeEndian.PutUint32(refusal, uint32(0xfffffffe)) // -ENOENT
	for name, test := range map[string]struct {
		answer      []byte
		found, done bool
		fails       bool
	}{
		"none":              {answer: message(unix.NLMSG_DONE, 0, 0, 0, 0), done: true},
		"more to come":      {answer: of(81)},
		"of another port":   {answer: join(of(81), message(unix.NLMSG_DONE, 0, 0, 0, 0)), done: true},
		"the second":        {answer: join(of(81), of(80)), found: true},
		"a refusal":         {answer: message(unix.NLMSG_ERROR, refusal...), done: true, fails: true},
		"a short refusal":   {answer: message(unix.NLMSG_ERROR), done: true, fails: true},
		"a length too long": {answer: []byte{200, 0, 0, 200, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, done: true, fails: true},
		"a fragment":        {answer: []byte{1, 2, 3}, done: true, fails: true},
	} {
		found, done, err := diagnose(test.answer, map[uint16]bool{80: true})
		if found != test.found || done != test.done && !found || (err != nil) != test.fails {
			t.Errorf("%s: found %v, done %v, %v", name, found, done, err)
		}
	}
}
