// Package notifytest is the manager's side of NOTIFY_SOCKET for tests: it
// records what a service notifies and does the little that systemd would do in
// return.
//
//	r := notifytest.New(t)
//	t.Setenv("NOTIFY_SOCKET", r.Address()) // or in the environment of a child
//	…
//	r.Wait("READY", "1", 10*time.Second)
//
// Every datagram becomes one Message, in the order of arrival. The descriptor of
// BARRIER=1 is closed once all messages before are recorded. Those of FDSTORE=1
// are kept by name as the manager keeps them, so that a test can pass them to a
// second process. All others are closed.
//
// An invalid message is recorded with Err set, and fails the test when it ends,
// unless the test took it with Malformed.
//
// The recorder is not a unit: it checks no order of states, has no timeouts, and
// accepts messages of any process.
//
// Sources: sd_notify(3), sd_notify_barrier(3), unix(7).
package notifytest
