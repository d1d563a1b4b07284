// Package forkexec starts a process whose first instruction is already safe from
// the signals that are sent to all processes of a server.
//
// A Go program cannot protect itself: until its runtime has installed handlers
// each of these signals has its default action, and until the program calls
// signal.Notify the runtime's handlers end it for SIGHUP, SIGINT and SIGTERM. A
// signal mask does not help, because the runtime unblocks these before it has
// installed anything. An ignored signal stays ignored across exec: for good in
// the case of SIGHUP and SIGINT, which the runtime respects until
// signal.Notify, and of SIGTTIN and SIGTTOU, which it leaves alone; until the
// runtime has started in the case of SIGQUIT, SIGUSR1, SIGUSR2 and SIGALRM.
// Nothing helps against SIGTERM.
//
// syscall.ForkExec cannot make a child ignore a signal. If the parent ignored it
// for that moment, it could miss a signal of its own. So the child does it, between
// clone and exec. Architectures without assembly in this package use
// syscall.ForkExec, without the protection.
package forkexec
