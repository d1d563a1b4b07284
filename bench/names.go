package main

import "fmt"

// The servers' names, as the tables show them and as the goals refer to them.
const (
	pythonName     = "Python ForkingTCPServer"
	execName       = "prefork forking, executed"
	forkName       = "prefork forking, forked"
	preparedName   = "prefork forking, forked, 50 ms of set-up"
	threadedName   = "Python ThreadingTCPServer"
	cforkName      = "C fork"
	uringName      = "C io_uring"
	netpollName    = "netpoll"
	emptyGoName    = "empty static Go program"
	preforkVersion = "prefork version"
	emptyCName     = "empty static C program"
	plainName      = "plain Go net process, to listening"
	spawnName      = "prefork worker, to Ready"
	killName       = "from the kill to a reply on a new connection"
	respawnName    = "of that: the replacement's spawn to Ready"
	reloadName     = "prefork reload, 4 workers"
	slowestName    = "of that: the slowest worker's spawn to Ready"
	masterName     = "prefork master"
	statusName     = "prefork status, 256 workers"
)

// times appends a number of processes to a name. It is shown always, so that no
// reader takes the rows of one and of several for the same.
func times(name string, processes int) string { return fmt.Sprintf("%s ×%d", name, processes) }

func cEpoll(processes int) string    { return times("C epoll", processes) }
func goNet(processes int) string     { return times("Go net", processes) }
func threading(workers int) string   { return times("prefork threading", workers) }
func event(workers int) string       { return times("prefork event", workers) }
func httpName(workers int) string    { return times("prefork http", workers) }
func gnetName(loops int) string      { return times("gnet", loops) }
func netHTTP(processes int) string   { return times("net/http", processes) }
func nginxName(processes int) string { return times("nginx", processes) }
func fasthttp(processes int) string  { return times("fasthttp prefork", processes) }
func fiber(processes int) string     { return times("fiber prefork", processes) }
