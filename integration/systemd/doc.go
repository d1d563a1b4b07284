// Package systemd tests the daemon under a real systemd, which is the first
// process of a container. The container uses this machine's installation. Tests
// with a fake service manager use package prefork/integration/notifytest.
//
//	test ──► keeper ──► systemd-nspawn ──► systemd ──► prefork.service
//	 │       own mounts    an overlay        PID 1       master, workers
//	 │       and cgroup    of /, own                        ▲
//	 │                     network                          │
//	 ├── make install, nsenter systemctl, journalctl ───────┤
//	 └── clients on threads in the container's network ─────┘
//
// The container sees this machine's /usr and /etc. Its changes go to a file
// system in memory. Home directories, /tmp and everything else that does not
// belong to the system are hidden.
//
// A run leaves nothing behind. The keeper is another process of this test binary
// in its own mount namespace, so that the kernel removes every mount with the
// namespace's last process. It ends the container at the end of its standard
// input: when the tests have passed, failed, been interrupted or been killed. It
// creates one cgroup per hierarchy for the container and removes it.
//
// The tests need root, systemd-nspawn and overlayfs and take minutes. They run
// with PREFORK_SYSTEMD_TEST=1 (make systemd-test); otherwise they are skipped
// with a reason. For features that systemd 252 does not have, they install a
// Debian 13 with debootstrap and keep it under /var/cache/prefork-test.
//
// The name of each test states a promise. Where a test needs time, such as for a
// request that outlasts TimeoutStopSec=, a client takes the time. The tests do
// not sleep.
package systemd
