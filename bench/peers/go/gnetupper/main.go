// Gnetupper is the echo peer on github.com/panjf2000/gnet/v2: LOOPS event loops in
// one process, the connections in turn to each. A loop reads into its own buffer,
// and the reply is sent from the callback, so a connection that waits owns no
// buffer.
//
//	gnetupper LOOPS
//
// It prints "listening HOST:PORT" once its socket listens.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/panjf2000/gnet/v2"

	"prefork/bench/peers/go/upper"
)

func main() {
	log.SetFlags(0)
	loops, err := strconv.Atoi(os.Args[len(os.Args)-1])
	if err != nil {
		log.Fatalf("usage: gnetupper LOOPS: %v", err)
	}
	err = gnet.Run(&server{}, "tcp4://127.0.0.1:0",
		gnet.WithNumEventLoop(loops), gnet.WithTCPNoDelay(gnet.TCPNoDelay), gnet.WithLogger(problems{}))
	log.Fatalf("gnet: %v", err)
}

type server struct{ gnet.BuiltinEventEngine }

// OnBoot prints the address: the listener is bound by now.
func (*server) OnBoot(engine gnet.Engine) gnet.Action {
	address, err := addressOf(engine)
	if err != nil {
		log.Fatalf("address: %v", err)
	}
	fmt.Printf("listening %s\n", address)
	return gnet.None
}

// OnTraffic answers the complete lines that have arrived.
func (*server) OnTraffic(c gnet.Conn) gnet.Action {
	p, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	n := upper.Whole(p)
	if n == 0 {
		if len(p) >= upper.MaxLine {
			return gnet.Close
		}
		return gnet.None
	}
	if _, err := c.Write(p[:n]); err != nil {
		return gnet.Close
	}
	if _, err := c.Discard(n); err != nil {
		return gnet.Close
	}
	return gnet.None
}

// problems logs what is wrong, on standard error: standard output is for the address.
type problems struct{}

func (problems) Debugf(string, ...any)             {}
func (problems) Infof(string, ...any)              {}
func (problems) Warnf(format string, args ...any)  { log.Printf(format, args...) }
func (problems) Errorf(format string, args ...any) { log.Printf(format, args...) }
func (problems) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }

// addressOf asks the listener's descriptor for its address.
func addressOf(engine gnet.Engine) (string, error) {
	fd, err := engine.Dup()
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	a, err := syscall.Getsockname(fd)
	if err != nil {
		return "", err
	}
	inet, ok := a.(*syscall.SockaddrInet4)
	if !ok {
		return "", fmt.Errorf("the socket has the address %v", a)
	}
	return net.JoinHostPort(net.IP(inet.Addr[:]).String(), strconv.Itoa(inet.Port)), nil
}
