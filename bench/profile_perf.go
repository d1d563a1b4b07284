package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// perfSample is one event of perf script: a thread and its stack.
type perfSample struct {
	pid, tid int
	at       float64 // seconds
	fields   string  // of a tracepoint
	stack    []frame // the innermost first
}

type frame struct{ symbol, object string }

// kernel says that the frame is one of the kernel or of its modules.
func (f frame) kernel() bool {
	return strings.HasPrefix(f.object, "[") && f.object != "[unknown]" && f.object != "[vdso]"
}

// A head is "comm pid/tid time: event: fields", and a frame "address symbol
// (object)".
var (
	perfHead  = regexp.MustCompile(`^(?:.*\S)?\s+(\d+)/(\d+)\s+([0-9.]+):\s+(?:\d+\s+)?[\w-]+(?::[\w-]+)?:\s*(.*)$`)
	perfFrame = regexp.MustCompile(`^\s+[0-9a-f]+ (.*) \((.*)\)$`)
)

var perfFork = regexp.MustCompile(`PERF_RECORD_FORK\((\d+):\d+\):\((\d+):\d+\)`)

// parseSamples returns all samples, and the members of a tree: those given, and
// what they have started.
func parseSamples(script []byte, tree []int) ([]perfSample, map[int]bool) {
	members := map[int]bool{}
	for _, pid := range tree {
		members[pid] = true
	}
	var samples []perfSample
	for line := range bytes.Lines(script) {
		text := strings.TrimRight(string(line), "\n")
		if m := perfFrame.FindStringSubmatch(text); m != nil && len(samples) > 0 {
			s := &samples[len(samples)-1]
			s.stack = append(s.stack, frame{strings.TrimSuffix(m[1], ".abi0"), m[2]})
		} else if m := perfFork.FindStringSubmatch(text); m != nil {
			if members[number(m[2])] {
				members[number(m[1])] = true
			}
		} else if m := perfHead.FindStringSubmatch(text); m != nil && !strings.Contains(text, "PERF_RECORD_") {
			at, _ := strconv.ParseFloat(m[3], 64) // digits and points
			samples = append(samples, perfSample{pid: number(m[1]), tid: number(m[2]), at: at, fields: m[4]})
		}
	}
	return samples, members
}

// number reads what a pattern has found to be digits.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

func pidsOf(samples []perfSample) map[int]bool {
	pids := map[int]bool{}
	for _, s := range samples {
		pids[s.pid] = true
	}
	return pids
}

// folded writes each stack on one line, the outermost first, with its number of
// samples: what programs that draw flame graphs read.
func folded(samples []perfSample) string {
	stacks := count{}
	for _, s := range samples {
		names := make([]string, len(s.stack))
		for i, f := range s.stack {
			names[len(names)-1-i] = strings.ReplaceAll(f.symbol, ";", ":")
		}
		stacks[strings.Join(names, ";")]++
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		fmt.Fprintf(&b, "%s %.0f\n", name, stacks[name])
	}
	return b.String()
}

// kernelLayers are searched in order for a function of the kernel's part of a
// stack.
var kernelLayers = []struct{ layer, functions string }{
	{"kernel: send", `^(tcp_sendmsg|unix_(stream|seqpacket|dgram)_sendmsg|sock_write_iter|__sys_sendto|splice_to_socket|do_sendfile)$`},
	{"kernel: receive", `^(tcp_recvmsg|unix_\w+_recvmsg|sock_read_iter|__sys_recvfrom)$`},
	{"kernel: accept and close", `^(inet_csk_accept|__sys_accept4|do_accept|__fput|fput_close_sync|__x64_sys_close|__sys_shutdown|__sys_setsockopt)$`},
	{"kernel: epoll", `^(do_epoll_wait|do_epoll_ctl|__x64_sys_epoll_\w+)$`},
	{"kernel: futex", `^(do_futex)$`},
	{"kernel: start and end of processes", `^(kernel_clone|do_execveat_common\S*|__x64_sys_execve|do_exit|do_group_exit|exit_mmap|do_wait|kernel_waitid|ret_from_fork\w*|bprm_execve)$`},
	{"kernel: memory", `^(asm_exc_page_fault|exc_page_fault|__x64_sys_m(map|unmap|advise|protect)|vm_mmap_pgoff|do_user_addr_fault)$`},
	{"kernel: read, write and files", `^(do_sys_openat2|vfs_\w+|__x64_sys_newfstatat|__x64_sys_fstat)$`},
	{"kernel: network interrupts", `^(net_rx_action|tcp_v4_rcv)$`},
	{"kernel: sleep and switch", `^(schedule|__schedule|__x64_sys_nanosleep|__x64_sys_sched_yield)$`},
	{"kernel: entry and exit of system calls", `^(do_syscall_64|entry_SYSCALL_64\w*|syscall_\w+)$`},
}

var kernelPatterns = func() []*regexp.Regexp {
	list := make([]*regexp.Regexp, len(kernelLayers))
	for i, k := range kernelLayers {
		list[i] = regexp.MustCompile(k.functions)
	}
	return list
}()

// goLayers are searched in order for a function of Go's runtime.
var goLayers = []struct{ layer, prefixes string }{
	{"Go: garbage collection", "runtime.gcBgMarkWorker runtime.gcAssist runtime.bgsweep runtime.gcStart runtime.bgscavenge"},
	{"Go: allocation", "runtime.mallocgc runtime.newobject runtime.makeslice runtime.growslice"},
	{"Go: start of the runtime and of packages", "runtime.schedinit runtime.doInit runtime.rt0_go runtime.check runtime.args runtime.modulesinit"},
	{"Go: scheduler and netpoller", "runtime.mcall runtime.schedule runtime.findRunnable runtime.netpoll runtime.sysmon runtime.mstart runtime.gopark runtime.goready runtime.ready"},
	{"Go: system calls", "runtime.entersyscall runtime.reentersyscall runtime.exitsyscall syscall. internal/runtime/syscall"},
}

// layer says whose time a sample is.
func layer(stack []frame) string {
	if len(stack) == 0 {
		return "unknown"
	}
	if stack[0].kernel() {
		for i, k := range kernelLayers {
			for _, f := range stack {
				if f.kernel() && kernelPatterns[i].MatchString(f.symbol) {
					return k.layer
				}
			}
		}
		return "kernel: other"
	}
	of := packageOf(stack[0].symbol)
	switch {
	case stack[0].object == "[vdso]":
		return "clock"
	case strings.HasSuffix(stack[0].symbol, "body"):
		return "Go: standard library" // the inner loops of bytes and strings, in assembly
	case of == "runtime" || strings.HasPrefix(of, "internal/runtime") || of == "syscall":
		for _, g := range goLayers {
			for _, prefix := range strings.Fields(g.prefixes) {
				if slices.ContainsFunc(stack, func(f frame) bool { return !f.kernel() && strings.HasPrefix(f.symbol, prefix) }) {
					return g.layer
				}
			}
		}
		return "Go: other runtime"
	case of == modulePath || strings.HasPrefix(of, modulePath+"/"):
		return strings.TrimSuffix("prefork: "+strings.TrimPrefix(strings.TrimPrefix(of, modulePath), "/"), ": ")
	case of == "":
		return "unknown"
	}
	if first, _, _ := strings.Cut(of, "/"); strings.Contains(first, ".") {
		return "libraries"
	}
	return "Go: standard library"
}

// packageOf returns the import path of a Go symbol, "" of another.
func packageOf(symbol string) string {
	dir, base := path.Split(symbol)
	name, _, found := strings.Cut(base, ".")
	if !found {
		return ""
	}
	return dir + name
}

// count adds up by name.
type count map[string]float64

// sorted returns the names, the greatest first.
func (c count) sorted() []string {
	return slices.SortedFunc(maps.Keys(c), func(a, b string) int {
		return cmp.Or(cmp.Compare(c[b], c[a]), cmp.Compare(a, b))
	})
}

const topRows = 25

// writeOnCPU writes where the server's processor time goes.
func writeOnCPU(b *strings.Builder, samples []perfSample, processors float64) {
	layers, symbols, ours := count{}, count{}, count{}
	share := 100 / float64(len(samples))
	for _, s := range samples {
		layers[layer(s.stack)] += share
		if len(s.stack) == 0 {
			continue
		}
		symbols[s.stack[0].symbol] += share
		for _, f := range s.stack {
			if !f.kernel() && strings.HasPrefix(packageOf(f.symbol), modulePath) {
				ours[f.symbol] += share
				break
			}
		}
	}
	fmt.Fprintf(b, "On CPU: %d samples, %.2f processors busy\n\n   %%  whose\n", len(samples), processors)
	for _, name := range layers.sorted() {
		fmt.Fprintf(b, "%5.1f  %s\n", layers[name], name)
	}
	for _, t := range []struct {
		title string
		count
	}{{"function", symbols}, {"function of prefork, with what it calls outside", ours}} {
		fmt.Fprintf(b, "\n   %%  %s\n", t.title)
		for _, name := range t.sorted()[:min(topRows, len(t.count))] {
			fmt.Fprintf(b, "%5.1f  %s\n", t.count[name], name)
		}
	}
}

// blocked sums up the times for which threads did not run.
type blocked struct {
	times int
	total float64 // seconds
}

var switchFields = regexp.MustCompile(`prev_state=(\w)\S* ==> .*next_pid=(\d+)`)

// blockedTimes follows each thread of the processes from the switch away from it
// to the switch back.
func blockedTimes(samples []perfSample, pids map[int]bool) map[string]blocked {
	type leave struct {
		at    float64
		where string
	}
	away := map[int]leave{}
	sums := map[string]blocked{}
	for _, s := range samples {
		m := switchFields.FindStringSubmatch(s.fields)
		if m == nil {
			continue
		}
		next := number(m[2])
		if from, ok := away[next]; ok {
			delete(away, next)
			sum := sums[from.where]
			sum.times++
			sum.total += s.at - from.at
			sums[from.where] = sum
		}
		if pids[s.pid] && !strings.ContainsAny(m[1], "XZ") {
			away[s.tid] = leave{s.at, whereBlocked(m[1], s.stack)}
		}
	}
	return sums
}

// whereBlocked names what a thread waits for, and in which function.
func whereBlocked(state string, stack []frame) string {
	reason := "waits for a processor"
	if state != "R" {
		reason = strings.TrimPrefix(layer(stack), "kernel: ")
	}
	for _, f := range stack {
		of := packageOf(f.symbol)
		if !f.kernel() && of != "" && of != "syscall" && !strings.HasPrefix(of, "internal/runtime") && !strings.HasPrefix(f.symbol, "runtime.futex") {
			return reason + ", in " + f.symbol
		}
	}
	return reason
}

// writeBlocked writes where the server's threads leave the processor.
func writeBlocked(b *strings.Builder, sums map[string]blocked, window time.Duration) {
	b.WriteString("\nOff CPU: switches between threads\n\n switches/s   mean µs  waits for\n")
	rates := count{}
	for name, sum := range sums {
		rates[name] = float64(sum.times) / window.Seconds()
	}
	for _, name := range rates.sorted()[:min(topRows, len(rates))] {
		sum := sums[name]
		fmt.Fprintf(b, "%11.0f %9.0f  %s\n", rates[name], sum.total/float64(sum.times)*1e6, name)
	}
}
