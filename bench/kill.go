package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"
)

const (
	kills      = 120
	quickKills = 8

	// A worker that dies within a second of its Ready is a crash loop's, and
	// its replacement waits. So each victim must be older, and several masters
	// take turns to let their workers age.
	masters = 8
	age     = 1200 * time.Millisecond

	replyTimeout = 10 * time.Second
)

// victim is a master with one worker.
type victim struct {
	*server
	since time.Time // its worker has been ready for at least that long
}

// kill measures the time from SIGKILL to a master's only worker until a new
// connection has its reply. Connections that are made meanwhile wait in the
// master's queue; one that the dying worker had accepted is lost, and the
// client tries again.
func (b *bench) kill(ctx context.Context) error {
	n := kills
	if b.quick {
		n = quickKills
	}
	var victims []*victim
	defer func() {
		for _, v := range victims {
			v.stop()
		}
	}()
	for range min(masters, n) {
		s, err := b.startPrefork(ctx, threading(1), "--mode", "threading", "--workers", "1",
			"--crash-budget", strconv.Itoa(100*n))
		if err != nil {
			return err
		}
		victims = append(victims, &victim{server: s, since: time.Now()})
	}
	times := make([]time.Duration, 0, n)
	lost := 0
	for i := range n {
		v := victims[i%len(victims)]
		took, retries, err := v.killOne(ctx)
		if err != nil {
			return fmt.Errorf("kill %d: %w\n%s", i+1, err, v.tail())
		}
		times = append(times, took)
		lost += retries
	}
	var starts []time.Duration
	for _, v := range victims {
		ready, err := readyTimes(v.log)
		if err != nil {
			return err
		}
		starts = append(starts, ready[min(1, len(ready)):]...) // the first was the boot
	}
	t := b.suite("kill", "SIGKILL to the only worker of a master, one at a time", "kill", mP50ms)
	t.Notes = append(t.Notes, fmt.Sprintf("%d connections went to a dying worker and were made again.", lost))
	t.Rows = []row{
		{Name: killName, Ours: true, Times: inMillis(times)},
		{Name: respawnName, Ours: true, Times: inMillis(starts)},
	}
	b.report.Suites = append(b.report.Suites, t)
	return nil
}

// killOne waits until the victim's worker is old enough, kills it, and takes
// the time until the service answers again.
func (v *victim) killOne(ctx context.Context) (took time.Duration, retries int, err error) {
	select {
	case <-time.After(time.Until(v.since.Add(age))):
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	before, err := v.only(ctx, 0)
	if err != nil {
		return 0, 0, err
	}
	if err := exchange(v.address); err != nil {
		return 0, 0, fmt.Errorf("before the kill: %w", err)
	}
	began := time.Now()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		return 0, 0, fmt.Errorf("kill worker %d: %w", before, err)
	}
	for {
		err := exchange(v.address)
		took = time.Since(began)
		if err == nil {
			break
		}
		// Anything but the end of a connection is against the promise.
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, io.EOF) {
			return 0, 0, err
		}
		if retries++; took > replyTimeout {
			return 0, 0, fmt.Errorf("no reply for %v: %w", took, err)
		}
	}
	_, err = v.only(ctx, before)
	v.since = time.Now()
	return took, retries, err
}

// only waits until the master has one worker, ready and not the one with the
// PID of the dead, and returns its PID.
func (v *victim) only(ctx context.Context, dead int) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	for {
		st, err := v.control.status(ctx)
		if err != nil {
			return 0, err
		}
		if len(st.Workers) == 1 {
			w := st.Workers[0]
			if w.PID != dead && w.PID > 0 && (w.State == "ready" || w.State == "busy") {
				return w.PID, nil
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for one ready worker other than %d: %w; status %+v", dead, ctx.Err(), st)
		}
	}
}

// exchange makes a connection and checks that one line comes back in upper
// case.
func exchange(address string) error {
	conn, err := net.DialTimeout("tcp", address, replyTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	line := []byte("are you there?\n")
	if _, err := conn.Write(line); err != nil {
		return err
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(conn, got); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("reply cut short: %q", got)
		}
		return err
	}
	if !bytes.Equal(got, bytes.ToUpper(line)) {
		return fmt.Errorf("wrong reply %q", got)
	}
	return nil
}
