/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram-server: one device, served to the kernel's nbd client on connections that another process,
 * the keeper, has prepared and holds too.
 *
 * A SIGKILL at any instant leaves the pool, the regions and the rings as a successor can go on from:
 * each of these says so of itself. Here that means an order: nothing is answered before the pool has
 * been recovered, and the pool is given up after the last loop has stopped.
 *
 * The main thread waits for signals, for the control socket's word and for the loops to end.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/threads.h"
#include "serve/say.h"
#include "serve/serve.h"
#include "serve/stats.h"
#include "server/link.h"
#include "server/options.h"

/* For a server that is dead, and has given the pool up, to have closed its control socket too. */
#define CONTROL_WAIT_MS 10000

struct server {
	struct serve serve;
	struct options options;
	struct link links[OPTIONS_CONNECTIONS_MAX];
	unsigned int nr_links; /* that have been mapped: the first ones */
	int signals;	       /* signalfd */
	bool ran;	       /* requests may have been served */
	int changed;	       /* eventfd: a loop has ended, or a handover is asked for */
	uint32_t handover;     /* atomic: it is asked for */
	struct control_succession succession;
};

/* What is said: one line, in one piece. */

static void print_line(const char *line)
{
	dprintf(STDERR_FILENO, "zcram-server: %s\n", line);
}

static void print_nothing(const char *line)
{
}

static const struct say say = {.error = print_line, .debug = print_nothing};

/* The control socket's part. */

static int begin_handover(void *opaque, const char **ret_why)
{
	struct server *s = opaque;

	if (s->serve.params.pool == NULL) {
		*ret_why = "there is no pool that another server could go on with";
		return -EOPNOTSUPP;
	}
	__atomic_store_n(&s->handover, 1, __ATOMIC_RELEASE);
	eventfd_write(s->changed, 1);
	return 0;
}

/* Where no security module asks, there is nothing to be allowed. */
static int allow(void *opaque, pid_t pid)
{
	if (prctl(PR_SET_PTRACER, (unsigned long)pid, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	return 0;
}

static int new_control(struct server *s)
{
	struct control_server_options options = {
		.wait = s->options.wait ? CONTROL_WAIT_MS : 0,
		.succession = &s->succession,
	};

	s->succession = (struct control_succession){
		.connections = s->options.connections,
		.nr_connections = s->options.nr_connections,
		.begin = begin_handover,
		.allow = allow,
		.opaque = s,
	};
	return serve_new_control(&s->serve, &options);
}

/* Beginning. */

static int map_links(struct server *s)
{
	for (unsigned int i = 0; i < s->options.nr_connections; i++) {
		s->nr_links++;
		if (link_map(&s->links[i], &s->options.connections[i]) < 0)
			return -1;
	}
	return 0;
}

/* First all that can be done while another server is still at work. */
static int claim(struct server *s)
{
	unsigned int threads = s->nr_links * link_threads(s->options.threads);

	if (!s->options.wait)
		return pool_claim(&s->serve.params, 0);
	if (serve_expect(&s->serve, threads) < 0)
		return -1;
	puts("zcram-server: ready to take over");
	fflush(stdout);
	return pool_claim(&s->serve.params, INT_MAX);
}

/* From here on these end the server in order. Threads inherit the mask. */
static int catch_signals(struct server *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC);
	s->changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->signals >= 0 && s->changed >= 0)
		return 0;
	say_error("signals cannot be waited for: %s", strerror(errno));
	return -1;
}

/* Whoever was served before must not be told zeros. */
static int check_history(struct server *s)
{
	struct device_recovery recovery;

	device_get_recovery(s->serve.device, &recovery);
	for (unsigned int i = 0; i < s->nr_links && !recovery.recovered; i++) {
		if (!link_was_served(&s->links[i]))
			continue;
		if (s->serve.params.pool != NULL)
			say_error("pool=%s: the content of a connection that has been served is "
				  "gone: begin a new connection",
				  s->serve.params.pool);
		else
			say_error("pool: missing: a connection that has been served can only be "
				  "gone on with from the pool that it was served from");
		return -1;
	}
	return 0;
}

/* Have loops. A connection that cannot be gone on with does not keep the others from it. */
static int open_links(struct server *s)
{
	unsigned int open = 0;

	for (unsigned int i = 0; i < s->nr_links; i++) {
		switch (link_open(&s->links[i], s->serve.device, s->options.threads, s->changed)) {
		case LINK_OPEN:
			open++;
			break;
		case LINK_REFUSED:
			break;
		default:
			return -1;
		}
	}
	if (open == 0)
		return -1;
	for (unsigned int i = 0; i < s->nr_links; i++)
		if (s->links[i].loop == NULL)
			link_shut_down(&s->links[i]);
	return 0;
}

/* Whoever waits for the file finds all at work. */
static int write_pidfile(const char *path)
{
	int fd, r;

	if (path == NULL)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : 0;
	if (r == 0 && dprintf(fd, "%d\n", (int)getpid()) < 0)
		r = -errno;
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = -errno;
	if (r < 0)
		say_error("--pidfile=%s: it cannot be written: %s", path, strerror(-r));
	return r;
}

static int run_links(struct server *s)
{
	s->ran = true;
	for (unsigned int i = 0; i < s->nr_links; i++)
		if (s->links[i].loop != NULL && link_run(&s->links[i]) < 0)
			return -1;
	return 0;
}

static int begin(struct server *s)
{
	/* First of all: what is mapped from now on is locked, and threads inherit the mark. */
	if (serve_lock(&s->serve) < 0 || map_links(s) < 0 || claim(s) < 0 || catch_signals(s) < 0)
		return -1;
	/* Who takes over finds a pool, or there is nothing to take over. */
	if (serve_open(&s->serve, !s->options.wait) < 0 || check_history(s) < 0)
		return -1;
	if (serve_start(&s->serve) < 0 || open_links(s) < 0 || run_links(s) < 0)
		return -1;
	threads_dismiss();
	/* Requests are answered by now. Whoever else asks can wait, also for our predecessor's socket. */
	if (new_control(s) < 0 || serve_answer(&s->serve) < 0)
		return -1;
	return write_pidfile(s->options.pidfile);
}

/* Serving, and the end of it. */

/* How it is to end when nobody asks: all connections have. False: not all. */
static bool all_ended(struct server *s, enum pool_end *ret_end)
{
	bool broken = false;

	for (unsigned int i = 0; i < s->nr_links; i++) {
		enum link_state state = LINK_BROKEN;

		if (s->links[i].loop != NULL)
			state = link_reap(&s->links[i], false);
		if (state == LINK_RUNNING)
			return false;
		broken |= state == LINK_BROKEN;
	}
	/* The client did not say that it wants no more: it may come again. */
	*ret_end = broken ? POOL_LEFT : POOL_STOPPED;
	return true;
}

static enum pool_end serve_until_end(struct server *s)
{
	struct pollfd fds[] = {
		{.fd = s->signals, .events = POLLIN},
		{.fd = s->changed, .events = POLLIN},
	};
	enum pool_end end;
	eventfd_t count;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue; /* EINTR: SIGUSR1 */
		if (fds[0].revents != 0)
			return POOL_STOPPED;
		if (fds[1].revents != 0)
			eventfd_read(s->changed, &count);
		if (__atomic_load_n(&s->handover, __ATOMIC_ACQUIRE))
			return POOL_LEFT;
		if (all_ended(s, &end))
			return end;
	}
}

/* All at once, for each waits for its workers. Returns whether one is broken. */
static bool stop_links(struct server *s)
{
	bool broken = false;

	for (unsigned int i = 0; i < s->nr_links; i++)
		link_stop(&s->links[i]);
	for (unsigned int i = 0; i < s->nr_links; i++)
		broken |= s->links[i].loop == NULL || link_reap(&s->links[i], true) == LINK_BROKEN;
	return broken;
}

static void close_links(struct server *s)
{
	for (unsigned int i = 0; i < s->nr_links; i++)
		link_close(&s->links[i]);
}

static int finish(struct server *s, enum pool_end end)
{
	bool broken, lost = pool_is_lost(&s->serve.params, end);

	/* These may wait for a compaction, and for a dictionary: requests go on meanwhile. */
	if (s->serve.control != NULL)
		control_server_stop(s->serve.control);
	device_stop_background(s->serve.device);
	broken = stop_links(s);
	/* A client that is not told waits for ever. */
	for (unsigned int i = 0; i < s->nr_links && lost; i++)
		link_shut_down(&s->links[i]);
	serve_stop(&s->serve);
	/* Who waits for the pool need not wait for the rest. */
	serve_close(&s->serve, end);
	close_links(s);
	return broken && end == POOL_LEFT && !s->handover ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int give_up(struct server *s)
{
	bool lost = s->ran && pool_is_lost(&s->serve.params, POOL_FAILED);

	stop_links(s);
	/* What has been served from is gone. */
	for (unsigned int i = 0; i < s->nr_links && lost; i++)
		if (link_was_served(&s->links[i]))
			link_shut_down(&s->links[i]);
	close_links(s);
	serve_give_up(&s->serve);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static struct server server = {.serve.version = ZCRAM_VERSION};

	say_through(&say);
	signal(SIGPIPE, SIG_IGN);
	switch (options_parse(argc, argv, &server.options, &server.serve.params)) {
	case OPTIONS_DONE:
		return EXIT_SUCCESS;
	case OPTIONS_WRONG:
		return EXIT_FAILURE;
	default:
		break;
	}
	stats_catch_signal();
	if (begin(&server) < 0)
		return give_up(&server);
	return finish(&server, serve_until_end(&server));
}
