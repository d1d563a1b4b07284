package integration

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"prefork/internal/testdir"
)

func TestFiftyReloadsUnderThreeLoadsDropNothing(t *testing.T) {
	t.Parallel()
	text, http := Start(t, line(2)), Start(t, web(2))
	textBase, httpBase := text.Footprint(), http.Footprint()
	network, address := text.Address("")
	loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
	network, address = http.Address("")
	loads = append(loads, startLoads(t.Context(), network, address, KeepAlive)...)

	n := times(50)
	for range n {
		waitOK(t, 5, loads...)
		inParallel(func() { text.Do("reload") }, func() { http.Do("reload") })
	}
	waitOK(t, 100, loads...)
	mustAllSucceed(t, loads...)
	for _, s := range []*Server{text, http} {
		status := s.WaitWorkers(2)
		if status.Generation != n+1 || status.Totals.Restarts != 0 || status.Totals.Failed != 0 {
			t.Errorf("after %d reloads: %v, %d connections failed", n, status, status.Totals.Failed)
		}
	}
	text.WaitFootprint(textBase)
	http.WaitFootprint(httpBase)
}

func inParallel(functions ...func()) {
	var group sync.WaitGroup
	for _, f := range functions {
		group.Go(f)
	}
	group.Wait()
}

func TestConnectionsSurviveFiftyReloads(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.DrainTimeout, c.DrainIdle = 10*time.Minute, 10*time.Minute
	s := Start(t, c)
	network, address := s.Address("")
	load := Load{Kind: Persistent, Network: network, Address: address, Clients: 8, Pause: 5 * time.Millisecond}.Start(t.Context())
	idle := s.Dial()
	first := idle.WorkerPID()
	for range times(50) {
		waitOK(t, 5, load)
		s.Do("reload")
	}
	if last := idle.WorkerPID(); last != first {
		t.Errorf("the connection moved from worker %d to %d", first, last)
	}
	status, err := s.Status()
	if err != nil {
		t.Fatal(err)
	}
	if w := status.Worker(first); w == nil || w.State != "draining" || w.Generation != 1 {
		t.Errorf("worker %d of generation 1 should drain: %v", first, status)
	}
	_ = idle.Close()
	mustAllSucceed(t, load)
	s.WaitWorkers(2)
}

func TestReloadAddsAListener(t *testing.T) {
	c := line(2)
	c.Listen = []string{"tcp://127.0.0.1:0"}
	s := Start(t, c)
	network, address := s.Address("")
	loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
	waitOK(t, 10, loads...)

	c.Listen = append(c.Listen, "tcp://127.0.0.2:0")
	s.Configure(c)
	s.Do("reload")
	if _, kept := s.Address("tcp://127.0.0.1:0"); kept != address {
		t.Errorf("the kept listener moved from %s to %s", address, kept)
	}
	network, added := s.Address("tcp://127.0.0.2:0")
	if answer, err := Asks(network, added, "upper here"); answer != "HERE" {
		t.Errorf("added listener: %q, %v", answer, err)
	}
	waitOK(t, 10, loads...)
	mustAllSucceed(t, loads...)
}

// When a reload removes a listener, the connections in its queue are answered by
// the old generation.
func TestReloadAnswersTheQueueOfARemovedListener(t *testing.T) {
	t.Parallel()
	c := line(1)
	c.Mode = "sequential"
	unix := filepath.Join(testdir.Short(t), "s")
	c.Listen = []string{"tcp://127.0.0.1:0", "tcp://127.0.0.2:0", "unix://" + unix}
	s := Start(t, c)
	network, address := s.Address("")
	removedNetwork, removed := s.Address("tcp://127.0.0.2:0")

	holder := DialClient(t, removedNetwork, removed) // occupies the only worker
	holder.WorkerPID()
	var queued []*Client
	for range 5 {
		queued = append(queued, DialClient(t, removedNetwork, removed), DialClient(t, "unix", unix))
	}
	for i, client := range queued {
		client.Send(fmt.Sprintf("upper queued %d", i))
	}
	load := startLoads(t.Context(), network, address, PerRequest)[0]

	c.Listen = c.Listen[:1]
	s.Configure(c)
	s.Do("reload")
	_ = holder.Close()
	receiveQueued(t, queued)
	for network, address := range map[string]string{removedNetwork: removed, "unix": unix} {
		Wait(t, "the removed listener "+address+" to be gone", func() (bool, string) { return Refused(network, address), "it accepts" })
	}
	s.WaitWorkers(1)
	waitOK(t, 10, load)
	mustAllSucceed(t, load)
}

// receiveQueued reads the answers of all clients in parallel and closes each
// client after its answer.
func receiveQueued(t *testing.T, queued []*Client) {
	t.Helper()
	var group sync.WaitGroup
	for i, client := range queued {
		group.Go(func() {
			got, err := client.ReadLine(Patience)
			if want := fmt.Sprintf("QUEUED %d", i); got != want || err != nil {
				t.Errorf("queued connection %d: %q, %v; want %q", i, got, err, want)
			}
			_ = client.Close()
		})
	}
	group.Wait()
}

func TestReloadChangesModeWorkersAndProgram(t *testing.T) {
	t.Parallel()
	c := line(1)
	c.Program.Tag = "one"
	s := Start(t, c)
	network, address := s.Address("")
	loads := startLoads(t.Context(), network, address, PerRequest)
	if tag := s.Dial().Ask("tag"); tag != "one" {
		t.Fatalf("tag %q", tag)
	}
	for _, step := range []struct {
		mode    string
		workers int
	}{{"sequential", 12}, {"threading", 3}, {"event", 2}, {"forking", 4}, {"event", 3}, {"threading", 2}} {
		c.Mode, c.Workers, c.MinSpare, c.MaxChildren = step.mode, step.workers, 0, 0
		if step.mode == "forking" {
			c.MinSpare, c.MaxChildren = 4, 40
		}
		c.Program.Tag = fmt.Sprint(step.mode, step.workers)
		s.Configure(c)
		s.Do("reload")
		status, err := s.Status()
		if err != nil {
			t.Fatal(err)
		}
		if status.Mode != step.mode {
			t.Errorf("mode %q after a reload to %q", status.Mode, step.mode)
		}
		if tag, err := Asks(network, address, "tag"); tag != c.Program.Tag {
			t.Errorf("tag %q (%v) after a reload to %q", tag, err, c.Program.Tag)
		}
		if step.mode != "forking" {
			s.WaitWorkers(step.workers)
		}
		waitOK(t, 20, loads...)
	}
	mustAllSucceed(t, loads...)
}

func TestReloadChangesTheLogLevel(t *testing.T) {
	c := line(1)
	c.LogLevel = "info"
	s := Start(t, c)
	if n := s.Log.Count("level", "debug"); n != 0 {
		t.Fatalf("%d debug lines at level info", n)
	}
	c.LogLevel = "debug"
	s.Configure(c)
	s.Do("reload")
	s.Do("scale?n=2")
	Wait(t, "debug lines of the master", func() (bool, string) {
		return s.Log.Count("level", "debug", "role", "master") > 0, Tail(s.Log.Text(), 3)
	})
	s.Do("log-level?level=error")
	if a, err := s.Command("log-level?level=loud"); err != nil || a.OK || a.Code != 409 || !strings.Contains(a.Error, "loud") {
		t.Errorf("an unknown level: %+v, %v", a, err)
	}
}

func TestConcurrentReloadsCoalesce(t *testing.T) {
	t.Parallel()
	c := line(2)
	c.Probation = time.Second // so that all requests arrive during the first reload
	s := Start(t, c)
	network, address := s.Address("")
	loads := startLoads(t.Context(), network, address, PerRequest)
	waitOK(t, 5, loads...)
	var group sync.WaitGroup
	answers := make([]Answer, 20)
	errs := make([]error, 20)
	for i := range answers {
		group.Go(func() { answers[i], errs[i] = s.Command("reload") })
	}
	group.Wait()
	for i, a := range answers {
		if errs[i] != nil || !a.OK {
			t.Errorf("reload %d: %+v, %v", i, a, errs[i])
		}
	}
	status := s.WaitWorkers(2)
	// Requests that arrive during a reload share the next one.
	if status.Generation < 2 || status.Generation > 5 {
		t.Errorf("20 requests at once caused %d reloads", status.Generation-1)
	}
	waitOK(t, 5, loads...)
	mustAllSucceed(t, loads...)
}

func TestHUPReloads(t *testing.T) {
	s := Start(t, line(2))
	c := line(2)
	c.Program.Tag = "reloaded"
	s.Configure(c)
	s.Signal(syscall.SIGHUP)
	s.WaitStatus("the next generation after its probation", func(status *Status) bool {
		return status.Generation == 2 && status.State == "running" && status.LastReload.OK && status.LastReload.At != nil
	})
	if tag := s.Dial().Ask("tag"); tag != "reloaded" {
		t.Errorf("tag %q", tag)
	}
}

// mustRefuseReload requests a reload that must fail with an error that contains
// each of the texts. The old generation must keep serving.
func mustRefuseReload(t *testing.T, s *Server, texts ...string) {
	t.Helper()
	before, err := s.Status()
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Command("reload")
	if err != nil {
		t.Fatal(err)
	}
	if a.OK || a.Code != 409 {
		t.Errorf("reload: HTTP %d, %+v; want a refusal", a.Code, a)
	}
	after := s.WaitStatus("the old generation alone", func(status *Status) bool {
		return status.State == "running" && status.Generation == before.Generation &&
			len(status.Workers) == len(before.Workers) && len(status.Serving()) == len(before.Workers)
	})
	if after.LastReload.OK || after.LastReload.At == nil || after.LastReload.Error != a.Error {
		t.Errorf("last_reload is %+v; the answer was %q", after.LastReload, a.Error)
	}
	for _, text := range texts {
		if !strings.Contains(strings.ToLower(a.Error), strings.ToLower(text)) {
			t.Errorf("the error %q does not contain %q", a.Error, text)
		}
	}
}

// occupied returns a TCP address that is in use until the test ends.
func occupied(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return "tcp://" + l.Addr().String()
}
