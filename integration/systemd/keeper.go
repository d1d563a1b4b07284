package systemd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"prefork/integration/notifytest"
	"prefork/systemd"
)

// keeperEnv holds the order of a keeper. If it is set, the test binary runs as a
// keeper.
const keeperEnv = "PREFORK_SYSTEMD_KEEPER"

// order tells a keeper what to do.
type order struct {
	Name  string // of the machine, and of its cgroup
	Dir   string // an empty directory; the keeper mounts over it
	Lower string // the root file system below the overlay
}

// report is one line that the keeper prints.
type report struct {
	Leader int    `json:",omitempty"` // pid of the container's first process, once known
	Ready  bool   `json:",omitempty"` // the container has booted
	Error  string `json:",omitempty"`
}

// keep is the main function of a keeper. It boots a container, reports on
// standard output, and removes the container at the end of standard input.
func keep(text string) int {
	// Signals to the process group are ignored. Only the end of standard input
	// ends the keeper.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = o.run()
	}
	if err != nil {
		writeReport(report{Error: err.Error()})
		return 1
	}
	return 0
}

func writeReport(r report) {
	line, err := json.Marshal(r)
	if err != nil {
		return // cannot happen with these fields
	}
	_, _ = fmt.Println(string(line)) // if it fails, standard input has ended too
}

func (o order) run() error {
	root, err := o.mount()
	if err != nil {
		return err
	}
	cgroup, err := enterCgroup(o.Name)
	if err != nil {
		return err
	}
	err = o.boot(root)
	return errors.Join(err, cgroup.leave(), o.unmount())
}

// mount creates the container's root: an overlay whose upper layer is in memory.
// The mounts are in the keeper's mount namespace and end with it.
func (o order) mount() (root string, err error) {
	if err := unix.Mount("prefork-test", o.Dir, "tmpfs", unix.MS_NOSUID, "mode=0755,size=2g"); err != nil {
		return "", fmt.Errorf("mount %s: %w", o.Dir, err)
	}
	upper, work, root := filepath.Join(o.Dir, "upper"), filepath.Join(o.Dir, "work"), filepath.Join(o.Dir, "root")
	for _, dir := range []string{upper, work, root} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	if err := prepare(o.Lower, upper); err != nil {
		return "", fmt.Errorf("prepare root: %w", err)
	}
	options := "lowerdir=" + o.Lower + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("prefork-test", root, "overlay", 0, options); err != nil {
		return "", fmt.Errorf("mount overlay on %s: %w", o.Lower, err)
	}
	// systemd-nspawn writes to /run. This keeps its files off the machine.
	if err := unix.Mount("prefork-test", "/run", "tmpfs", unix.MS_NOSUID, "mode=0755,size=16m"); err != nil {
		return "", fmt.Errorf("mount /run: %w", err)
	}
	return root, nil
}

// unmount removes the overlay's directory. The container's mounts ended with
// the container.
func (o order) unmount() error {
	if err := unix.Unmount(o.Dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", o.Dir, err)
	}
	return os.Remove(o.Dir)
}

// boot runs the container until standard input ends or the container does.
func (o order) boot(root string) error {
	events, err := listenEvents(o.Name)
	if err != nil {
		return err
	}
	defer events.Close()
	nspawn := exec.Command("systemd-nspawn", "--quiet", "--directory="+root, "--machine="+o.Name,
		"--private-network", "--register=no", "--keep-unit", "--settings=no", "--link-journal=no",
		"--resolv-conf=off", "--timezone=off", "--console=pipe", "--notify-ready=yes", "--boot", "systemd.log_color=no")
	nspawn.Env = append(os.Environ(), "NOTIFY_SOCKET="+events.address, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	nspawn.Stdout, nspawn.Stderr = os.Stderr, os.Stderr
	nspawn.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := nspawn.Start(); err != nil {
		return fmt.Errorf("start systemd-nspawn: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- nspawn.Wait() }()
	stdinEnded := make(chan struct{})
	go func() {
		defer close(stdinEnded)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	leader := make(chan int, 1)
	go events.forward(leader)
	select {
	case err := <-ended:
		return fmt.Errorf("the container ended unexpectedly: %w", errors.Join(err, errors.New("see its console")))
	case <-stdinEnded:
	}
	// The end of the first process of a PID namespace kills all others.
	select {
	case pid := <-leader:
		_ = unix.Kill(pid, unix.SIGKILL)
	default:
		_ = nspawn.Process.Kill()
	}
	select {
	case <-ended:
		return nil
	case <-time.After(10 * time.Second):
	}
	_ = nspawn.Process.Kill()
	<-ended
	return nil
}

// events is the socket on which systemd-nspawn reports its progress.
type events struct {
	*os.File
	address string
}

func listenEvents(name string) (*events, error) {
	address := "@" + name + "-events"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open event socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: address}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("bind event socket: %w", err)
	}
	return &events{os.NewFile(uintptr(fd), "events"), address}, nil
}

// forward reports the leader and the end of the boot until the socket is closed.
func (e *events) forward(leader chan<- int) {
	buf := make([]byte, systemd.MaxMessage)
	for {
		n, err := e.Read(buf)
		if err != nil {
			return
		}
		fields, err := notifytest.Decode(buf[:n])
		if err != nil {
			continue
		}
		for _, f := range fields {
			var pid int
			switch f.Name {
			case "X_NSPAWN_LEADER_PID":
				if _, err := fmt.Sscan(f.Value, &pid); err == nil {
					leader <- pid
					writeReport(report{Leader: pid})
				}
			case "READY":
				writeReport(report{Ready: true})
			}
		}
	}
}

// cgroup is the control group of the keeper and the container: a new group below
// the keeper's own, in each hierarchy that systemd uses for its units.
type cgroup struct {
	groups []string
	before []string // the keeper's groups before, in the order of groups
}

// enterCgroup creates the groups and moves the keeper into them.
func enterCgroup(name string) (*cgroup, error) {
	file, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	c := &cgroup{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3)
		if len(parts) != 3 {
			continue
		}
		var mounts []string
		switch {
		case parts[0] == "0":
			mounts = []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}
		case parts[1] == "name=systemd":
			mounts = []string{"/sys/fs/cgroup/systemd"}
		}
		for _, mount := range mounts {
			own := filepath.Join(mount, parts[2])
			if _, err := os.Stat(filepath.Join(own, "cgroup.procs")); err != nil {
				continue
			}
			if err := c.enter(own, name); err != nil {
				return nil, errors.Join(err, c.leave())
			}
			break
		}
	}
	if len(c.groups) == 0 {
		return nil, errors.New("no cgroup hierarchy that systemd could use")
	}
	return c, nil
}

func (c *cgroup) enter(own, name string) error {
	group := filepath.Join(own, name)
	if err := os.Mkdir(group, 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	c.groups, c.before = append(c.groups, group), append(c.before, own)
	return move(group)
}

// move moves this process into a group.
func move(group string) error {
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("enter cgroup: %w", err)
	}
	return nil
}

// leave moves the keeper back and removes the groups. Their last processes are
// about to exit.
func (c *cgroup) leave() error {
	var problems []error
	for i, group := range c.groups {
		problems = append(problems, move(c.before[i]))
		_ = os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0) // Linux 5.14 and cgroup2 only
		problems = append(problems, removeGroup(group))
	}
	return errors.Join(problems...)
}

// removeGroup removes a group and the groups below it as soon as they are empty.
func removeGroup(group string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		var dirs []string
		err := filepath.WalkDir(group, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // a group that does not exist any more is no error
		})
		for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
			if err = unix.Rmdir(dirs[i]); err == unix.ENOENT {
				err = nil
			}
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
		timer := time.NewTimer(20 * time.Millisecond)
		<-timer.C
	}
}
