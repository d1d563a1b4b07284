/*
 * The control of every round: what the kernel charges for the exchange when the
 * server does next to nothing. Each process has one thread and one level-triggered
 * epoll set. Each read is changed to upper case (a to z) and written back; there is
 * no line buffer and no state per connection.
 *
 *   cepoll [PROCESSES]
 *
 * With more than one process each has a listener of its own (SO_REUSEPORT), so the
 * kernel spreads the connections by a hash of their addresses. On one shared listener
 * the same process would be woken again and again. The first process is the parent of
 * the others, and they die with it.
 *
 * A reply that the socket does not take whole closes the connection: the load has
 * little in flight per connection, so that never happens.
 *
 * Prints "listening 127.0.0.1:PORT" once all accept. Build: cc -O2.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 64 << 10, BACKLOG = 4096, ACCEPTS = 16, PROCESSES = 64 };

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

static void watch(int set, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
	check(epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) < 0, "epoll_ctl");
}

/* listening returns a listener on the port, which it sets if it is 0. */
static int listening(in_port_t *port, int shared)
{
	int on = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = *port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	check(fd < 0, "socket");
	check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0, "TCP_NODELAY");
	check(shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0, "SO_REUSEPORT");
	check(bind(fd, (struct sockaddr *)&a, size) < 0, "bind");
	check(listen(fd, BACKLOG) < 0, "listen");
	check(getsockname(fd, (struct sockaddr *)&a, &size) < 0, "getsockname");
	*port = a.sin_port;
	return fd;
}

static void accept_some(int set, int listener)
{
	for (int i = 0; i < ACCEPTS; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			check(errno != EAGAIN && errno != ECONNABORTED && errno != EINTR, "accept4");
			return;
		}
		watch(set, fd);
	}
}

static void serve(int fd)
{
	static char buf[BUFFER];
	ssize_t n = read(fd, buf, sizeof buf);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] >= 'a' && buf[i] <= 'z')
			buf[i] -= 'a' - 'A';
	if (n <= 0 || write(fd, buf, (size_t)n) != n)
		close(fd);
}

static _Noreturn void work(int listener)
{
	static struct epoll_event events[EVENTS];
	int set = epoll_create1(EPOLL_CLOEXEC);

	check(set < 0, "epoll_create1");
	watch(set, listener);
	for (;;) {
		int n = epoll_wait(set, events, EVENTS, -1);
		check(n < 0 && errno != EINTR, "epoll_wait");
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				accept_some(set, listener);
			else
				serve(events[i].data.fd);
		}
	}
}

int main(int argc, char **argv)
{
	in_port_t port = 0;
	int processes = argc > 1 ? atoi(argv[1]) : 1, ready[2];
	char byte = 0;

	if (processes < 1 || processes > PROCESSES) {
		fprintf(stderr, "usage: cepoll [PROCESSES]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	int listener = listening(&port, processes > 1);
	check(pipe(ready) < 0, "pipe");
	for (int i = 1; i < processes; i++) {
		pid_t parent = getpid(), pid = fork();
		check(pid < 0, "fork");
		if (pid > 0)
			continue;
		check(prctl(PR_SET_PDEATHSIG, SIGKILL) < 0, "prctl");
		if (getppid() != parent)
			return 1;
		close(listener);
		listener = listening(&port, 1);
		check(write(ready[1], &byte, 1) != 1, "write");
		work(listener);
	}
	close(ready[1]);
	for (int i = 1; i < processes; i++)
		check(read(ready[0], &byte, 1) != 1, "a process that did not start");
	printf("listening 127.0.0.1:%d\n", ntohs(port));
	fflush(stdout);
	work(listener);
}
