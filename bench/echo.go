package main

import (
	"context"
	"fmt"
	"time"

	"prefork/bench/internal/load"
)

// echoWindow is enough for the CPU time of a request at tens of thousands a second.
const echoWindow = 400 * time.Millisecond

// pairsOf are the ratios that the page shows of servers that hold many connections:
// ours with one worker by one process, and with several by as many.
func pairsOf(metric string) []pair {
	var pairs []pair
	for _, of := range []func(int) string{threading, event} {
		for _, by := range []func(int) string{goNet, cEpoll} {
			for _, n := range []int{1, several} {
				pairs = append(pairs, pair{Of: of(n), By: by(n), Metric: metric})
			}
		}
	}
	return pairs
}

// echo measures lines on connections that stay. With one connection, servers of several
// processes say nothing more; with long lines the rows are fewer, because the kernel's
// copying outweighs the servers.
func (b *bench) echo(ctx context.Context) error {
	single := []starter{b.epollPeer(1), b.netPeer(1), b.threading(1), b.event(1)}
	both := []starter{
		b.epollPeer(1), b.epollPeer(several), b.netPeer(1), b.netPeer(several),
		b.threading(1), b.threading(several), b.event(1), b.event(several),
	}
	others := []starter{b.gnetPeer(1), b.gnetPeer(several), b.netpollPeer(), b.uringPeer()}
	four := []starter{b.threading(4), b.event(4), b.pythonPeer(threadedName, "ThreadingTCPServer")}
	for _, s := range []struct {
		name        string
		connections int
		bytes       int
		servers     [][]starter
	}{
		{"echo-64", 64, lineBytes, [][]starter{both, four, others}},
		{"echo-1", 1, lineBytes, [][]starter{single, others}},
		{"echo-1000", 1000, lineBytes, [][]starter{both, others}},
		{"echo-16k-1", 1, 16 << 10, [][]starter{single}},
		{"echo-16k-64", 64, 16 << 10, [][]starter{both, others}},
		{"echo-16k-1000", 1000, 16 << 10, [][]starter{both}},
	} {
		err := b.compare(ctx, comparison{
			name: s.name, unit: "request", control: cEpoll(1), pairs: pairsOf(""),
			title: fmt.Sprintf("%s, lines of %s", connectionsText(s.connections), bytesText(s.bytes)),
			load:  "each connection stays and has one line in flight",
			job:   load.Job{Kind: load.Persistent, Connections: s.connections, Bytes: s.bytes, Window: echoWindow},
		}, flat(s.servers...))
		if err != nil {
			return err
		}
	}
	return nil
}

// pipelined is echo with many lines in flight on each connection.
func (b *bench) pipelined(ctx context.Context) error {
	const depth = 16
	return b.compare(ctx, comparison{
		name: "pipelined", unit: "request", control: cEpoll(1), pairs: pairsOf(""),
		title: fmt.Sprintf("64 connections, lines of 64 bytes, %d in flight on each", depth),
		load:  "the client sends the next lines when the replies have come",
		job:   load.Job{Kind: load.Persistent, Connections: 64, Pipeline: depth, Window: echoWindow},
	}, []starter{
		b.epollPeer(1), b.epollPeer(several), b.netPeer(1), b.netPeer(several),
		b.threading(1), b.threading(several), b.event(1), b.event(several),
		b.gnetPeer(1), b.gnetPeer(several), b.netpollPeer(), b.uringPeer(),
	})
}

// churn measures connections with one line each.
func (b *bench) churn(ctx context.Context) error {
	return b.compare(ctx, comparison{
		name: "churn", unit: "connection", control: cEpoll(1), pairs: append(pairsOf(""), pairsOf(mP50)...),
		title: "connect, one line of 64 bytes, close; 16 at once",
		load:  "a new connection for each line",
		job:   load.Job{Kind: load.Connect, Connections: 16, Warmup: 320, Window: 500 * time.Millisecond},
	}, []starter{
		b.epollPeer(1), b.epollPeer(several), b.netPeer(1), b.netPeer(several),
		b.threading(1), b.threading(several), b.threading(4), b.event(1), b.event(several), b.event(4),
		b.gnetPeer(several), b.netpollPeer(), b.pythonPeer(threadedName, "ThreadingTCPServer"),
	})
}

// controlClient is the main part of echo and of churn with the client in C. The ratios
// must be the same as with the other client.
func (b *bench) controlClient(ctx context.Context) error {
	if why := b.need(cloadProgram); why != "" {
		t := b.suite("control", "echo and churn with a client in C", "request", mCPU)
		t.skip("the client in C", why)
		b.report.Suites = append(b.report.Suites, t)
		return nil
	}
	servers := []starter{b.epollPeer(1), b.netPeer(several), b.threading(several), b.event(several)}
	for _, c := range []comparison{{
		name: "control-echo", unit: "request",
		title: "64 connections, lines of 64 bytes; the client in C",
		job:   load.Job{Kind: load.Persistent, Connections: 64, Window: echoWindow},
	}, {
		name: "control-churn", unit: "connection",
		title: "connect, one line of 64 bytes, close; 16 at once; the client in C",
		job:   load.Job{Kind: load.Connect, Connections: 16, Warmup: 320, Window: 500 * time.Millisecond},
	}} {
		c.control, c.pairs, c.job.Control = cEpoll(1), pairsOf(""), b.programs[cloadProgram]
		if err := b.compare(ctx, c, servers); err != nil {
			return err
		}
	}
	return nil
}

func flat(lists ...[]starter) []starter {
	var all []starter
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

func connectionsText(n int) string {
	switch {
	case n == 1:
		return "1 connection"
	case n >= 1000:
		return fmt.Sprintf("%d,%03d connections", n/1000, n%1000)
	}
	return fmt.Sprintf("%d connections", n)
}

func bytesText(n int) string {
	if n >= 1<<10 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
