// Package preforktest tests servers made with package prefork, as
// net/http/httptest does for net/http. Only tests import it.
//
// # The handler
//
// Start serves in the test's process, on a free port. There is no master and
// nothing is forked, so breakpoints, the race detector and variables of the test
// work as usual. The accept path, the hooks, the limits and the drain are those
// of a worker.
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
// StartMaster runs a real master with real workers. It is for reloads, crashes,
// mode forking, and variables of which each worker has its own copy. A worker is
// the running program started again, which in a test is the test binary. So the
// package's TestMain must run the worker:
//
//	func TestMain(m *testing.M) { preforktest.Main(m, newServer) }
//
//	func TestReload(t *testing.T) {
//		m := preforktest.StartMaster(t, func(srv *prefork.Server) { srv.Workers = 2 })
//		answer, err := m.Command(t.Context(), "reload")
//		...
//	}
//
// Without Main, each worker of a test that calls Server.Run would run the tests
// again. Such a test fails with "unexpected call to os.Exit(0) during test".
//
//	              Start                 StartMaster
//	process       the test's            master: the test's; workers: their own
//	newServer     once, by the test     once, and once in each worker
//	modes         all but forking       all
//	log           the test's            master: the test's; workers: standard error
//
// If newServer sets Logger, the master and the workers log to it. The hooks
// WorkerStart and WorkerStop are called in each worker; with Start, that is the
// test's process.
//
// # The end
//
// Each server is stopped when its test ends, even if connections are open. The
// test fails if the server has ended earlier with an error, or if handlers do
// not return within a second after their connections were closed. Shutdown
// drains the server before the end of the test.
//
// # What it does not do
//
// It replaces settings by which tests would disturb each other or the machine:
// each address of Listen becomes a free one (a port of 127.0.0.0/8, or for a
// Unix socket a path in a directory of the test), also in what Reload returns.
// Control, PIDFile, LogFile and AccessLog are replaced too. So Conn.Listener has
// the new address, and no access log is written. A crash that Go cannot recover
// from ends the test binary under Start, and one worker under StartMaster.
package preforktest
