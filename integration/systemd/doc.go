// Package systemd shows what the daemon does under a real systemd: one that is
// the first process of a container, on this machine's own installation. The
// fakes live elsewhere (package prefork/systemd/notifytest).
//
//	test ──► keeper ──► systemd-nspawn ──► systemd ──► prefork.service
//	 │       its own       an overlay        PID 1       master, workers
//	 │       mounts and    of /, its own                    ▲
//	 │       cgroup        network                          │
//	 ├── make install, nsenter systemctl, journalctl ───────┤
//	 └── clients on threads in the container's network ─────┘
//
// The container sees this machine's /usr and /etc, and what it changes goes to
// a file system in memory. Home directories, /tmp and everything else that is
// not the system's are hidden from it.
//
// Nothing survives a run. The keeper is this test binary once more, in a mount
// namespace of its own, so that the kernel takes every mount back with its
// last process. It ends the container when its standard input does: when the
// tests are done, have failed, were interrupted or were killed. It makes one
// cgroup in each hierarchy, for the container alone, and removes it.
//
// The tests need root, systemd-nspawn and overlayfs, take minutes, and run
// with PREFORK_SYSTEMD_TEST=1 (make systemd-test); otherwise they skip and say
// why. For what systemd 252 does not have they make a Debian 13 with
// debootstrap, from its archive, and keep it under /var/cache/prefork-test.
//
// Each test is named for a promise. What takes its time in one, such as a
// request that outlasts TimeoutStopSec=, takes it in a client and not in a
// sleep of the test's.
package systemd
