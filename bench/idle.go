package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"prefork/bench/internal/load"
	"prefork/internal/cpu"
)

const (
	someIdle    = 18_000 // what one process of each side can hold: its limit of open files is 20,000 on many machines
	manyIdle    = 100_000
	manyHolders = 6 // processes on each side of manyIdle
	quickIdle   = 600
	idleRounds  = 1 // memory does not vary
	holdTime    = 2 * time.Minute
)

// idle measures the memory of connections that are silent after one exchange.
func (b *bench) idle(ctx context.Context) error {
	most := []string{"--max-connections", "20000"}
	some, many := someIdle, manyIdle
	if b.quick {
		some, many = quickIdle, quickIdle
	}
	return errors.Join(
		b.hold(ctx, "idle-18k", some, 1, idleRounds, []starter{
			b.epollPeer(1), b.netPeer(1), b.threading(1, most...), b.event(1, most...), b.gnetPeer(1), b.netpollPeer(),
		}),
		b.hold(ctx, "idle-100k", many, manyHolders, idleRounds, []starter{
			b.netPeer(manyHolders), b.threading(manyHolders, most...), b.event(manyHolders, most...),
		}),
	)
}

// hold measures one number of connections, from so many client processes. Each server
// is started anew: what it does not give back would be in the next figure.
func (b *bench) hold(ctx context.Context, name string, connections, clients, rounds int, starters []starter) error {
	if !b.wants(name) {
		return nil
	}
	t := b.suite(name, fmt.Sprintf("%s, silent after one exchange", connectionsText(connections)), "connection", mUser)
	t.Load = fmt.Sprintf("each has had one line; %d client processes, each with an address of its own", clients)
	t.Notes = append(t.Notes, "User memory is what the server's processes have for themselves; kernel memory is the growth of the machine's slab, for both ends of a connection.")
	t.Rounds = rounds
	for round := range rounds {
		for _, p := range starters {
			if p.missing != "" {
				if round == 0 {
					t.skip(p.name, p.missing)
				}
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			user, kernel, ours, err := b.holdOnce(ctx, p, connections/clients, clients)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, p.name, err)
			}
			r := t.row(p.name)
			if r == nil {
				t.Rows = append(t.Rows, row{Name: p.name, Ours: ours})
				r = &t.Rows[len(t.Rows)-1]
			}
			r.add(mUser, user)
			r.add(mKernel, kernel)
			fmt.Fprintf(b.progress, "%s, round %d: %-24s %6.2f KB of the program, %.2f KB of the kernel\n", name, round+1, p.name, user, kernel)
		}
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// holdOnce returns the memory per connection in KB (1,000 bytes).
func (b *bench) holdOnce(ctx context.Context, p starter, each, clients int) (user, kernel float64, ours bool, err error) {
	s, err := p.start(ctx)
	if err != nil {
		return 0, 0, false, err
	}
	defer s.stop()
	if err := exchange(s.address); err != nil { // what the first connection alone needs is not in the figure
		return 0, 0, false, err
	}
	before, slab, err := memory(s)
	if err != nil {
		return 0, 0, false, err
	}
	var holders []*load.Process
	defer func() {
		for _, h := range holders {
			err = errors.Join(err, h.Close())
		}
	}()
	for i := range clients {
		h, err := load.Start(load.Job{
			Address: s.address, Source: "127.0.0." + strconv.Itoa(100+i), Kind: load.Hold, Connections: each,
			Bytes: lineBytes, Window: holdTime, Limit: exchangeRoom,
		})
		if err != nil {
			return 0, 0, false, fmt.Errorf("%w\n%s", err, s.tail())
		}
		holders = append(holders, h)
	}
	if _, err := settled(s.pid); err != nil {
		return 0, 0, false, err
	}
	after, slabAfter, err := memory(s)
	if err != nil {
		return 0, 0, false, err
	}
	n := float64(each * clients)
	return float64(after-before) * 1.024 / n, float64(slabAfter-slab) * 1.024 / n, s.control != nil, nil
}

// memory returns the server's and the kernel's, in KiB.
func memory(s *server) (user, slab int64, err error) {
	if user, err = treeKB(s.pid); err != nil {
		return 0, 0, err
	}
	slab, err = field("/proc/meminfo", "Slab")
	return user, slab, err
}

// gained returns how many descriptors each process of a server has more than before,
// in ascending order, of those that have more.
func gained(root int, before map[int]int) ([]int, error) {
	now, err := filesOf(root)
	if err != nil {
		return nil, err
	}
	var more []int
	for pid, n := range now {
		if n > before[pid] {
			more = append(more, n-before[pid])
		}
	}
	slices.Sort(more)
	return more, nil
}

func filesOf(root int) (map[int]int, error) {
	members, err := cpu.Members(root)
	if err != nil {
		return nil, err
	}
	files := map[int]int{}
	for _, pid := range members {
		if files[pid], err = openFiles(pid); err != nil {
			return nil, err
		}
	}
	return files, nil
}
