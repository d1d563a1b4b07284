package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

// What perf script prints: a server (10, with a child 11) and its client (20).
const perfScript = `swapper     0/0         0.000000: PERF_RECORD_COMM: prefork:10/10
prefork    10/10      1.000000: PERF_RECORD_FORK(11:11):(10:10)
sh    19/19      1.000000: PERF_RECORD_FORK(20:20):(19:19)
my server  10/12     1.500000: cpu-clock: 
	ffffffff82028122 __tcp_transmit_skb ([kernel.kallsyms])
	ffffffff82010ddb tcp_sendmsg ([kernel.kallsyms])
	ffffffff821ef691 do_syscall_64 ([kernel.kallsyms])
	          c7c06 syscall.Syscall (/x/prefork)
	         379a5e prefork/worker.(*Conn).Write (/x/prefork)

exe    11/11     1.600000:          1 cpu-clock: 
	           906a3 runtime.futex.abi0 (/x/prefork)
	           20f45 runtime.notewakeup (/x/prefork)
	           5b47f runtime.entersyscallWakeSysmon (/x/prefork)
	           8cf8a runtime.reentersyscall (/x/prefork)

exe    20/20     1.700000: cpu-clock: 
	           906a3 runtime.futex.abi0 (/x/prefork)

`

func TestSamplesOfTheServersTreeAreFound(t *testing.T) {
	samples, members := parseSamples([]byte(perfScript), []int{10})
	if len(samples) != 3 || !members[10] || !members[11] || members[20] {
		t.Fatalf("%d samples, members %v", len(samples), members)
	}
	for i, want := range []string{"kernel: send", "Go: system calls", "Go: other runtime"} {
		if got := layer(samples[i].stack); got != want {
			t.Errorf("sample %d is of %q, want %q", i, got, want)
		}
	}
	var b strings.Builder
	writeOnCPU(&b, samples[:2], 0.5)
	for _, want := range []string{"2 samples, 0.50 processors", " 50.0  kernel: send\n", " 50.0  runtime.futex\n", " 50.0  prefork/worker.(*Conn).Write\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if got, want := folded(samples[1:]), "runtime.futex 1\nruntime.reentersyscall;runtime.entersyscallWakeSysmon;runtime.notewakeup;runtime.futex 1\n"; got != want {
		t.Errorf("folded:\n%s\nwant:\n%s", got, want)
	}
}

func TestEachSampleHasItsLayer(t *testing.T) {
	const program, kernel = "/x/prefork", "[kernel.kallsyms]"
	for _, c := range []struct {
		want  string
		stack []frame
	}{
		{"kernel: memory", []frame{{"clear_page_erms", kernel}, {"exc_page_fault", kernel}, {"runtime.memclrNoHeapPointers", program}}},
		{"kernel: entry and exit of system calls", []frame{{"do_syscall_64", kernel}, {"syscall.Syscall", program}}},
		{"kernel: other", []frame{{"some_function", kernel}}},
		{"clock", []frame{{"__vdso_clock_gettime", "[vdso]"}, {"runtime.nanotime1", program}}},
		{"prefork: worker", []frame{{"prefork/worker.(*Conn).sent", program}}},
		{"prefork", []frame{{"prefork.(*Server).Run", program}}},
		{"libraries", []frame{{"go.uber.org/zap/zapcore.(*ioCore).Write", program}}},
		{"Go: standard library", []frame{{"net/http.(*conn).serve", program}}},
		{"Go: standard library", []frame{{"indexbytebody", program}}},
		{"Go: allocation", []frame{{"runtime.nextFreeFast", program}, {"runtime.mallocgc", program}}},
		{"unknown", []frame{{"[unknown]", "[unknown]"}}},
		{"unknown", nil},
	} {
		if got := layer(c.stack); got != c.want {
			t.Errorf("%v is of %q, want %q", c.stack, got, c.want)
		}
	}
}

func TestBlockedTimeIsFromTheSwitchAwayToTheSwitchBack(t *testing.T) {
	const script = `exe 10/12 5.000000: sched:sched_switch: prev_comm=exe prev_pid=12 prev_prio=120 prev_state=S ==> next_comm=a b next_pid=20 next_prio=120
	ffffffff81732438 do_epoll_wait ([kernel.kallsyms])
	           b78e internal/runtime/syscall/linux.Syscall6 (/x/prefork)
	          4b654 runtime.netpoll (/x/prefork)

a b 20/20 5.001000: sched:sched_switch: prev_comm=a b prev_pid=20 prev_prio=120 prev_state=S ==> next_comm=exe next_pid=12 next_prio=120
	ffffffff81732438 do_epoll_wait ([kernel.kallsyms])

exe 10/12 5.002000: sched:sched_switch: prev_comm=exe prev_pid=12 prev_prio=120 prev_state=R+ ==> next_comm=a b next_pid=20 next_prio=120
	          4b654 prefork/worker.(*Conn).sent (/x/prefork)

a b 20/20 5.005000: sched:sched_switch: prev_comm=a b prev_pid=20 prev_prio=120 prev_state=S ==> next_comm=exe next_pid=12 next_prio=120

exe 10/12 5.006000: sched:sched_switch: prev_comm=exe prev_pid=12 prev_prio=120 prev_state=Z ==> next_comm=a b next_pid=20 next_prio=120

a b 20/20 5.007000: sched:sched_switch: prev_comm=a b prev_pid=20 prev_prio=120 prev_state=S ==> next_comm=exe next_pid=12 next_prio=120

`
	samples, _ := parseSamples([]byte(script), nil)
	sums := blockedTimes(samples, map[int]bool{10: true})
	if len(sums) != 2 {
		t.Errorf("%v", sums)
	}
	for where, seconds := range map[string]float64{
		"epoll, in runtime.netpoll":                             0.001,
		"waits for a processor, in prefork/worker.(*Conn).sent": 0.003,
	} {
		if s := sums[where]; s.times != 1 || math.Abs(s.total-seconds) > 1e-9 {
			t.Errorf("%s: %+v, want %v s", where, s, seconds)
		}
	}
	var b strings.Builder
	writeBlocked(&b, sums, 2*time.Second)
	if want := "          0      1000  epoll, in runtime.netpoll\n"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}
