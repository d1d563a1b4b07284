package integration

import (
	"syscall"
	"testing"
	"time"

	"prefork/integration/testconf"
)

// However a new generation fails, the old one keeps serving: no client notices,
// the answer and the status have the reason, and the next reload can succeed.
func TestFailedReloadLeavesTheOldGenerationServing(t *testing.T) {
	t.Parallel()
	base := line(2)
	with := func(change func(*testconf.Config)) testconf.Config {
		c := base
		c.Listen = []string{"tcp://127.0.0.1:0"}
		change(&c)
		return c
	}
	taken := occupied(t)
	tests := []struct {
		name   string
		config testconf.Config
		want   []string
	}{
		{"bad configuration", with(func(c *testconf.Config) { c.Error = "line 7: no such thing" }), []string{"line 7: no such thing"}},
		{"unknown mode", with(func(c *testconf.Config) { c.Mode = "treading" }), []string{"treading"}},
		{"negative workers", with(func(c *testconf.Config) { c.Workers = -1 }), []string{"workers"}},
		{"bad listen address", with(func(c *testconf.Config) { c.Listen = append(c.Listen, "tcp:/nowhere") }), []string{"tcp:/nowhere"}},
		{"port in use", with(func(c *testconf.Config) { c.Listen = append(c.Listen, taken) }), []string{taken[len("tcp://"):], "in use"}},
		{"exits at boot", with(func(c *testconf.Config) { c.Program.Boot = testconf.Exits }), []string{"1"}},
		{"exits 78 at boot", with(func(c *testconf.Config) { c.Program.Boot = testconf.Exits78 }), []string{"78"}},
		{"refuses its settings", with(func(c *testconf.Config) { c.Program.Boot = testconf.Refuses }), []string{"the settings make no sense"}},
		{"panics at boot", with(func(c *testconf.Config) { c.Program.Boot = testconf.Panics }), nil},
		{"never ready", with(func(c *testconf.Config) { c.Program.Boot, c.StartTimeout = testconf.Never, 300*time.Millisecond }), []string{"not ready"}},
		{"crashes on probation", with(func(c *testconf.Config) {
			c.Program.CrashAfter, c.Probation = 150*time.Millisecond, 20*time.Second
		}), []string{"3"}},
	}
	s := Start(t, base)
	footprint := s.Footprint()
	network, address := s.Address("")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
			waitOK(t, 10, loads...)
			s.Configure(test.config)
			mustRefuseReload(t, s, test.want...)
			waitOK(t, 10, loads...)
			if test.config.Program.CrashAfter > 0 {
				mustLoseOnlyFromCrashed(t, s, loads...)
			} else {
				mustAllSucceed(t, loads...)
			}
			s.WaitFootprint(footprint)
		})
	}
	t.Run("unreadable file", func(t *testing.T) {
		s.Break("{")
		mustRefuseReload(t, s, "config.json")
	})
	s.Configure(base)
	s.Do("reload")
	s.WaitWorkers(2)
	s.WaitFootprint(footprint)
}

// mustLoseOnlyFromCrashed stops the loads. It fails the test if they lost more
// requests than the crashed workers held, or if another worker lost one.
func mustLoseOnlyFromCrashed(t *testing.T, s *Server, loads ...*Running) {
	t.Helper()
	held, crashed := 0, make(map[int]bool)
	for _, line := range s.Log.Lines() {
		if line["msg"] == "worker exited" && line["exit_code"] == float64(3) {
			lost, _ := line["connections_lost"].(float64)
			held += int(lost) + 1 // one may be accepted and not yet counted
			pid, _ := line["pid"].(float64)
			crashed[int(pid)] = true
		}
	}
	if lost := mustLoseOnlyFrom(t, crashed, loads...); len(crashed) == 0 || lost > held {
		t.Errorf("%d connections lost; the %d crashed workers held %d", lost, len(crashed), held)
	}
}

// HTTP clients that keep their connection move from the failed generation to the
// old one without a lost answer. The reload fails because the test kills a
// worker without connections, so that only the rollback can lose an answer.
func TestRollbackDropsNoKeepAliveClient(t *testing.T) {
	t.Parallel()
	c := web(2)
	c.Probation = 20 * time.Second
	s := Start(t, c)
	network, address := s.Address("")
	for range times(5) {
		loads := startLoads(t.Context(), network, address, KeepAlive)
		waitOK(t, 20, loads...)
		before := s.WaitWorkers(2)
		result := make(chan Answer, 1)
		go func() {
			a, err := s.Command("reload")
			if err != nil {
				t.Error(err)
			}
			result <- a
		}()
		s.WaitState("probation")
		newLoad := Load{Kind: KeepAlive, Network: network, Address: address, Clients: 1, Pause: 5 * time.Millisecond}.Start(t.Context())
		loads = append(loads, newLoad)
		waitOK(t, 20, loads...)
		var idle int
		s.WaitStatus("one new worker with the new client and one without connections", func(now *Status) bool {
			active := 0
			for _, w := range now.Serving() {
				if active += w.Active; w.Active == 0 {
					idle = w.PID
				}
			}
			return active == 1 && idle != 0
		})
		kill(t, idle, syscall.SIGKILL)
		if a := <-result; a.OK || a.Error == "" {
			t.Errorf("answer %+v after a failed probation", a)
		}
		s.WaitStatus("the old generation alone", func(now *Status) bool {
			return now.Generation == before.Generation && len(now.Serving()) == 2 && len(now.Workers) == 2
		})
		waitOK(t, 20, loads...)
		mustAllSucceed(t, loads...)
	}
}

func TestReloadWaitsForASlowStart(t *testing.T) {
	t.Parallel()
	c := line(2)
	s := Start(t, c)
	network, address := s.Address("")
	loads := startLoads(t.Context(), network, address, Persistent, PerRequest)
	c.Program = testconf.Program{Boot: testconf.Slow, BootDelay: 300 * time.Millisecond, Tag: "slow"}
	s.Configure(c)
	s.Do("reload")
	if tag := s.Dial().Ask("tag"); tag != "slow" {
		t.Errorf("tag %q", tag)
	}
	mustAllSucceed(t, loads...)
}

// anyFailure stands for any exit status above 0.
const anyFailure = -2

// A first generation that cannot start ends the master instead of looping.
func TestBootFailureEndsTheMaster(t *testing.T) {
	taken := occupied(t)
	for _, test := range []struct {
		name   string
		change func(*testconf.Config)
		code   int
		want   string
	}{
		{"exits 78", func(c *testconf.Config) { c.Program.Boot = testconf.Exits78 }, 78, "78"},
		{"refuses its settings", func(c *testconf.Config) { c.Program.Boot = testconf.Refuses }, 78, "the settings make no sense"},
		{"exits 1", func(c *testconf.Config) { c.Program.Boot = testconf.Exits }, 1, "worker exited"},
		{"panics", func(c *testconf.Config) { c.Program.Boot = testconf.Panics }, anyFailure, "boot panic on command"},
		{"never ready", func(c *testconf.Config) {
			c.Program.Boot, c.StartTimeout = testconf.Never, 200*time.Millisecond
		}, 1, "not ready"},
		{"port in use", func(c *testconf.Config) { c.Listen = []string{taken} }, 1, "in use"},
		{"bad configuration", func(c *testconf.Config) { c.Mode = "treading" }, 78, "treading"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := line(2)
			test.change(&c)
			s := Launch(t, c)
			code := s.WaitExit()
			if test.code == anyFailure && code > 0 {
				code = anyFailure
			}
			if code != test.code {
				t.Errorf("exit status %d, want %d", code, test.code)
			}
			s.Log.WaitText(t, test.want)
		})
	}
}
