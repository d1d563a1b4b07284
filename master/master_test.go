package master

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"prefork/internal/needtool"
	"prefork/internal/testdir"
	"prefork/master/policy"
)

// patience bounds every wait of these tests; none takes a second when all is
// well.
const patience = 20 * time.Second

// running is a master that runs in the test's process.
type running struct {
	t      *testing.T
	master *Master
	client *http.Client
	log    *observer.ObservedLogs
	ended  chan error
	stop   context.CancelFunc
}

func generationOf(workers int, do string, listen ...string) Generation {
	config, err := json.Marshal(fault{Do: do})
	if err != nil {
		panic(err)
	}
	return Generation{
		Listen: listen,
		Worker: config,
		Policy: policy.Config{
			Min: workers, Max: workers, Slots: 32,
			Probation: 20 * time.Millisecond, SampleInterval: 20 * time.Millisecond,
			KillDelay: 100 * time.Millisecond, StartTimeout: patience,
		},
	}
}

// start runs a master with o until the test ends.
func start(t *testing.T, o Options) *running {
	t.Helper()
	o.Control = filepath.Join(testdir.Short(t), "control")
	core, log := observer.New(zap.DebugLevel)
	o.Log = zap.New(core)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, master: New(o), log: log, ended: make(chan error, 1), stop: cancel}
	r.client = &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", o.Control)
		},
		DisableKeepAlives: true,
	}}
	go func() { r.ended <- r.master.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		r.wait()
	})
	return r
}

// wait returns what Run returned.
func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-time.After(patience):
		r.t.Fatalf("the master has not ended; log:\n%s", r.logText())
		return nil
	}
}

func (r *running) logText() string {
	var b strings.Builder
	for _, e := range r.log.All() {
		text, _ := json.Marshal(e.ContextMap())
		b.WriteString(e.Level.String() + " " + e.Message + " " + string(text) + "\n")
	}
	return b.String()
}

// until waits for a status that satisfies f.
func (r *running) until(what string, f func(Status) bool) (last Status) {
	r.t.Helper()
	r.untilLoop(what, func(m *Master) bool {
		last = m.status()
		return f(last)
	})
	return last
}

// untilLoop waits for f to hold on the owner loop. It asks at every tick of a
// timer, as a person would with the status command.
func (r *running) untilLoop(what string, f func(*Master) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for holds := false; !holds; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatalf("waited for %s; log:\n%s", what, r.logText())
		}
		if err := r.master.do(ctx, func(m *Master) { holds = f(m) }); err != nil {
			r.t.Fatalf("waiting for %s: %v; log:\n%s", what, err, r.logText())
		}
	}
}

func (r *running) serves(workers int) Status {
	r.t.Helper()
	return r.until("the pool to serve", func(s Status) bool {
		ready := 0
		for _, w := range s.Workers {
			if w.State == "ready" && w.Generation == s.Generation {
				ready++
			}
		}
		return s.State == "running" && ready == workers && len(s.Workers) == workers
	})
}

// post sends a command to the control socket.
func (r *running) post(command string) (int, Answer) {
	r.t.Helper()
	resp, err := r.client.Post("http://prefork/v1/"+command, "", nil)
	if err != nil {
		r.t.Fatalf("POST %s: %v; log:\n%s", command, err, r.logText())
	}
	defer resp.Body.Close()
	var a Answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		r.t.Fatalf("POST %s: %v", command, err)
	}
	return resp.StatusCode, a
}

func TestMasterStartsItsWorkersAndDrains(t *testing.T) {
	r := start(t, Options{Generation: generationOf(3, "", "tcp://127.0.0.1:0"), Build: "v1"})
	s := r.serves(3)
	if s.Version != "v1" || len(s.Listeners) != 1 || s.Target != "3" || s.PID != os.Getpid() {
		t.Errorf("status = %+v", s)
	}
	r.until("all to be told to accept", func(s Status) bool { return s.Totals.Accepted == 3 })
	code, a := r.post("drain")
	if code != http.StatusOK || !a.OK {
		t.Errorf("drain = %d %+v", code, a)
	}
	if err := r.wait(); err != nil {
		t.Errorf("Run = %v", err)
	}
}

// Starting worker n+1 must not touch the flags of the description that the
// others accept from.
func TestSpawningLeavesListenersNonBlocking(t *testing.T) {
	r := start(t, Options{Generation: generationOf(2, "blocking", "tcp://127.0.0.1:0")})
	r.serves(2)
	var flags int
	err := r.master.do(context.Background(), func(m *Master) {
		flags, _ = unix.FcntlInt(uintptr(m.current.listeners[0].fd), unix.F_GETFL, 0)
	})
	if err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Errorf("listener flags %#x, %v; want O_NONBLOCK", flags, err)
	}
}

func TestWorkersDoNotInheritTheServiceManagersVariables(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	r := start(t, Options{Generation: generationOf(1, "environment", "tcp://127.0.0.1:0")})
	r.serves(1)
}

func TestDescriptorsAndProcessesReturnToTheBaseline(t *testing.T) {
	r := start(t, Options{Generation: generationOf(2, "", "tcp://127.0.0.1:0")})
	r.serves(2)
	r.post("reload") // the first one opens what the control client keeps
	r.serves(2)
	before := countFDs(t)
	for range 10 {
		if code, a := r.post("reload"); code != http.StatusOK {
			t.Fatalf("reload = %d %+v; log:\n%s", code, a, r.logText())
		}
		s := r.serves(2)
		if err := unix.Kill(s.Workers[0].PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.until("a replacement", func(now Status) bool {
			return now.Totals.Restarts > s.Totals.Restarts && len(now.Workers) == 2 && now.Workers[0].State == "ready" && now.Workers[1].State == "ready"
		})
	}
	r.client.CloseIdleConnections()
	r.until("the descriptors to return", func(Status) bool { return countFDs(t) <= before })
	if zombies := children(t, "Z"); len(zombies) > 0 {
		t.Errorf("zombies: %v", zombies)
	}
}

// children lists our child processes in a state.
func children(t *testing.T, state string) (pids []string) {
	t.Helper()
	// A child stays with the thread that started it, and Go starts one from any.
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(files) == 0 {
		needtool.Skip(t, "the kernel lists no children: %v", err)
	}
	var list []byte
	for _, file := range files {
		data, _ := os.ReadFile(file) // a thread that has gone has handed its children on
		list = append(list, data...)
	}
	for _, pid := range strings.Fields(string(list)) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && strings.HasPrefix(string(stat[strings.LastIndexByte(string(stat), ')')+2:]), state) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestBadReloadLeavesTheOldGenerationAlone(t *testing.T) {
	taken := bindOne(t, "tcp://127.0.0.1:0")
	tests := []struct {
		name string
		load func() (Generation, error)
		want string
	}{
		{"configuration", func() (Generation, error) { return Generation{}, errors.New("prefork.toml:3: unknown key") }, "prefork.toml:3: unknown key"},
		{"port in use", func() (Generation, error) {
			return generationOf(1, "", "tcp://127.0.0.1:0", "tcp://"+taken.address), nil
		}, "address already in use"},
		{"worker fails", func() (Generation, error) { return generationOf(1, "fail", "tcp://127.0.0.1:0"), nil }, "no such colour"},
		{"worker panics", func() (Generation, error) { return generationOf(1, "panic", "tcp://127.0.0.1:0"), nil }, ""},
		{"worker is another build", func() (Generation, error) { return generationOf(1, "stranger", "tcp://127.0.0.1:0"), nil }, "another"},
		{"worker sends rubbish", func() (Generation, error) { return generationOf(1, "corrupt", "tcp://127.0.0.1:0"), nil }, "bad message"},
		{"worker speaks before its hello", func() (Generation, error) { return generationOf(1, "hasty", "tcp://127.0.0.1:0"), nil }, "out of turn"},
		{"worker gives orders", func() (Generation, error) { return generationOf(1, "bossy", "tcp://127.0.0.1:0"), nil }, "the master's to say"},
		{"worker is never ready", func() (Generation, error) {
			g := generationOf(1, "silent", "tcp://127.0.0.1:0")
			g.Policy.StartTimeout = 50 * time.Millisecond
			return g, nil
		}, "not ready within"},
		{"worker is never ready and has to be killed", func() (Generation, error) {
			g := generationOf(1, "deaf", "tcp://127.0.0.1:0")
			g.Policy.StartTimeout, g.Policy.DumpDelay = 50*time.Millisecond, 50*time.Millisecond
			return g, nil
		}, "not ready within"},
	}
	load := make(chan func() (Generation, error), 1)
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load:       func(context.Context) (Generation, error) { return (<-load)() },
	})
	before := r.serves(1)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			load <- tt.load
			code, a := r.post("reload")
			if code != http.StatusConflict || a.OK || !strings.Contains(a.Error, tt.want) || a.Generation != 1 {
				t.Fatalf("reload = %d %+v; want 409 with %q; log:\n%s", code, a, tt.want, r.logText())
			}
			s := r.serves(1)
			if s.Workers[0].PID != before.Workers[0].PID || s.LastReload.OK || s.LastReload.Error != a.Error || s.LastReload.At == nil {
				t.Errorf("status = %+v; want the old worker and the reason", s)
			}
		})
	}
}

func TestCrashIsLoggedOnceWithItsEvidence(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "panic", "tcp://127.0.0.1:0")})
	var exit *ExitError
	if err := r.wait(); !errors.As(err, &exit) || exit.Code != 1 {
		t.Fatalf("Run = %v, want an ExitError with code 1", err)
	}
	exits := r.log.FilterMessage("worker exited").All()
	if len(exits) == 0 {
		t.Fatalf("no exit in the log:\n%s", r.logText())
	}
	fields := exits[0].ContextMap()
	evidence, _ := fields["evidence"].(string)
	if !strings.Contains(evidence, "panic: deliberate") || fields["pid"] == nil {
		t.Errorf("exit logged with %v, want the panic", fields)
	}
}

func TestConfigurationErrorAtBootIsExit78(t *testing.T) {
	for name, g := range map[string]Generation{
		"address": generationOf(1, "", "bogus"),
		"worker":  generationOf(1, "fail", "tcp://127.0.0.1:0"),
	} {
		r := start(t, Options{Generation: g})
		var config *ConfigError
		if err := r.wait(); !errors.As(err, &config) {
			t.Errorf("%s: Run = %v, want a ConfigError", name, err)
		}
	}
}

func TestListenersComeAndGoWithReloads(t *testing.T) {
	listen := make(chan []string, 1)
	path := filepath.Join(testdir.Short(t), "s")
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load: func(context.Context) (Generation, error) {
			return generationOf(1, "", <-listen...), nil
		},
	})
	kept := r.serves(1).Listeners[0].Address

	listen <- []string{"tcp://127.0.0.1:0", "unix://" + path, "tcp://127.0.0.2:0"}
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	s := r.serves(1)
	if len(s.Listeners) != 3 || s.Listeners[0].Address != kept {
		t.Errorf("listeners = %+v, want %s kept and two more", s.Listeners, kept)
	}
	removed := s.Listeners[2].Address

	listen <- []string{"tcp://127.0.0.1:0"}
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	r.serves(1)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat of the removed listener's socket = %v", err)
	}
	r.until("the removed listener to be closed", func(Status) bool {
		c, err := net.DialTimeout("tcp", removed, patience)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, unix.ECONNREFUSED)
	})
}

func TestReloadChangesKeptListeners(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	next := make(chan Generation, 1)
	first := generationOf(1, "", "unix://"+path+"?mode=0660", "tcp://127.0.0.1:0")
	first.Backlog = 10
	r := start(t, Options{Generation: first, Load: func(context.Context) (Generation, error) { return <-next, nil }})
	r.serves(1)
	second := generationOf(1, "", "unix://"+path+"?mode=0606", "tcp://127.0.0.1:0")
	second.Backlog = 77
	next <- second
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o606 {
		t.Errorf("socket file: %v, %v; want mode 0606", info.Mode(), err)
	}
	var queue uint32
	r.untilLoop("the loop", func(m *Master) bool {
		info, err := unix.GetsockoptTCPInfo(m.current.listeners[1].fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Fatal(err)
		}
		queue = info.Sacked // for a listening socket: the length that its queue may have
		return true
	})
	if queue != 77 {
		t.Errorf("queue of %d, want 77", queue)
	}
}

func TestReloadBindsARemovedSocketFileAnew(t *testing.T) {
	path := filepath.Join(testdir.Short(t), "s")
	r := start(t, Options{Generation: generationOf(1, "", "unix://"+path)})
	r.serves(1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if code, a := r.post("reload"); code != http.StatusOK {
		t.Fatalf("reload = %d %+v", code, a)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("after the reload: %v", err)
	}
	c.Close()
}

func TestScaleAnswersWhenThePoolHasItsSize(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	for _, tt := range []struct {
		query string
		want  int
	}{{"3", 3}, {"%2B1", 4}, {"+1", 5}, {"-2", 3}, {"1", 1}} {
		code, a := r.post("scale?n=" + tt.query)
		if code != http.StatusOK || a.Target != strconv.Itoa(tt.want) {
			t.Errorf("scale %s = %d %+v, want %d", tt.query, code, a, tt.want)
		}
		r.serves(tt.want)
	}
	code, a := r.post("scale?n=-5")
	if code != http.StatusConflict || !strings.Contains(a.Error, "cannot scale by -5: the pool has 1, and may have 1 to ") {
		t.Errorf("scale below one worker = %d %+v, want a refusal that says what there is", code, a)
	}
	if code, a := r.post("scale?n=1000"); code != http.StatusConflict || !strings.Contains(a.Error, "cannot scale to 1000") || a.Target != "1" {
		t.Errorf("scale beyond the slots = %d %+v, want a refusal that leaves the pool as it is", code, a)
	}
	r.serves(1)
	for _, query := range []string{"", "zero", "0"} {
		if code, a := r.post("scale?n=" + query); code != http.StatusConflict || a.Error == "" {
			t.Errorf("scale %q = %d %+v, want a refusal", query, code, a)
		}
	}
}

func TestRecycleReplacesTheWorker(t *testing.T) {
	for _, command := range []string{"recycle", "drain-worker"} {
		r := start(t, Options{Generation: generationOf(2, "", "tcp://127.0.0.1:0")})
		before := r.serves(2)
		if code, a := r.post(command + "?slot=" + strconv.Itoa(before.Workers[0].Slot)); code != http.StatusOK {
			t.Errorf("%s = %d %+v", command, code, a)
		}
		for _, w := range r.serves(2).Workers {
			if w.PID == before.Workers[0].PID {
				t.Errorf("%s: process %d is still there", command, w.PID)
			}
		}
		if code, a := r.post(command + "?slot=30"); code != http.StatusConflict || !strings.Contains(a.Error, "no worker in slot 30") {
			t.Errorf("%s of an empty slot = %d %+v", command, code, a)
		}
		if code, a := r.post(command); code != http.StatusConflict || !strings.Contains(a.Error, "is not a number") {
			t.Errorf("%s without a slot = %d %+v", command, code, a)
		}
	}
}

func TestControlSocketIsPrivate(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	info, err := os.Stat(r.master.options.Control)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestRepeatedReloadRequestsBecomeOne(t *testing.T) {
	release := make(chan struct{})
	loads := 0
	r := start(t, Options{
		Generation: generationOf(1, "", "tcp://127.0.0.1:0"),
		Load: func(context.Context) (Generation, error) {
			loads++ // one load at a time: the next begins after a verdict
			<-release
			return generationOf(1, "", "tcp://127.0.0.1:0"), nil
		},
	})
	r.serves(1)
	answers := make(chan Answer, 10)
	ask := func() {
		a, err := r.master.ask(context.Background(), (*waiters).reload, policy.Reload{})
		if err != nil {
			a.Error = err.Error()
		}
		answers <- a
	}
	go ask()
	r.until("the reload", func(s Status) bool { return s.State == "reloading" })
	for range 9 {
		go ask()
	}
	r.untilLoop("nine to wait", func(m *Master) bool { return len(m.waiting.reloads) == 9 })
	close(release)
	for range 10 {
		if a := <-answers; !a.OK {
			t.Errorf("reload: %+v", a)
		}
	}
	if s := r.serves(1); s.Generation != 3 || loads != 2 {
		t.Errorf("generation %d after %d loads; want 3 after 2", s.Generation, loads)
	}
}

func TestTheControlSocketAnswersWrongRequestsInJSONToo(t *testing.T) {
	r := start(t, Options{Generation: generationOf(1, "", "tcp://127.0.0.1:0")})
	r.serves(1)
	for path, want := range map[string]int{"/v1/reload": http.StatusMethodNotAllowed, "/v1/nothing": http.StatusNotFound} {
		resp, err := r.client.Get("http://prefork" + path)
		if err != nil {
			t.Fatal(err)
		}
		var a Answer
		err = json.NewDecoder(resp.Body).Decode(&a)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != want || a.OK || a.Error == "" {
			t.Errorf("GET %s: %s, %+v, %v; want %d and a reason", path, resp.Status, a, err, want)
		}
	}
}
