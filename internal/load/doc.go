// Package load is a load generator: it keeps a number of exchanges with a
// server going, checks every answer, and says how fast they were answered and
// what became of those that were not.
//
//	Start ──► loop 0 ─┐  a locked thread each: epoll, raw sockets,
//	          loop 1 ─┤  its connections, its histogram of this second
//	          ...     │
//	                  ▼ one part a second
//	              collector ──► Result: totals, a Second each second, Marks
//
// # Closed and open
//
// In a closed loop each connection asks again when it has its answer. It finds
// out how much a server can do, and says little about waiting: when the server
// stalls, the clients stop asking, and one slow answer is all that is measured of
// that time (coordinated omission). In an open loop
// requests come at the times of a schedule, whatever the server does. A request
// that is due and finds no free connection waits, in a queue that is only an
// index into the schedule, and its latency counts from the time at which it was
// due. A Result has both counts: Corrected from when it should have been sent,
// Uncorrected from when it was. A closed loop has no schedule; its Corrected is
// made from the other, by HdrHistogram's method: an answer that took longer
// than a connection's mean cycle stands for those that would have followed in
// its time.
//
// # The window
//
// The warm-up comes before it and is not counted. The window holds the
// exchanges that began in it; those still under way at its end are waited for,
// each for its timeout, and counted in the last second.
//
// # Failures
//
// An exchange ends with the expected answer or in exactly one Class. A failed
// connect is a failed exchange. After a failure the connection is opened again;
// after one that is likely to repeat (nothing listens, no free port) only after a
// short pause. A server that closes an idle connection fails the next
// exchange of a closed loop, which was about to use it. In an open loop the
// connection is opened anew.
//
// # What it does not do
//
// It supports neither TLS nor HTTP/2, and follows no redirect. It runs on one
// machine. It does not judge a server. A Result has warnings about everything
// that makes its figures doubtful, first of all the generator itself.
package load
