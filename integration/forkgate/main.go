// Command forkgate forks a running Go program many times and counts the children that
// hang or answer wrong. It is the gate that package livefork has to pass.
//
//	go run ./integration/forkgate [-n FORKS] [-seed SEED]
//
// The program starts a zygote, which forks on request; each child serves one TCP
// connection. Each tenth collects garbage, each fifth uses goroutines and timers. Half
// of the children are made beside two busy loops: a part of these while the zygote's
// thread sysmon, or all threads, have the scheduling class SCHED_IDLE, so that they are
// stopped anywhere and for long.
//
// It prints a log and exits with 1 if a child hung or was wrong. It must be built
// without cgo, and runs on Linux only.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// role is the environment variable that says what this process is.
const role = "PREFORK_FORKGATE"

var busy atomic.Uint64

func main() {
	switch os.Getenv(role) {
	case "zygote":
		zygote()
		return
	case "loop":
		for i := uint64(0); ; i++ {
			busy.Store(i)
		}
	}
	// The kernel sends the children's PR_SET_PDEATHSIG when this thread ends.
	runtime.LockOSThread()
	n := flag.Int("n", 1000000, "forks")
	seed := flag.Uint64("seed", uint64(time.Now().Unix()), "of the pauses between forks")
	flag.Parse()
	if !run(*n, *seed) {
		os.Exit(1)
	}
}

// run reports whether no child hung or was wrong.
func run(n int, seed uint64) bool {
	fmt.Printf("machine  %s\n", machine())
	fmt.Printf("program  %s %s/%s, cgo %s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, setting("CGO_ENABLED"), runtime.NumCPU())
	fmt.Printf("run      %d forks, seed %d, began %s\n", n, seed, time.Now().UTC().Format(time.RFC3339))
	fmt.Println("scene                       forks  hung  wrong  stillborn  failed   CPU/fork child+zygote  wall/fork")
	var all tally
	for number, s := range scenes(n) {
		t, err := play(s, seed+uint64(number))
		all.add(t)
		t.print(s.name)
		if err != nil {
			fmt.Printf("the run ends: %v\n", err)
			all.wrong++
			break
		}
	}
	all.print("all")
	return all.hung == 0 && all.wrong == 0
}

// machine describes the processor and the kernel.
func machine() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "model name"); ok {
			model = strings.Trim(value, "\t: ")
			break
		}
	}
	var u unix.Utsname
	_ = unix.Uname(&u)
	return fmt.Sprintf("%s, Linux %s %s", model, unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
}

func setting(key string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return "unknown"
}
