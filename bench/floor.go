package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"prefork/bench/internal/stat"
)

// floorRuns is how often a program is run for one value.
const floorRuns = 25

// floor is a program that is run from its start to its end: nothing that starts a
// process can cost less.
type floor struct {
	name string
	args []string
}

// floors are the programs that do nothing; suites without a C compiler have one less.
func (b *bench) floors() []floor {
	list := []floor{{emptyGoName, []string{b.programs[emptyProgram]}}}
	if b.need(cemptyProgram) == "" {
		list = append(list, floor{emptyCName, []string{b.programs[cemptyProgram]}})
	}
	return list
}

// floor measures whole lives of programs.
func (b *bench) floor(ctx context.Context) error {
	t := b.suite("floor", "a process from its start to its end", "run", mCPU)
	t.Load = fmt.Sprintf("%d runs a round, one after the other", floorRuns)
	t.Control = emptyGoName
	programs := append(b.floors(), floor{preforkVersion, []string{b.prefork, "version"}})
	if why := b.need(cemptyProgram); why != "" {
		t.skip(emptyCName, why)
	}
	for _, f := range programs {
		t.Rows = append(t.Rows, row{Name: f.name, Ours: f.name == preforkVersion})
	}
	for round := range b.rounds {
		for i := range programs {
			if err := ctx.Err(); err != nil {
				return err
			}
			at := (round + i) % len(programs)
			if err := programs[at].addTo(&t.Rows[at], mFaults); err != nil {
				return err
			}
		}
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// addTo adds one round's values: CPU time and life of a process, and what more is
// asked for.
func (f floor) addTo(r *row, more ...string) error {
	var used time.Duration
	var faults int64
	lives := make([]time.Duration, 0, floorRuns)
	for range floorRuns {
		command := exec.Command(f.args[0], f.args[1:]...)
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		began := time.Now()
		if err := command.Run(); err != nil {
			return fmt.Errorf("run %s: %w", f.name, err)
		}
		lives = append(lives, time.Since(began))
		u, ok := command.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return fmt.Errorf("run %s: no account of it", f.name)
		}
		used += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		faults += u.Minflt
	}
	slices.Sort(lives)
	r.add(mCPU, micros(used)/floorRuns)
	r.add(mRate, 1/stat.Quantile(lives, 0.5).Seconds())
	r.add(mP50, micros(stat.Quantile(lives, 0.5)))
	r.add(mP99, micros(stat.Quantile(lives, 0.99)))
	if slices.Contains(more, mFaults) {
		r.add(mFaults, float64(faults)/floorRuns)
	}
	return nil
}
