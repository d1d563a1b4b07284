/*
 * The control again, on io_uring: one process, one thread, one ring. Accept and
 * receive are multishot, the received bytes lie in a ring of buffers that all
 * connections share, and they are sent from there in upper case (a to z).
 *
 * Prints "listening 127.0.0.1:PORT" once it accepts. Build: cc -O2 -luring; it needs
 * Linux 6.1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENTRIES = 4096, BUFFERS = 2048, BUFFER = 16 << 10, BACKLOG = 4096, FILES = 20000, GROUP = 0, NONE = -1 };
enum { ACCEPT, RECEIVE, SEND };

/* conn is a connection, by its descriptor. Its buffers are sent one after the other. */
struct conn {
	int first, last; /* buffers that wait for their turn, the one in flight first */
	int ended;
};

static struct io_uring ring;
static struct io_uring_buf_ring *pool;
static struct conn conns[FILES];
static char *memory;
static int next[BUFFERS], length[BUFFERS];

static void check(int error, const char *what)
{
	if (error < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-error));
		exit(1);
	}
}

static struct io_uring_sqe *entry(int operation, int fd)
{
	struct io_uring_sqe *e = io_uring_get_sqe(&ring);
	if (!e) {
		check(io_uring_submit(&ring), "submit");
		e = io_uring_get_sqe(&ring);
		check(e ? 0 : -ENOMEM, "get entry");
	}
	io_uring_sqe_set_data64(e, (uint64_t)fd << 8 | operation);
	return e;
}

static void accept_more(int listener)
{
	struct io_uring_sqe *e = entry(ACCEPT, listener);
	uint64_t data = e->user_data;
	io_uring_prep_multishot_accept(e, listener, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(e, data);
}

static void receive(int fd)
{
	struct io_uring_sqe *e = entry(RECEIVE, fd);
	uint64_t data = e->user_data;
	io_uring_prep_recv_multishot(e, fd, NULL, 0, 0);
	e->flags |= IOSQE_BUFFER_SELECT;
	e->buf_group = GROUP;
	io_uring_sqe_set_data64(e, data);
}

static void send_first(int fd)
{
	int id = conns[fd].first;
	struct io_uring_sqe *e = entry(SEND, fd);
	uint64_t data = e->user_data;
	io_uring_prep_send(e, fd, memory + (size_t)id * BUFFER, length[id], MSG_NOSIGNAL | MSG_WAITALL);
	io_uring_sqe_set_data64(e, data);
}

static void give_back(int id)
{
	io_uring_buf_ring_add(pool, memory + (size_t)id * BUFFER, BUFFER, id, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(pool, 1);
}

static void accepted(struct io_uring_cqe *c, int listener)
{
	if (c->res >= FILES)
		close(c->res);
	else if (c->res >= 0) {
		conns[c->res] = (struct conn){.first = NONE, .last = NONE};
		receive(c->res);
	}
	if (!(c->flags & IORING_CQE_F_MORE))
		accept_more(listener);
}

static void received(struct io_uring_cqe *c, int fd)
{
	struct conn *k = &conns[fd];
	if (c->res > 0) {
		int id = c->flags >> IORING_CQE_BUFFER_SHIFT;
		char *p = memory + (size_t)id * BUFFER;
		for (int i = 0; i < c->res; i++)
			if (p[i] >= 'a' && p[i] <= 'z')
				p[i] -= 'a' - 'A';
		next[id] = NONE;
		length[id] = c->res;
		if (k->first == NONE) {
			k->first = k->last = id;
			send_first(fd);
		} else {
			next[k->last] = id;
			k->last = id;
		}
	}
	if (c->flags & IORING_CQE_F_MORE)
		return;
	if (c->res > 0 || c->res == -ENOBUFS || c->res == -EINTR)
		receive(fd);
	else if (k->first == NONE)
		close(fd);
	else
		k->ended = 1;
}

static void sent(struct io_uring_cqe *c, int fd)
{
	struct conn *k = &conns[fd];
	int id = k->first;
	if (c->res != length[id])
		shutdown(fd, SHUT_RDWR);
	k->first = next[id];
	give_back(id);
	if (k->first != NONE)
		send_first(fd);
	else if (k->ended)
		close(fd);
}

static int listening(void)
{
	int on = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 || bind(fd, (struct sockaddr *)&a, size) < 0 ||
	    listen(fd, BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&a, &size) < 0)
		check(-errno, "listen");
	printf("listening 127.0.0.1:%d\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

static void start(void)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 4 * ENTRIES};
	check(io_uring_queue_init_params(ENTRIES, &ring, &p), "io_uring_setup");
	void *mapped = NULL;
	check(-posix_memalign(&mapped, 4096, BUFFERS * sizeof(struct io_uring_buf)), "memory");
	memory = malloc((size_t)BUFFERS * BUFFER);
	check(memory ? 0 : -ENOMEM, "memory");
	struct io_uring_buf_reg r = {.ring_addr = (uintptr_t)mapped, .ring_entries = BUFFERS, .bgid = GROUP};
	check(io_uring_register_buf_ring(&ring, &r, 0), "register buffers");
	pool = mapped;
	io_uring_buf_ring_init(pool);
	for (int i = 0; i < BUFFERS; i++)
		give_back(i);
}

int main(void)
{
	struct io_uring_cqe *done[256];
	signal(SIGPIPE, SIG_IGN);
	start();
	int listener = listening();
	accept_more(listener);
	for (;;) {
		int error = io_uring_submit_and_wait(&ring, 1);
		check(error == -EINTR || error == -EBUSY ? 0 : error, "wait");
		unsigned n = io_uring_peek_batch_cqe(&ring, done, 256);
		for (unsigned i = 0; i < n; i++) {
			int fd = done[i]->user_data >> 8;
			switch (done[i]->user_data & 0xff) {
			case ACCEPT:
				accepted(done[i], fd);
				break;
			case RECEIVE:
				received(done[i], fd);
				break;
			default:
				sent(done[i], fd);
			}
		}
		io_uring_cq_advance(&ring, n);
	}
}
