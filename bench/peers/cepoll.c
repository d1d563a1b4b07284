/*
 * The control of every round: what the kernel charges for the exchange when the
 * server does next to nothing. One process, one thread, one level-triggered
 * epoll set. Each read is changed to upper case (a to z) and written back;
 * there is no line buffer and no state per connection.
 *
 * A reply that the socket does not take whole closes the connection: the load
 * has one short line in flight per connection, so that never happens.
 *
 * Prints "listening 127.0.0.1:PORT" once it accepts. Build: cc -O2.
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
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER = 4096, BACKLOG = 4096, ACCEPTS = 16 };

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

static int listening(void)
{
	int on = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	check(fd < 0, "socket");
	check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0, "TCP_NODELAY");
	check(bind(fd, (struct sockaddr *)&a, size) < 0, "bind");
	check(listen(fd, BACKLOG) < 0, "listen");
	check(getsockname(fd, (struct sockaddr *)&a, &size) < 0, "getsockname");
	printf("listening 127.0.0.1:%d\n", ntohs(a.sin_port));
	fflush(stdout);
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

int main(void)
{
	static struct epoll_event events[EVENTS];
	int set = epoll_create1(EPOLL_CLOEXEC), listener = listening();

	check(set < 0, "epoll_create1");
	signal(SIGPIPE, SIG_IGN);
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
