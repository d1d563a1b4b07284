package notifytest

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/internal/testdir"
	"prefork/systemd"
)

// Message is one datagram.
type Message struct {
	Fields []systemd.Field // nil if Err is set
	Raw    string          // the datagram as received
	Files  int             // the number of descriptors in the datagram

	// PID, UID and GID are the sender's, from the kernel.
	PID int
	UID int
	GID int

	// Err says why a manager would refuse the message, or a part of it.
	Err error
}

// Get returns the value of the field called name, and whether it is there.
func (m Message) Get(name string) (string, bool) {
	for _, f := range m.Fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// Has reports whether the message has the field called name with this value.
func (m Message) Has(name, value string) bool {
	return slices.Contains(m.Fields, systemd.Field{Name: name, Value: value})
}

// String shows the message on one line.
func (m Message) String() string {
	text := fmt.Sprintf("%q from PID %d", m.Raw, m.PID)
	if m.Files > 0 {
		text += fmt.Sprintf(" with %d descriptors", m.Files)
	}
	if m.Err != nil {
		text += fmt.Sprintf(" (%v)", m.Err)
	}
	return text
}

// Recorder is a NOTIFY_SOCKET that records its messages. Its methods may be called from
// any goroutine, those that can fail the test from the test's own.
type Recorder struct {
	t       testing.TB
	address string
	conn    *net.UnixConn
	done    chan struct{} // closed when read has returned

	mu       sync.Mutex
	messages []Message
	taken    int           // the messages that Wait has passed
	changed  chan struct{} // closed and replaced with each message
	broken   error         // why read returned, unless close ended it
	store    []stored
}

// New starts a Recorder. It is stopped, and every descriptor it holds is closed,
// when the test ends.
func New(t testing.TB) *Recorder {
	t.Helper()
	r, err := listen(filepath.Join(testdir.Short(t), "s"))
	if err != nil {
		t.Fatalf("start the notification recorder: %v", err)
	}
	r.t = t
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Errorf("the notification recorder failed: %v", err)
		}
		for _, m := range r.Messages() {
			if m.Err != nil {
				t.Errorf("malformed notification %v", m)
			}
		}
	})
	return r
}

func listen(address string) (*Recorder, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		return nil, err
	}
	if err := passCredentials(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	r := &Recorder{address: address, conn: conn, done: make(chan struct{}), changed: make(chan struct{})}
	go r.read()
	return r, nil
}

// Address returns the value for NOTIFY_SOCKET.
func (r *Recorder) Address() string { return r.address }

// Messages returns all messages so far, in order.
func (r *Recorder) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

// Malformed takes the malformed messages out of the record and returns them,
// in order.
func (r *Recorder) Malformed() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	var bad, good []Message
	taken := 0
	for i, m := range r.messages {
		if m.Err != nil {
			bad = append(bad, m)
			continue
		}
		good = append(good, m)
		if i < r.taken {
			taken++
		}
	}
	r.messages, r.taken = good, taken
	return bad
}

// Wait is WaitFor a message that has the field called name with this value.
func (r *Recorder) Wait(name, value string, timeout time.Duration) Message {
	r.t.Helper()
	return r.WaitFor(name+"="+value, timeout, func(m Message) bool { return m.Has(name, value) })
}

// WaitFor returns the next message for which match is true, after the one that
// the last Wait or WaitFor returned; so a row of calls checks an order. If none
// comes within timeout the test fails at once and shows what was wanted and
// what came.
func (r *Recorder) WaitFor(what string, timeout time.Duration, match func(Message) bool) Message {
	r.t.Helper()
	m, err := r.next(timeout, match)
	if err != nil {
		r.t.Fatalf("waited for notification %s: %v; %s", what, err, r.history())
	}
	return m
}

func (r *Recorder) next(timeout time.Duration, match func(Message) bool) (Message, error) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for seen := -1; ; {
		r.mu.Lock()
		for seen = max(seen, r.taken); seen < len(r.messages); seen++ {
			if m := r.messages[seen]; m.Err == nil && match(m) {
				r.taken = seen + 1
				r.mu.Unlock()
				return m, nil
			}
		}
		changed, broken := r.changed, r.broken
		r.mu.Unlock()
		if broken != nil {
			return Message{}, broken
		}
		select {
		case <-changed:
		case <-r.done:
			return Message{}, net.ErrClosed
		case <-deadline.C:
			return Message{}, fmt.Errorf("none within %v", timeout)
		}
	}
}

func (r *Recorder) history() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.messages) == 0 {
		return "there was no message at all"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "these came, the first %d of them looked at before:", r.taken)
	for _, m := range r.messages {
		fmt.Fprintf(&b, "\n\t%v", m)
	}
	return b.String()
}

// close stops the recorder and closes what it holds. Its record stays.
func (r *Recorder) close() error {
	err := r.conn.Close()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.store {
		_ = unix.Close(s.fd)
	}
	r.store = nil
	return errors.Join(r.broken, err)
}
