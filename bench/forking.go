package main

import (
	"context"
	"fmt"
	"time"

	"prefork/bench/internal/load"
)

// forking measures servers that give each connection a process, beside the programs
// that do nothing: a process cannot cost less than one of those.
func (b *bench) forking(ctx context.Context) error {
	servers := []starter{
		b.peer(cforkName, cforkProgram),
		b.pythonPeer(pythonName, "ForkingTCPServer"),
		b.spawning(execName, "exec"),
		b.spawning(forkName, "fork"),
		b.peer(preparedName, preparedProgram),
	}
	for _, atOnce := range []int{1, 8} {
		err := b.compare(ctx, comparison{
			name: fmt.Sprintf("forking-%d", atOnce), unit: "connection", control: cforkName,
			title: fmt.Sprintf("a process per connection: connect, one line of 64 bytes, close; %d at once", atOnce),
			load:  "a new connection for each line; the rows of empty programs are lives of a process, one at a time",
			pairs: []pair{
				{Of: execName, By: pythonName}, {Of: execName, By: emptyGoName},
				{Of: forkName, By: pythonName}, {Of: forkName, By: cforkName}, {Of: forkName, By: execName},
				{Of: pythonName, By: forkName, Metric: mRate}, {Of: cforkName, By: forkName, Metric: mRate},
				{Of: forkName, By: pythonName, Metric: mP99}, {Of: preparedName, By: forkName},
			},
			job: load.Job{
				Kind: load.Connect, Connections: atOnce, Warmup: 4 * atOnce, Window: 700 * time.Millisecond,
			},
			floors: b.floors(),
		}, servers)
		if err != nil {
			return err
		}
	}
	return nil
}

// spawning is a prefork that makes its processes in one of the two ways.
func (b *bench) spawning(name, spawn string) starter {
	return starter{name: name, start: func(ctx context.Context) (*server, error) {
		return b.startPrefork(ctx, name, "--mode", "forking", "--spawn", spawn)
	}}
}
