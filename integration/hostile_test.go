package integration

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"prefork/integration/testconf"
	"prefork/ipc"
	"prefork/worker"
)

// attack is an attack of one worker on the master, the other workers and the
// sockets. The commands are in testserver/hostile.go.
type attack struct {
	name    string
	command string
	deaf    bool   // the listener does not work until the master has repaired it
	child   bool   // the answer is the pid of a process that outlives the worker
	modes   bool   // run it also in the modes in which a worker has one connection
	shown   string // a part of what the status then says that the worker does
}

var attacks = []attack{
	{name: "garbage on the channel", command: "datagram this is no message", modes: true},
	{name: "not a JSON object", command: "datagram [1,2,3]"},
	{name: "an unknown message", command: `datagram {"type":"surrender"}`},
	{name: "a message of the master's", command: `datagram {"type":"stop"}`},
	{name: "a second hello", command: `datagram {"type":"hello","body":{"protocol":1,"build":"","pid":-9223372036854775808,"slot":99999999,"slots":-1}}`},
	{name: "drained without an exit", command: `datagram {"type":"drained","body":{"cut":-5}}`},
	{name: "absurd figures", command: "figures", modes: true, shown: "owned"},
	{name: "nested JSON", command: "nest"},
	{name: "a flood of reports", command: `flood {"type":"report"}`},
	{name: "a flood of large reports", command: "flood large"},
	{name: "a flood of messages that are logged", command: `flood {"type":"drained","body":{"cut":1}}`},
	{name: "a flood of garbage", command: "flood x"},
	{name: "a flood of states", command: `flood {"type":"report","body":{"state":"busy"}}`},
	{name: "a flood of descriptors", command: "descriptors"},
	{name: "a socket that lingers", command: "linger", child: true},
	{name: "shared memory truncated", command: "truncate"},
	{name: "shared memory with holes", command: "punch"},
	{name: "shared memory filled", command: "fill"},
	{name: "shared memory full of ones", command: "scribble 0xff", modes: true},
	{name: "shared memory full of zeros", command: "scribble 0"},
	{name: "shared memory full of a large number", command: "scribble 0x7f"},
	{name: "a child that holds everything", command: "child", child: true},
	{name: "SIGKILL to itself", command: "die", modes: true},
	{name: "a fault", command: "segv"},
	{name: "a stack overflow", command: "overflow"},
	{name: "a fatal error", command: "fatal"},
	{name: "a panic on another goroutine", command: "nil"},
	{name: "exit 0", command: "exit 0", modes: true},
	{name: "exit 78", command: "exit 78"},
	{name: "a deadlock of one handler", command: "deadlock"},
	{name: "a loop that hangs", command: "hangloop"},
	{name: "escape sequences in an error", command: `error \x1b]0;owned\x07\x1b[31m`},
	{name: "a long error", command: "error " + strings.Repeat("A", 60_000)},
	{name: "a listener closed", command: "close"},
	{name: "a listener made blocking", command: "blocking"},
	{name: "standard error made non-blocking", command: "stderr"},
	{name: "a listener shut down", command: "shutdown", deaf: true},
	{name: "a listener that resets each connection", command: "reset", deaf: true},
	{name: "a listener without a queue", command: "backlog", deaf: true},
	{name: "a listener that drops every segment", command: "filter", deaf: true},
}

// logLimit bounds the log that one attack may cause, in bytes.
const logLimit = 1 << 20

// A hostile worker can lose only its own connections. The other workers keep
// serving, the master answers, reloads and drains, and the port is free at the
// end.
func TestHostileWorkerHarmsOnlyItself(t *testing.T) {
	for i, a := range attacks {
		if testing.Short() && i%3 != 0 {
			continue
		}
		for _, mode := range []worker.Mode{worker.Threading, worker.Sequential, worker.Forking} {
			if mode != worker.Threading && !a.modes {
				continue
			}
			t.Run(a.name+", "+string(mode), func(t *testing.T) {
				t.Parallel()
				a.try(t, mode)
			})
		}
	}
}

// try runs the attack in one worker of a server in that mode.
func (a attack) try(t *testing.T, mode worker.Mode) {
	c := hostileConfig()
	c.Mode = string(mode)
	s := Start(t, c)
	s.WaitWorkers(4)
	memory := RSS(s.PID)
	network, address := s.Address("")
	attacker := s.Dial()
	pid := attacker.WorkerPID()
	kinds := []Kind{Persistent, PerRequest}
	if mode == worker.Sequential {
		kinds = kinds[1:] // a persistent client would occupy a worker
	}
	loads := hostileLoads(t, network, address, kinds...)
	waitOK(t, 20, loads...)

	attacker.Send(a.command)
	answer, err := attacker.ReadLine(5 * time.Second)
	t.Logf("the worker: %q %v", answer, err)
	if a.child {
		if child, err := strconv.Atoi(answer); err == nil { // else the kernel refused it
			t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) })
		}
	}
	if a.shown != "" {
		mustHavePlausibleFigures(t, s.WaitStatus("the figures of the worker", func(status *Status) bool {
			w := status.Worker(pid)
			return w != nil && strings.Contains(w.Doing, a.shown)
		}))
	}
	if a.deaf {
		s.Log.WaitText(t, "repaired") // or "cannot be repaired", and the listener is replaced
		waitOK(t, 50, loads...)
		for _, load := range loads {
			load.Stop()
		}
		loads = hostileLoads(t, network, address, kinds...)
	}
	waitOK(t, 50, loads...)
	s.checkHealthy(t, memory)
	mustLoseOnlyFromAttacker(t, s, pid, loads...)

	s.Signal(syscall.SIGTERM)
	if code := s.WaitExit(); code != 0 && Alive(pid) {
		t.Errorf("exit status %d", code)
	}
	if !Refused(network, address) {
		t.Error("the address still accepts connections")
	}
}

// hostileLoads starts small loads, because several attacks run at once.
func hostileLoads(t *testing.T, network, address string, kinds ...Kind) (loads []*Running) {
	for _, kind := range kinds {
		load := Load{Kind: kind, Network: network, Address: address, Clients: 4, Pause: 10 * time.Millisecond}
		if kind == Persistent {
			// A worker that lies that it has drained is killed two seconds later,
			// with the connection that it may have. So connections are short.
			load.PerConn = 8
		}
		loads = append(loads, load.Start(t.Context()))
	}
	return loads
}

func hostileConfig() testconf.Config {
	c := line(4)
	c.LogLevel, c.CrashBudget = "info", 1000
	c.WorkerTimeout, c.PollInterval = 2*time.Second, 50*time.Millisecond
	c.DrainTimeout = 3 * time.Second // a deadlocked handler uses all of it
	return c
}

// If the workers of a new generation attack before they are ready, no connection
// is lost, whether the reload succeeds or fails.
func TestWorkersThatAttackDuringTheirStartCauseNoLoss(t *testing.T) {
	const ready, hello = `datagram {"type":"ready"}`, `datagram {"type":"hello","body":{"protocol":1,"build":"","pid":-9223372036854775808,"slot":99999999,"slots":-1}}`
	for name, attacks := range map[string][]string{
		"escape sequences":   {`error \x1b]0;owned\x07\x1b[31m`},
		"a long reason":      {"error " + strings.Repeat("A", 60_000)},
		"early messages":     {ready, ready, `datagram {"type":"drained"}`},
		"a second hello":     {hello},
		"busy":               {`datagram {"type":"report","body":{"state":"busy"}}`},
		"draining":           {`datagram {"type":"report","body":{"state":"draining"}}`},
		"leaving":            {`datagram {"type":"report","body":{"state":"leaving"}}`},
		"garbage":            {"datagram this is no message"},
		"a flood":            {`flood {"type":"report"}`},
		"a flood of ready":   {"flood " + ready[len("datagram "):]},
		"shared memory":      {"scribble 0xff", "truncate"},
		"a hang":             {"hang"},
		"death":              {"die"},
		"a listener closed":  {"close"},
		"a listener blocked": {"blocking"},
	} {
		for _, mode := range []worker.Mode{worker.Threading, worker.Forking} {
			if mode == worker.Forking && !slices.Contains([]string{"early messages", "busy", "leaving"}, name) {
				continue
			}
			t.Run(name+", "+string(mode), func(t *testing.T) {
				t.Parallel()
				good := hostileConfig()
				good.Mode, good.StartTimeout = string(mode), 2*time.Second
				s := Start(t, good)
				s.WaitWorkers(4)
				memory := RSS(s.PID)
				network, address := s.Address("")
				loads := hostileLoads(t, network, address, Persistent, PerRequest)
				waitOK(t, 20, loads...)

				bad := good
				bad.Program.Attacks = attacks
				s.Configure(bad)
				answer, err := s.Command("reload")
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("reload: %.100q", answer.Error)
				if strings.Contains(answer.Error, "\x1b") {
					t.Errorf("an escape sequence is in the answer: %q", answer.Error)
				}
				waitOK(t, 50, loads...)
				s.Configure(good)
				s.checkHealthy(t, memory)
				mustAllSucceed(t, loads...)
				s.Signal(syscall.SIGTERM)
				if code := s.WaitExit(); code != 0 {
					t.Errorf("exit status %d", code)
				}
			})
		}
	}
}

// checkHealthy checks that the master answers, reloads and reports plausible
// counters, and that its memory and its log have not grown too much.
func (s *Server) checkHealthy(t *testing.T, memory int) {
	t.Helper()
	s.Do("reload")
	status := s.WaitStatus("workers that serve", func(status *Status) bool { // in mode forking their number varies
		return status.State == "running" && len(status.Serving()) >= 4
	})
	const plausible = 1 << 40
	for _, n := range []uint64{status.Totals.Accepted, status.Totals.Handled, status.Totals.Failed, status.Totals.BytesIn, status.Totals.BytesOut} {
		if n > plausible {
			t.Errorf("implausible totals: %+v", status.Totals)
			break
		}
	}
	mustHavePlausibleFigures(t, status)
	if status.Totals.Active < 0 || status.Totals.Active > 1000 {
		t.Errorf("implausible number of active connections: %d", status.Totals.Active)
	}
	if code, err := s.Health(); err != nil || code != 200 {
		t.Errorf("health: %d, %v", code, err)
	}
	if now := RSS(s.PID); now > 2*memory+64<<20 {
		t.Errorf("the master's memory grew from %d to %d bytes", memory, now)
	}
	text := s.Log.Text()
	if len(text) > logLimit {
		t.Errorf("the log has %d bytes, want at most %d", len(text), logLimit)
	}
	if strings.Contains(text, "\x1b") {
		t.Error("an escape sequence is in the log")
	}
}

func mustHavePlausibleFigures(t *testing.T, status *Status) {
	t.Helper()
	for _, w := range status.Workers {
		if w.Goroutines < 0 || w.GOMAXPROCS < 0 || w.LoopLagS < 0 || w.DoingS < 0 || len(w.Doing) > len("\uFFFD")*ipc.MaxDoing {
			t.Errorf("implausible figures: %+v", w)
		}
	}
}

// mustLoseOnlyFromAttacker stops the loads. It fails the test if a worker other
// than the attacker lost a request. Clients with one request per connection do
// not know their worker, so their losses are compared with the log.
func mustLoseOnlyFromAttacker(t *testing.T, s *Server, pid int, loads ...*Running) {
	t.Helper()
	held := 1 // one may be accepted and not yet counted
	for _, line := range s.Log.Lines() {
		if line["msg"] == "worker exited" && line["pid"] == float64(pid) {
			lost, _ := line["connections_lost"].(float64)
			held += int(lost)
		}
		if line["msg"] == "worker exited" && line["pid"] != float64(pid) && line["level"] != "info" {
			t.Errorf("another worker was lost: %v", line)
		}
	}
	if lost := mustLoseOnlyFrom(t, map[int]bool{pid: true}, loads...); lost > held {
		t.Logf("%d requests lost; according to the log the worker held %d", lost, held)
	}
}
