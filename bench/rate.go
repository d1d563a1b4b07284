package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"prefork/bench/internal/load"
	"prefork/bench/internal/stat"
)

const (
	rateWindow  = 700 * time.Millisecond
	tailWindow  = 2 * time.Second // of rate-50, whose p99 is a figure to reach: two stalls decide that of a short window
	slowRate    = 2000            // requests a second, for the CPU time of a server that mostly waits
	rateClients = 64
)

// rate measures an open loop: requests are sent when they are due, and a latency counts
// from then, so a server that stalls cannot hide the requests that waited meanwhile
// (coordinated omission). The rates are shares of what the control answers in a closed
// loop on this machine at this time.
func (b *bench) rate(ctx context.Context) error {
	fewer := []starter{b.epollPeer(1), b.netPeer(1), b.threading(1), b.threading(several), b.event(1), b.event(several)}
	all := append(slices.Clone(fewer), b.epollPeer(several), b.netPeer(several))
	shares := slices.ContainsFunc([]string{"rate-25", "rate-50", "rate-75"}, b.wants)
	if shares && b.need(cepollProgram) == "" {
		capacity, err := b.capacity(ctx)
		if err != nil {
			return err
		}
		for _, share := range []int{25, 50, 75} {
			servers, window := fewer, rateWindow
			if share == 50 {
				servers, window = all, tailWindow
			}
			if err := b.atRate(ctx, servers, window, fmt.Sprintf("rate-%d", share), capacity*share/100,
				fmt.Sprintf("%d %% of the control's capacity", share), mP99); err != nil {
				return err
			}
		}
	}
	return b.atRate(ctx, all, rateWindow, fmt.Sprintf("rate-%d", slowRate), slowRate, "a server that mostly waits", mCPU)
}

// atRate measures one rate.
func (b *bench) atRate(ctx context.Context, servers []starter, window time.Duration, name string, rate int, what, main string) error {
	return b.compare(ctx, comparison{
		name: name, unit: "request", main: main, control: cEpoll(1), pairs: append(pairsOf(mCPU), pairsOf(mP99)...),
		title: fmt.Sprintf("%d requests/s over %d connections: %s", rate, rateClients, what),
		load:  "requests are sent when they are due; latencies count from then",
		job:   load.Job{Kind: load.Persistent, Connections: rateClients, Rate: rate, Window: window},
	}, servers)
}

// capacity returns the control's rate in a closed loop, the median of three windows.
func (b *bench) capacity(ctx context.Context) (int, error) {
	s, err := b.epollPeer(1).start(ctx)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	job := load.Job{Kind: load.Persistent, Connections: rateClients, Bytes: lineBytes, Window: echoWindow, Limit: exchangeRoom}
	var rates []float64
	for range 3 {
		x, err := measure(s, job, 0)
		if err != nil {
			return 0, err
		}
		rates = append(rates, x.Rate)
	}
	return int(stat.Quantile(slices.Sorted(slices.Values(rates)), 0.5)), nil
}
