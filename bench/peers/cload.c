/*
 * A second load generator. A server must cost the same with both; if it does not,
 * one of the generators is at fault.
 * One process, one thread, one level-triggered epoll set. It keeps an exchange
 * in flight on each connection and compares every reply byte by byte.
 *
 *   cload HOST PORT SOURCE persistent|connect CONNECTIONS BYTES WARMUP WINDOW_NS LIMIT
 *
 * Prints {"ready":true} after WARMUP exchanges, reads a line, runs the window on the
 * same connections, prints a report, and ends with its standard input. An exchange
 * that fails is {"error":"..."}. Build: cc -O2.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000, MAX_BYTES = 4096 };

struct conn {
	int fd, connecting;
	int64_t sent;
	long got;
	char line[MAX_BYTES], reply[MAX_BYTES], in[MAX_BYTES + 1];
};

static struct sockaddr_in target, source;
static int set, churn, connections;
static long bytes, number, begun, finished, limit;
static int64_t until, *laps;
static struct conn *conns;

static void fail(const char *what, const char *why)
{
	printf("{\"error\":\"%s: %s\"}\n", what, why);
	exit(0);
}

static void check(int failed, const char *what)
{
	if (failed)
		fail(what, strerror(errno));
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};
	check(epoll_ctl(set, op, c->fd, &ev) < 0, "epoll_ctl");
}

static void send_line(struct conn *c)
{
	c->got = 0;
	ssize_t n = send(c->fd, c->line, bytes, MSG_NOSIGNAL);
	check(n < 0, "send line");
	if (n != bytes)
		fail("send line", "it does not fit the socket");
}

static void dial(struct conn *c)
{
	int on = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	check(c->fd < 0, "socket");
	check(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0, "TCP_NODELAY");
	if (source.sin_addr.s_addr != INADDR_ANY) {
		check(setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0, "IP_BIND_ADDRESS_NO_PORT");
		check(bind(c->fd, (struct sockaddr *)&source, sizeof source) < 0, "bind");
	}
	c->connecting = 1;
	if (connect(c->fd, (struct sockaddr *)&target, sizeof target) < 0)
		check(errno != EINPROGRESS, "connect");
	watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void begin(struct conn *c)
{
	int n = snprintf(c->line, sizeof c->line, "line-%020ld-", ++number);
	for (long i = n; i < bytes - 1; i++)
		c->line[i] = 'a' + i % 26;
	c->line[bytes - 1] = '\n';
	for (long i = 0; i < bytes; i++)
		c->reply[i] = c->line[i] >= 'a' && c->line[i] <= 'z' ? c->line[i] - 32 : c->line[i];
	begun++;
	c->sent = now();
	if (c->fd < 0)
		dial(c);
	else
		send_line(c);
}

static void receive(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->got, bytes + 1 - c->got, 0);
	if (n < 0 && errno == EAGAIN)
		return;
	check(n < 0, "read reply");
	if (n == 0)
		fail("short reply", "the server closed");
	c->got += n;
	if (c->got > bytes)
		fail("long reply", "there is more than the line");
	if (memcmp(c->in, c->reply, c->got) != 0)
		fail("wrong reply", "it is not the line in upper case");
	if (c->got < bytes)
		return;
	laps[finished++] = now() - c->sent;
	if (churn) {
		close(c->fd);
		c->fd = -1;
	}
	if (begun < limit && now() < until)
		begin(c);
}

static void event(struct conn *c)
{
	if (!c->connecting) {
		receive(c);
		return;
	}
	int error = 0;
	socklen_t size = sizeof error;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error)
		fail("connect", strerror(error));
	c->connecting = 0;
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
	send_line(c);
}

static void run(int64_t window, long most)
{
	struct epoll_event events[256];
	until = now() + window;
	limit = most;
	begun = finished = 0;
	for (int i = 0; i < connections && begun < limit; i++)
		begin(&conns[i]);
	while (finished < begun) {
		int n = epoll_wait(set, events, 256, PATIENCE_MS);
		check(n < 0 && errno != EINTR, "epoll_wait");
		if (n == 0)
			fail("no reply", "the time is over");
		for (int i = 0; i < n; i++)
			event(events[i].data.ptr);
	}
}

static int64_t used(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000000) + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * INT64_C(1000);
}

static int order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	char word[64];
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 10)
		fail("cload", "want nine arguments");
	target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	source = (struct sockaddr_in){.sin_family = AF_INET};
	if (inet_pton(AF_INET, argv[1], &target.sin_addr) != 1 || inet_pton(AF_INET, argv[3], &source.sin_addr) != 1)
		fail("cload", "want IPv4 addresses");
	churn = strcmp(argv[4], "connect") == 0;
	connections = atoi(argv[5]);
	bytes = atol(argv[6]);
	long warmup = atol(argv[7]), most = atol(argv[9]);
	int64_t window = atoll(argv[8]);
	if (connections < 1 || bytes < 32 || bytes > MAX_BYTES || most < 1 || warmup < 0)
		fail("cload", "an argument is out of range");
	conns = calloc(connections, sizeof *conns);
	laps = calloc((most > warmup ? most : warmup) + 1, sizeof *laps);
	set = epoll_create1(EPOLL_CLOEXEC);
	check(!conns || !laps || set < 0, "start");
	for (int i = 0; i < connections; i++)
		conns[i].fd = -1;
	if (warmup > 0)
		run(INT64_C(10000000000), warmup);
	printf("{\"ready\":true}\n");
	if (!fgets(word, sizeof word, stdin))
		return 0;
	int64_t cpu = used(), start = now();
	run(window, most);
	int64_t elapsed = now() - start;
	qsort(laps, finished, sizeof *laps, order);
	printf("{\"report\":{\"exchanges\":%ld,\"elapsed\":%lld,\"p50\":%lld,\"p99\":%lld,\"cpu\":%lld}}\n", finished, (long long)elapsed,
	       (long long)laps[finished / 2], (long long)laps[finished * 99 / 100], (long long)(used() - cpu));
	while (fgets(word, sizeof word, stdin))
		;
	return 0;
}
