// Package prefork makes a TCP or Unix-socket server out of several processes.
//
// A master binds the sockets and starts workers: copies of the running program
// that inherit the sockets and accept from them, each in its own loop. The
// master itself serves nothing. It watches: a worker that dies is replaced, a
// new configuration is proven by new workers before the old ones leave, and an
// end is orderly, with every connection that completed its handshake answered.
//
//	             ┌─ worker ─ accept ─ handler
//	socket ══════╪─ worker ─ accept ─ handler      one queue, shared
//	   ▲         └─ worker ─ accept ─ handler
//	   │ binds          ▲
//	master ─────────────┘ starts, hears, replaces
//
// It is nginx's process model for Go programs, and Python's socketserver
// grown into a service: the modes are its plain TCPServer (Sequential),
// ThreadingMixIn (Threading) and ForkingMixIn (Forking), and one that calls handlers
// from the loop (Event).
//
// # Your main runs in every worker
//
// A Go process cannot fork without exec, so a worker is the program started
// again: its main runs from the top, up to Run, which finds out that it is in
// a worker, serves, and ends the process. What main does before Run happens
// once in the master and once in every worker. Open no port and take no lock
// there; or ask IsWorker.
//
//	func main() {
//		srv := &prefork.Server{
//			Config: prefork.Config{Listen: []string{"tcp://127.0.0.1:9999"}},
//			Handler: worker.HandlerFunc(func(ctx context.Context, c *worker.Conn) error {
//				_, err := io.Copy(c, c)
//				return err
//			}),
//		}
//		err := srv.Run(context.Background())
//		if err != nil {
//			log.Print(err)
//		}
//		os.Exit(prefork.ExitCode(err))
//	}
//
// What the connections of a worker share, such as a pool, is opened by
// Hooks.WorkerStart and closed by Hooks.WorkerStop, in the worker. The program
// ends the server with Shutdown, which drains, or Close, which does not wait for
// connections.
//
// Package preforktest tests such a program: its handlers in the test's process,
// and the whole server with a master and workers.
//
// # Import path
//
// The module is called prefork and has no public home yet, so "go get" alone
// does not find it. With a copy in ../prefork, a module depends on it by one of
//
//	go mod edit -replace prefork=../prefork && go get prefork@v0.0.0
//	go work init . ../prefork
//
// In the copy, "make module PATH=example.com/owner/prefork" changes the path in
// every go.mod and every import.
//
// # What processes buy
//
// Goroutines in one process are cheaper. Processes are for what goroutines
// cannot give: a panic outside recover, a concurrent map write, a leak or a
// fault in C code ends one worker's connections and not the service; each
// worker has its own heap and collector; the master can hold a privilege that
// no worker has; and code is replaced by replacing workers.
//
// The price is that workers share no memory. A cache, a counter or a session
// kept in a worker is one of several. State that must be one belongs outside.
package prefork
