package load

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The test binary runs as a server if roleVariable is set.
const roleVariable = "PREFORK_LOAD_TEST_LISTEN"

func TestMain(m *testing.M) {
	if address := os.Getenv(roleVariable); address != "" {
		serveAlone(address)
		return
	}
	os.Exit(m.Run())
}

// serveAlone echoes lines until the end of its input.
func serveAlone(address string) {
	network, place, _ := strings.Cut(address, "!")
	l, err := net.Listen(network, place)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Addr())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					_, _ = c.Write([]byte(line))
				}
			}()
		}
	}()
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestTheCostOfAServerOnThisMachineIsKnown(t *testing.T) {
	for _, address := range []string{"tcp!127.0.0.1:0", "tcp!:0", "unix!" + filepath.Join(t.TempDir(), "s")} {
		command := exec.Command("/proc/self/exe")
		command.Env = append(os.Environ(), roleVariable+"="+address)
		in, err := command.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = in.Close()
			_ = command.Wait()
		})
		at, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		at = strings.TrimSpace(at)
		url := "tcp://" + strings.Replace(at, "[::]", "127.0.0.1", 1)
		if strings.HasPrefix(at, "/") {
			url = "unix://" + at
		}
		r := do(t, Options{URL: url, Requests: 2000, Connections: 4, Expect: "echo"})
		if r.Requests != 2000 || r.Server == nil || !slices.Equal(r.Server.PIDs, []int{command.Process.Pid}) || r.Server.CPUS <= 0 {
			t.Errorf("%s: %d requests, errors %v %v, server %+v, want pid %d", url, r.Requests, r.Errors, r.Examples, r.Server, command.Process.Pid)
		}
	}
}

func TestTheCostOfAServerInOurOwnProcessIsUnknown(t *testing.T) {
	if r := do(t, Options{URL: plain(t, lines(echo)), Requests: 10, Connections: 1}); r.Server != nil {
		t.Errorf("server: %+v", r.Server)
	}
}

func TestTheKernelsTablesAreReadForListenersAlone(t *testing.T) {
	rows := []string{
		"   0: 0100007F:270F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0",
		"   1: 0100007F:270F 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0",
		"   2: 00000000:270F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0",
		"   3: 0200007F:270F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 444 1 0 100 0 0 10 0",
		"   4: zz:270F x 0A", "", "nonsense",
	}
	if got := tcpInodes(rows, netip.MustParseAddrPort("127.0.0.1:9999")); !slices.Equal(got, []string{"111", "333"}) {
		t.Errorf("tcp: %v", got)
	}
	rows = []string{
		"0000000000000000: 00000002 00000000 00010000 0001 01 555 /run/a.sock",
		"0000000000000000: 00000003 00000000 00000000 0001 03 666 /run/a.sock",
		"0000000000000000: 00000002 00000000 00010000 0001 01 777 /run/b.sock", "x",
	}
	if got := unixInodes(rows, "/run/a.sock"); !slices.Equal(got, []string{"555"}) {
		t.Errorf("unix: %v", got)
	}
}
