package master

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// hostsMemory is how long package net remembers the hosts file without a look
// whether it has changed; and a little more.
const hostsMemory = 5*time.Second + 20*time.Millisecond

// lastLookup is when this process last may have read the hosts file, in
// nanoseconds of the Unix time. The memory of package net is the process's too.
var lastLookup atomic.Int64

// lookup resolves a host name. A change of the hosts file that came just before
// a reload is a reason to wait: else the reload would succeed and serve what the
// file said before.
func lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if info, err := os.Stat("/etc/hosts"); err == nil {
		wait := time.NewTimer(hostsDelay(time.Unix(0, lastLookup.Load()), info.ModTime(), time.Now()))
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done(): // and the lookup says so
		}
	}
	lastLookup.Store(time.Now().UnixNano())
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}

// hostsDelay returns how long to wait for package net to see a file that was
// changed then.
func hostsDelay(looked, changed, now time.Time) time.Duration {
	if changed.Before(looked.Add(-10 * time.Millisecond)) { // the time of a file is that of a tick
		return 0
	}
	return max(0, looked.Add(hostsMemory).Sub(now))
}
