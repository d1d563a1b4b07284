package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tally is what is counted.
type tally struct {
	forks, hung, wrong, stillborn, failed int
	children, zygote                      time.Duration // processor time
	wall                                  time.Duration
	notes                                 int
}

func (t *tally) add(u tally) {
	t.forks += u.forks
	t.hung += u.hung
	t.wrong += u.wrong
	t.stillborn += u.stillborn
	t.failed += u.failed
	t.children += u.children
	t.zygote += u.zygote
	t.wall += u.wall
}

func (t *tally) print(name string) {
	n := time.Duration(max(t.forks, 1))
	each := func(d time.Duration) time.Duration { return (d / n).Round(time.Microsecond) }
	fmt.Printf("%-26s %8d %5d %6d %10d %7d   %8v + %-8v      %8v\n",
		name, t.forks, t.hung, t.wrong, t.stillborn, t.failed, each(t.children), each(t.zygote), each(t.wall))
}

// maxNotes bounds what is printed about one scene.
const maxNotes = 20

func (t *tally) note(format string, args ...any) {
	if t.notes++; t.notes <= maxNotes {
		fmt.Printf("  "+format+"\n", args...)
	}
}

func cpu(u unix.Rusage) time.Duration {
	return time.Duration(unix.TimevalToNsec(u.Utime) + unix.TimevalToNsec(u.Stime))
}

// ask lets a child serve a connection.
func ask(address string, number int, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	c, err := net.DialTimeout("tcp4", address, timeout)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(end)
	question := fmt.Sprintf("question %d", number)
	if _, err := io.WriteString(c, question); err != nil {
		return err
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if string(answer) != strings.ToUpper(question) {
		return fmt.Errorf("the child answered %q to %q", answer, question)
	}
	return nil
}

// hung counts an unanswered connection and ends all children. It prints first what can
// be found out about them, for it cannot know which one it was.
func (p *player) hung(why error) {
	p.tally.hung++
	p.tally.note("%d forks after the start: %v", p.tally.forks, why)
	for pid := range p.spare {
		dump(pid)
		kill(pid)
		delete(p.spare, pid)
	}
	p.unserved = 0
}

// dumpTime is how long Go's runtime may take to print its goroutines after SIGQUIT.
const dumpTime = time.Second

// dump prints what the threads of a process wait for.
func dump(pid int) {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*"))
	for _, task := range tasks {
		fmt.Printf("  thread %s of process %d:", filepath.Base(task), pid)
		for _, file := range []string{"syscall", "wchan", "schedstat", "stack"} {
			text, err := os.ReadFile(filepath.Join(task, file))
			if err != nil {
				text = []byte(err.Error())
			}
			fmt.Printf(" %s: %s;", file, bytes.ReplaceAll(bytes.TrimSpace(text), []byte("\n"), []byte(" < ")))
		}
		text, _ := os.ReadFile(filepath.Join(task, "stat"))
		fmt.Printf(" stat: %s\n", bytes.TrimSpace(text))
	}
	_ = unix.Kill(pid, unix.SIGQUIT) // the runtime prints its goroutines, if it can
	time.Sleep(dumpTime)
}
