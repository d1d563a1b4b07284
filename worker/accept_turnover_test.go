package worker

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"prefork/ipc"
)

// exchange counts a connection that ends at once.
func (v *turnover) exchange(at int64) {
	v.begin(at)
	v.end(at)
}

func TestConnectionsAreExpectedToLastAsLongAsThoseBefore(t *testing.T) {
	now := int64(time.Hour)
	var v turnover
	for range 16 {
		v.begin(now)
	}
	if v.passing() != 0 {
		t.Errorf("%d of the first 16 connections are expected to end", v.passing())
	}
	for range 20 {
		v.exchange(now)
	}
	if v.passing() != 16 {
		t.Errorf("after 20 short ones %d of 16 connections are expected to end, want all", v.passing())
	}
	now += turnoverSpan
	v.begin(now)
	if v.passing() != 17 {
		t.Errorf("one span later %d of 17 connections are expected to end, want all", v.passing())
	}
	now += turnoverSpan
	v.begin(now)
	if v.passing() != 0 {
		t.Errorf("two spans later %d of 18 connections are expected to end, want none", v.passing())
	}
	for range 16 {
		v.end(int64(time.Hour)) // the old ones
	}
	if v.ended[0] != 0 {
		t.Errorf("%d old connections count as short", v.ended[0])
	}
	v.exchange(now)
	v.begin(now + 2*turnoverSpan)
	if v.passing() != 0 {
		t.Errorf("after a pause %d are expected to end", v.passing())
	}
}

func TestWorkerPublishesOnlyConnectionsThatStay(t *testing.T) {
	now := int64(time.Hour)
	table := newConnTable(Config{}, new(ipc.Slot), new(ipc.Peer), nil)
	wake, err := newWakeup()
	if err != nil {
		t.Fatal(err)
	}
	defer wake.close()
	table.wake = wake
	open := func(n int, at int64) (conns []*Conn) {
		for range n {
			c := &Conn{table: table, acceptedAt: at}
			table.add(c)
			conns = append(conns, c)
		}
		return conns
	}
	expect := func(when string, want int) {
		t.Helper()
		if staying := table.staying(now); staying != want || int(table.peer.Active.Load()) != want {
			t.Errorf("%s: %d connections are expected to stay, %d published, want %d", when, staying, table.peer.Active.Load(), want)
		}
	}
	open(10, now)
	expect("ten came together", 10)
	now += 3 * turnoverSpan
	for _, c := range open(8, now) {
		table.remove(c)
	}
	open(5, now)
	expect("eight were short, five more came", 10)
	now += 2 * turnoverSpan
	expect("the five have stayed", 15)
}

func TestTurnsAreShort(t *testing.T) {
	now := int64(time.Hour)
	l := &loop{worker: &worker{table: newConnTable(Config{}, new(ipc.Slot), new(ipc.Peer), nil)}, gate: *crew(t, now, 1, 1)}
	passing := int32(turnBusy)
	turn := func(pause int64) (n int) {
		ln := &listener{}
		for n = 1; n < 1000; n++ {
			l.table.turnover = turnover{span: now / turnoverSpan, open: [2]int32{passing}, ended: [2]int32{passing}}
			if l.endsTurn(ln, now) {
				break
			}
			now += pause
		}
		return n
	}
	l.table.count.Store(turnBusy - 1)
	if got := turn(0); got != 1 {
		t.Errorf("with few connections %d a turn, want 1", got)
	}
	l.table.count.Store(turnBusy)
	for _, c := range []struct {
		pause int64
		want  int
	}{{0, maxTurn}, {turnTime / 100, maxTurn}, {turnTime / 4, 5}, {turnTime, 2}, {1000 * turnTime, 2}} {
		if got := turn(c.pause); got != c.want {
			t.Errorf("a connection each %v: %d a turn, want %d", time.Duration(c.pause), got, c.want)
		}
	}
	passing = turnBusy/2 - 1
	if got := turn(0); got != 1 {
		t.Errorf("with connections most of which stay %d a turn, want 1", got)
	}
	passing++
	if got := turn(0); got != maxTurn {
		t.Errorf("with connections of which half stay %d a turn, want %d", got, maxTurn)
	}
	l.gate = *crew(t, now, 1)
	if got := turn(turnTime); got != 1000 {
		t.Errorf("without siblings a turn has %d connections, want no end", got)
	}
	l.gate.board = nil // there may be siblings
	if got := turn(0); got != maxTurn {
		t.Errorf("with unknown siblings %d a turn, want %d", got, maxTurn)
	}
}

// fewTogether opens 16 connections at the same moment and returns how many more than
// the mean the busiest of the four workers has.
func fewTogether(t *testing.T, workers []*process, addr string) int {
	t.Helper()
	results := make(chan error, 16)
	for range cap(results) {
		go func() {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				t.Cleanup(func() { _ = c.Close() })
				_, err = io.ReadFull(c, make([]byte, 1))
			}
			results <- err
		}()
	}
	for range cap(results) {
		if err := within(t, "a greeting", results); err != nil {
			t.Fatal(err)
		}
	}
	var counts []int
	for _, w := range workers {
		counts = append(counts, int(w.slot.Active.Load()))
	}
	t.Log(counts)
	return slices.Max(counts) - 4
}

func TestFewLongConnectionsThatComeTogetherSpreadEvenly(t *testing.T) {
	var over []int
	for range 3 { // a busy machine may run a worker too late
		workers, addr := crewOf(t, 4, "greet", Config{})
		more := fewTogether(t, workers, addr)
		if more <= 2 {
			return
		}
		over = append(over, more)
	}
	t.Errorf("the busiest worker has %v connections more than the mean, want at most 2", over)
}
