package livefork

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestARenewedNetpollerHasWhatTheOldOneHad(t *testing.T) {
	const data, wakeups = 0x123456789a, 3
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	event, err := unix.Eventfd(wakeups, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(event)
	e := unix.EpollEvent{Events: unix.EPOLLIN}
	*(*uint64)(unsafe.Pointer(&e.Fd)) = data
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, event, &e); err != nil {
		t.Fatal(err)
	}
	old, err := unix.Dup(event)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(old)

	p := netpoller{info: -1}
	if err := p.open(epoll); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.renew(); err != nil {
		t.Fatal(err)
	}

	if _, err := unix.Read(old, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	events := make([]unix.EpollEvent, 2)
	n, err := unix.EpollWait(epoll, events, 0)
	if err != nil || n != 1 || *(*uint64)(unsafe.Pointer(&events[0].Fd)) != data {
		t.Fatalf("the new netpoller reports %d events and %v: %v", n, err, events)
	}
	buf := make([]byte, 8)
	if _, err := unix.Read(event, buf); err != nil || buf[0] != 1 {
		t.Errorf("the new eventfd holds %v and %v, want a wake-up", buf, err)
	}
}

func TestParseInterestOfACutText(t *testing.T) {
	line := "tfd:        4 events:       19 data:           6b0738  pos:0 ino:7d9 sdev:10\n"
	text := make([]byte, 0, procSize)
	for len(text)+len(line) <= procSize {
		text = append(text, line...)
	}
	whole := len(text) / len(line)
	text = append(text, line[:procSize-len(text)]...)
	all, err := parseInterest(text)
	if err != nil || len(all) != whole || all[0] != (interest{4, 0x19, 0x6b0738}) {
		t.Errorf("parsed %v and %v", all, err)
	}
}

func TestParseState(t *testing.T) {
	for text, want := range map[string]state{
		"0 0x9 0xc000 0x1 0x0 0x0 0x0 0x7ffd 0x4b\n": {0, 9},
		"running\n":        {call: running},
		"-1 0x7ffd 0x4b\n": {-1, 0x7ffd}, // it sleeps, but not in a system call
		"":                 {call: running},
	} {
		if got := parseState([]byte(text)); got != want {
			t.Errorf("%q is %v, want %v", text, got, want)
		}
	}
}

func TestForeignStack(t *testing.T) {
	for stack, want := range map[string]string{
		"goroutine 5 [select]:\nx()\ncreated by net/http.(*Server).Serve in goroutine 1\n\t/x.go:1":                                                              "a goroutine of package net/http was started before Run (created by net/http.(*Server).Serve)",
		"goroutine 5 [select]:\nx()\ncreated by example.com/a.v2/b.init.0 in goroutine 1\n\t/x.go:1":                                                             "a goroutine of package example.com/a.v2/b was started before Run (created by example.com/a.v2/b.init.0)",
		"goroutine 5 [syscall]:\nos/signal.signal_recv()\n\t/x.go:1\nos/signal.loop()\n\t/x.go:1\ncreated by os/signal.Notify.func1.1 in goroutine 1\n\t/x.go:1": "package os/signal is used: signal.Notify was called before the fork",
		"goroutine 2 [force gc (idle)]:\nruntime.gopark()\ncreated by runtime.init.7 in goroutine 1\n\t/x.go:1":                                                  "",
	} {
		got := ""
		if c := foreignStack(stack); c != nil {
			got = c.Detail
		}
		if got != want {
			t.Errorf("%q is %q, want %q", stack, got, want)
		}
	}
}
