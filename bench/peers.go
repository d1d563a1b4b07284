package main

import (
	"context"
	"fmt"
	"strconv"
)

// several is the number of processes, workers or event loops of the rows that have
// more than one: with as many on both sides, the price of being several is on both.
const several = 2

// starter starts one server of a suite.
type starter struct {
	name    string
	missing string // why it cannot be started, or ""
	start   func(ctx context.Context) (*server, error)
}

// peer is a program that says where it listens.
func (b *bench) peer(name, program string, args ...string) starter {
	return starter{name, b.need(program), func(context.Context) (*server, error) {
		return b.startPeer(name, append([]string{b.programs[program]}, args...))
	}}
}

func (b *bench) epollPeer(processes int) starter {
	return b.peer(cEpoll(processes), cepollProgram, strconv.Itoa(processes))
}

func (b *bench) netPeer(processes int) starter {
	return b.peer(goNet(processes), netProgram, strconv.Itoa(processes))
}

func (b *bench) gnetPeer(loops int) starter {
	return b.peer(gnetName(loops), gnetProgram, strconv.Itoa(loops))
}

func (b *bench) netpollPeer() starter { return b.peer(netpollName, netpollProgram) }

func (b *bench) uringPeer() starter { return b.peer(uringName, curingProgram) }

func (b *bench) pythonPeer(name, class string) starter {
	return b.peer(name, pythonProgram, "peers/python.py", class)
}

func (b *bench) netHTTPPeer(processes int) starter {
	return b.peer(netHTTP(processes), httpProgram, b.site.root, strconv.Itoa(processes))
}

func (b *bench) nginxPeer(processes int) starter {
	return starter{nginxName(processes), b.need(nginxProgram), func(ctx context.Context) (*server, error) {
		return b.startNginx(ctx, processes)
	}}
}

// preforkPeer is a peer with a prefork of its own: a process for each of its Ps.
func (b *bench) preforkPeer(name, program string, processes int) starter {
	return starter{name, b.need(program), func(ctx context.Context) (*server, error) {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		s, err := b.startPeer(name, []string{b.programs[program], b.site.root, address}, fmt.Sprintf("GOMAXPROCS=%d", processes))
		if err != nil {
			return nil, err
		}
		if err := s.awaitListeners(ctx, processes); err != nil {
			s.stop()
			return nil, err
		}
		return s, nil
	}}
}

// ours is prefork with the handler upper.
func (b *bench) ours(name, missing, mode string, workers int, args ...string) starter {
	return starter{name, missing, func(ctx context.Context) (*server, error) {
		return b.startPrefork(ctx, name, append([]string{"--mode", mode, "--workers", strconv.Itoa(workers)}, args...)...)
	}}
}

func (b *bench) threading(workers int, args ...string) starter {
	return b.ours(threading(workers), "", "threading", workers, args...)
}

func (b *bench) event(workers int, args ...string) starter {
	return b.ours(event(workers), b.need(preforkEventMode), "event", workers, args...)
}

func (b *bench) http(workers int) starter {
	return b.ours(httpName(workers), "", "threading", workers, "--handler", "http", "--option", "root="+b.site.root)
}
