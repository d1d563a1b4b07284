// Package preforktest tests servers made with package prefork, as
// net/http/httptest does for net/http. Only tests import it.
//
// # The handler
//
// Start serves in the test's own process, on a free port. There is no master
// and nothing is forked, so breakpoints, the race detector and variables of the
// test work as everywhere; the accept path, the hooks, the limits and the drain
// are those of a worker.
//
//	func TestUpper(t *testing.T) {
//		s := preforktest.Start(t, newServer())
//		c := s.Dial()
//		fmt.Fprintln(c, "hello")
//		...
//	}
//
// # The whole server
//
// StartMaster runs a real master with real workers: reloads, crashes, mode
// forking, and variables that each worker has for itself. A worker is the
// running program started again, which in a test is the test binary, so the
// package's TestMain must say what a worker is:
//
//	func TestMain(m *testing.M) { preforktest.Main(m, newServer) }
//
//	func TestReload(t *testing.T) {
//		m := preforktest.StartMaster(t, func(srv *prefork.Server) { srv.Workers = 2 })
//		answer, err := m.Command(t.Context(), "reload")
//		...
//	}
//
// Without Main, a test that calls Server.Run makes each worker run the tests
// again, and fails with "unexpected call to os.Exit(0) during test".
//
//	              Start                 StartMaster
//	process       the test's            master: the test's; workers: their own
//	newServer     once, by the test     once, and once in each worker
//	modes         threading, sequential all
//	log           the test's            master: the test's; workers: standard error
//
// A Logger that newServer sets is the log of all of them. The hooks WorkerStart
// and WorkerStop are called in each worker, which with Start is the test's
// process.
//
// # The end
//
// Each server ends with its test: at once, whatever is open. The test fails if
// the server ended before with an error, or if handlers do not return a second
// after their connections were closed. Shutdown ends it earlier, with a drain.
//
// # What it does not do
//
// It replaces what would make tests meet each other or the machine: each
// address of Listen by a free one (a port of 127.0.0.0/8, or for a Unix
// socket a path in a directory of the test), Control, PIDFile, LogFile
// and AccessLog, and the addresses of what Reload returns. So Conn.Listener
// names the replacement, and no access log is written. Crashes that Go cannot recover from end the test binary under Start,
// and one worker under StartMaster.
package preforktest
