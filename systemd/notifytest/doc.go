// Package notifytest is the manager's side of NOTIFY_SOCKET for tests: it
// records what a service notifies and does the little that systemd would do in
// return.
//
//	r := notifytest.New(t)
//	t.Setenv("NOTIFY_SOCKET", r.Address()) // or in the environment of a child
//	…
//	r.Wait("READY", "1", 10*time.Second)
//
// Every datagram becomes one Message, in the order of arrival, with its fields,
// the credentials that the kernel attached, and how many descriptors it
// carried. A descriptor with BARRIER=1 is closed once all messages before are
// recorded. Those with FDSTORE=1 are kept by name as the manager keeps them, so
// that a test can pass them to a second incarnation. All others are closed.
//
// A message that systemd would refuse, or a sender ought not to send, is
// recorded with Err set and fails the test when it ends, unless the test took
// it with Malformed.
//
// The recorder does not imitate a unit: it checks no order of states, keeps no
// timeouts, and believes any process.
//
// Sources: sd_notify(3), sd_notify_barrier(3), unix(7).
package notifytest
