/*
 * The control of mode forking: a process per connection, in its smallest form. The
 * parent accepts and forks; the child answers each read in upper case (a to z) until
 * the client closes. The parent waits for its
 * children on SIGCHLD, so that their CPU time is added to its own.
 *
 * Prints "listening 127.0.0.1:PORT" once it accepts. Build: cc -O2 -static.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER = 4096, BACKLOG = 4096 };

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

/* serve ends with the connection. */
static void serve(int fd)
{
	char buf[BUFFER];
	ssize_t n;
	while ((n = read(fd, buf, sizeof buf)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (buf[i] >= 'a' && buf[i] <= 'z')
				buf[i] -= 'a' - 'A';
		if (write(fd, buf, (size_t)n) != n)
			break;
	}
}

static void on_child(int number)
{
	int saved = errno;
	(void)number;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	errno = saved;
}

int main(void)
{
	int on = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	struct sigaction reap = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
	pid_t parent = getpid();
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(listener < 0, "socket");
	check(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0, "TCP_NODELAY");
	check(bind(listener, (struct sockaddr *)&a, size) < 0, "bind");
	check(listen(listener, BACKLOG) < 0, "listen");
	check(getsockname(listener, (struct sockaddr *)&a, &size) < 0, "getsockname");
	check(sigaction(SIGCHLD, &reap, NULL) < 0, "sigaction");
	signal(SIGPIPE, SIG_IGN);
	printf("listening 127.0.0.1:%d\n", ntohs(a.sin_port));
	fflush(stdout);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) {
			check(errno != EINTR && errno != ECONNABORTED, "accept4");
			continue;
		}
		pid_t pid = fork();
		check(pid < 0, "fork");
		if (pid == 0) {
			if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
				serve(fd);
			_exit(0);
		}
		close(fd);
	}
}
