package master

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"prefork/integration/notifytest"
	"prefork/internal/testdir"
	"prefork/ipc"
	"prefork/master/policy"
	"prefork/systemd"
)

// busyManager returns a master whose service manager's queue is full, and a
// function that reads from the queue.
func busyManager(t *testing.T) (m *Master, room func(), receive func() string) {
	t.Helper()
	path := filepath.Join(testdir.Short(t), "s")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() })
	notify, err := systemd.NewNotifierTo(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = notify.Close() })
	notify.Wait = -1
	filled := 0
	for ; !errors.Is(err, systemd.ErrBusy); filled++ {
		err = notify.Watchdog()
	}
	filled--
	buf := make([]byte, systemd.MaxMessage)
	receive = func() string {
		if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		n, err := manager.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	room = func() {
		for range filled {
			receive()
		}
	}
	return &Master{notify: notify, log: zap.NewNop(), machine: policy.New(), current: &generation{}, started: time.Now()}, room, receive
}

// systemctl start waits for READY=1, so the message must not be lost if the
// manager is busy.
func TestReadyIsSentWhenTheManagerHasRoomAgain(t *testing.T) {
	m, room, receive := busyManager(t)
	core, log := observer.New(zap.InfoLevel)
	m.log = zap.New(core)
	m.applyNotify(policy.Notify{State: policy.NotifyReady, Status: "1 workers, generation 1"})
	m.notifyProgress()
	m.notifyProgress()
	if n := log.FilterMessage("service manager not notified").Len(); n != 1 {
		t.Errorf("logged %d times that the manager is busy, want once", n)
	}
	room()
	m.applyNotify(policy.Notify{State: policy.NotifyStatus, Status: "2 workers, generation 1"})
	if got := receive(); !strings.Contains(got, "READY=1") || !strings.Contains(got, "2 workers") {
		t.Errorf("the manager got %q, want READY=1 with the newest status", got)
	}
}

// With Type=notify-reload, systemd waits for RELOADING=1 and then for READY=1. A
// READY=1 before it does not end the reload.
func TestReloadingIsSentBeforeReadyAfterABusyManager(t *testing.T) {
	m, room, receive := busyManager(t)
	m.applyNotify(policy.Notify{State: policy.NotifyReloading, Status: "loading generation 2"})
	m.applyNotify(policy.Notify{State: policy.NotifyReady, Status: "1 workers, generation 2"})
	room()
	m.notifyProgress()
	for _, want := range []string{"RELOADING=1", "READY=1"} {
		if got := receive(); !strings.Contains(got, want) {
			t.Errorf("the manager got %q, want %s", got, want)
		}
	}
}

func TestUnsentNotificationsStayFewAndInOrder(t *testing.T) {
	ready, reloading, status, stopping := policy.NotifyReady, policy.NotifyReloading, policy.NotifyStatus, policy.NotifyStopping
	for _, test := range []struct{ said, left []policy.NotifyState }{
		{[]policy.NotifyState{ready, status}, []policy.NotifyState{ready}},
		{[]policy.NotifyState{status, reloading}, []policy.NotifyState{reloading}},
		{[]policy.NotifyState{ready, reloading}, []policy.NotifyState{ready, reloading}},
		{[]policy.NotifyState{reloading, ready, reloading}, []policy.NotifyState{reloading}},
		{[]policy.NotifyState{reloading, ready, reloading, ready}, []policy.NotifyState{reloading, ready}},
		{[]policy.NotifyState{ready, reloading, ready}, []policy.NotifyState{ready}},
		{[]policy.NotifyState{reloading, ready, stopping, status, stopping}, []policy.NotifyState{reloading, ready, stopping}},
	} {
		var queue []policy.Notify
		for _, state := range test.said {
			queue = queueNotify(queue, policy.Notify{State: state})
		}
		var left []policy.NotifyState
		for _, q := range queue {
			left = append(left, q.State)
		}
		if !slices.Equal(left, test.left) {
			t.Errorf("of %v %v is left, want %v", test.said, left, test.left)
		}
	}
}

// TimeoutStartSec= bounds a boot and a reload. If the configuration allows a
// longer time, the master asks for it.
func TestTheManagerIsAskedForTimeOnlyWhileItWaits(t *testing.T) {
	r := notifytest.New(t)
	notify, err := systemd.NewNotifierTo(r.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	m := &Master{notify: notify, log: zap.NewNop(), machine: policy.New(), started: time.Now(), current: &generation{}}
	m.base.Policy = policy.Config{Min: 1, Max: 1, Slots: 8, Probation: time.Hour}.WithDefaults()
	asks := func(what string, want bool) {
		t.Helper()
		m.notifyProgress()
		if err := notify.Send(systemd.Field{Name: "X_MARK", Value: what}); err != nil {
			t.Fatal(err)
		}
		asked := false
		r.WaitFor(what, patience, func(msg notifytest.Message) bool {
			asked = asked || msg.Has("EXTEND_TIMEOUT_USEC", "10000000")
			return msg.Has("X_MARK", what)
		})
		if asked != want {
			t.Errorf("%s: asked for time: %v, want %v", what, asked, want)
		}
	}
	starts := func(events ...policy.Event) {
		for _, ev := range events {
			for _, a := range m.machine.Step(m.now(), ev) {
				if s, is := a.(policy.Spawn); is {
					defer func() {
						m.machine.Step(m.now(), policy.Ready{ID: s.ID})
						m.machine.Step(m.now(), policy.Listening{Generation: s.Generation})
					}()
					m.machine.Step(m.now(), policy.Spawned{ID: s.ID, PID: 1})
				}
			}
		}
		asks(m.machine.State().String(), true)
	}
	starts(policy.Boot{Config: m.base.Policy})
	asks("running", false)
	starts(policy.Reload{}, policy.Loaded{Config: m.base.Policy})
	asks("probation", true)
	if got := m.machine.State(); got != policy.Probation {
		t.Fatalf("state %v", got)
	}
	m.machine.Step(m.now()+2*time.Hour, policy.Tick{})
	m.machine.Step(m.now()+2*time.Hour, policy.Reload{})
	asks("a reload", true)
	m.machine.Step(m.now()+3*time.Hour, policy.Tick{})
	asks("a configuration that never came", false)
}

// WatchdogSec= may be shorter than the interval of the policy's samples.
func TestTheWatchdogIsNotifiedInTimeWithRareSamples(t *testing.T) {
	r := notifytest.New(t)
	t.Setenv("NOTIFY_SOCKET", r.Address())
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	o := Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")}
	o.Generation.Policy.SampleInterval = time.Hour
	s := start(t, o)
	s.serves(1)
	if err := s.master.do(t.Context(), func(m *Master) {
		for _, w := range m.workers {
			w.memory.Beat.Store(0) // this fake worker sets it with each message
		}
	}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.Wait("WATCHDOG", "1", patience)
	}
}

// The service manager restarts a service if most of its workers hang.
func TestTheWatchdogIsNotifiedOnlyWhileHalfOfTheServingWorkersBeat(t *testing.T) {
	r := notifytest.New(t)
	t.Setenv("NOTIFY_SOCKET", r.Address())
	t.Setenv("WATCHDOG_USEC", "60000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	s := start(t, Options{Generation: generationOf(3, "", "tcp://127.0.0.1:0")})
	s.serves(3)
	s.untilLoop("all to serve", func(m *Master) bool {
		serving := 0
		for _, w := range m.workers {
			if w.serving {
				serving++
			}
		}
		return serving == 3
	})
	for silent, want := range []bool{true, true, false, false} {
		if err := s.master.do(t.Context(), func(m *Master) {
			left := silent
			for _, w := range m.workers {
				beat := ipc.Now()
				if left > 0 {
					beat -= int64(time.Hour)
				}
				left--
				w.memory.Beat.Store(beat)
			}
			m.lastFed = time.Time{}
			m.feed()
			if fed := !m.lastFed.IsZero(); fed != want {
				t.Errorf("%d of 3 workers are silent: fed %v, want %v", silent, fed, want)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// The successor of a killed master needs the stored listeners, so a listener
// that the busy manager did not store is sent again.
func TestStoringAListenerIsRetried(t *testing.T) {
	r := notifytest.New(t)
	notify, err := systemd.NewNotifierTo(r.Address())
	if err != nil {
		t.Fatal(err)
	}
	l := bindOne(t, "tcp://127.0.0.1:0")

	g := &generation{listeners: []*listener{l}}
	m := &Master{notify: notify, log: zap.NewNop(), machine: policy.New(), started: time.Now(), current: g, stored: map[string]*listener{}}
	closed, err := systemd.NewNotifierTo(r.Address())
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	core, log := observer.New(zap.InfoLevel)
	m.log = zap.New(core)
	m.notify = closed // sending fails, as with a full queue
	m.syncStore()
	m.syncStore()
	if n := log.FilterMessage("listener not stored").Len(); n != 1 {
		t.Errorf("logged %d times that the listener is not stored, want once", n)
	}
	m.notify = notify
	m.notifyProgress()
	r.Wait("FDSTORE", "1", patience)
	m.notify = closed
	g.listeners = nil
	m.syncStore()
	m.notify = notify
	m.notifyProgress()
	r.Wait("FDSTOREREMOVE", "1", patience)
	if err := notify.Close(); err != nil {
		t.Fatal(err)
	}
}
