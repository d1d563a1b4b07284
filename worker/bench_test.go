package worker

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"prefork/ipc"
)

// The benchmarks compare a worker process, with and without an access log, with
// a process that serves the same with package net. They report the CPU time of
// the server's process per operation, because the client uses the same cores.
// Run them interleaved: -bench . -count 7.

// plainNet is the program of the process with package net: a goroutine per
// connection.
func plainNet() int {
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return 2
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return 0
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 4<<10)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				if _, err := c.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// bufferedEcho does what plainNet does.
var bufferedEcho = HandlerFunc(func(_ context.Context, c *Conn) error {
	buf := make([]byte, 4<<10)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return err
		}
	}
})

// cpu returns the CPU time of a process so far.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		b.Fatal(err)
	}
	var sum time.Duration
	for _, task := range tasks {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + task.Name() + "/schedstat")
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(stat))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

func benchmark(b *testing.B, run func(b *testing.B, addr string)) {
	fd, addr := listen(b, "127.0.0.1:0")
	defer unix.Close(fd)
	board, err := ipc.NewScoreboard(1)
	if err != nil {
		b.Fatal(err)
	}
	defer board.Close()
	for _, program := range []string{"buffered echo", "access log", "net"} {
		b.Run(program, func(b *testing.B) {
			var pid int
			switch program {
			case "net":
				pid = startPlain(b, fd)
			case "access log":
				pid = startLogged(b, board, fd)
			default:
				w := spawn(b, program, Config{}, board, 0, fd)
				w.accept()
				pid = w.pid
			}
			run(b, addr) // warm-up
			before := cpu(b, pid)
			b.ResetTimer()
			run(b, addr)
			b.StopTimer()
			b.ReportMetric(float64(cpu(b, pid)-before)/float64(b.N)/1e3, "cpu-us/op")
		})
	}
}

// startLogged starts the buffered echo with an access log in a file.
func startLogged(b *testing.B, board *ipc.Scoreboard, fd int) int {
	b.Helper()
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "access"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := spawn(b, "buffered echo", Config{AccessLog: true}, board, 0, fd)
	if err := w.channel.Send(&ipc.AccessLog{}, int(f.Fd())); err != nil {
		b.Fatal(err)
	}
	w.accept()
	return w.pid
}

func startPlain(b *testing.B, fd int) int {
	b.Helper()
	p, err := os.StartProcess("/proc/self/exe", os.Args[:1], &os.ProcAttr{
		Files: []*os.File{nil, nil, os.Stderr, os.NewFile(uintptr(dup(b, fd)), "listener")},
		Env:   append(os.Environ(), envProgram+"=net"),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = p.Kill()
		_, _ = p.Wait()
	})
	return p.Pid
}

const benchClients = 16

// share runs f b.N times on several clients.
func share(b *testing.B, client func(times int)) {
	var wg sync.WaitGroup
	for i := range benchClients {
		times := b.N / benchClients
		if i < b.N%benchClients {
			times++
		}
		wg.Go(func() { client(times) })
	}
	wg.Wait()
}

func BenchmarkEcho(b *testing.B) {
	benchmark(b, func(b *testing.B, addr string) {
		share(b, func(times int) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			buf := make([]byte, 64)
			for range times {
				if _, err := c.Write(buf); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func BenchmarkConnect(b *testing.B) {
	benchmark(b, func(b *testing.B, addr string) {
		share(b, func(times int) {
			buf := make([]byte, 64)
			for range times {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					b.Error(err)
					return
				}
				// A reset avoids TIME_WAIT, which would use up the ports.
				_ = c.(*net.TCPConn).SetLinger(0)
				_, err = c.Write(buf)
				if err == nil {
					_, err = io.ReadFull(c, buf)
				}
				_ = c.Close()
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkSpawn measures the time from fork to Ready. The start of the test
// binary is the largest part of it.
func BenchmarkSpawn(b *testing.B) {
	board, err := ipc.NewScoreboard(1)
	if err != nil {
		b.Fatal(err)
	}
	defer board.Close()
	fd, _ := listen(b, "127.0.0.1:0")
	defer unix.Close(fd)
	times := make([]time.Duration, 0, b.N)
	for range b.N {
		begin := time.Now()
		w := spawn(b, "echo", Config{}, board, 0, fd)
		within(b, "ready", w.ready)
		times = append(times, time.Since(begin))
		w.end()
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100])/1e6, "p99-ms")
}
