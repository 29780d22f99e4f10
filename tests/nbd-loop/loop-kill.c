/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: servers are killed at random moments, or hand over as they are asked to, and each
 * has a successor on the same region, ring and socket; a client whose requests never stop checks
 * that each is answered once, and rightly, and that what was written can be read.
 *
 * loop-kill [KILLS [SEED]]
 * loop-kill --step [KILLS [SEED]]: after a number of single instructions instead, which are counted by
 * ptrace(2), so that no moment is too short to be hit
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/util.h"
#include "nbd/region.h"
#include "tests/lib/check.h"
#include "tests/lib/rng.h"
#include "tests/nbd-loop/client.h"
#include "tests/nbd-loop/disk.h"
#include "tests/nbd-loop/served.h"

#define DATA (512u << 10)

/* Shared by the keeper, which is this program, the client and all servers. */
struct shared {
	uint8_t disk[CLIENT_SIZE];
	struct client client;
	uint32_t finish; /* the client is to come to an end */
};

struct keeper {
	struct shared *shared;
	void *region;
	size_t region_size;
	int ring, server_socket, client_socket;
	struct rng rng;
	pid_t client;
	uint64_t kills, handovers, steps;
	bool step;
};

static struct nbd_loop *served;

static void *map_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED, "errno %d", errno);
	return p;
}

static void on_term(int signal)
{
	nbd_loop_stop(served);
}

static void be_stepped(void)
{
	CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "errno %d", errno);
	raise(SIGSTOP);
}

/* Each server has other habits, drawn from the same numbers. */
_Noreturn static void serve(struct keeper *k)
{
	struct disk disk = {
		.bytes = k->shared->disk,
		.size = CLIENT_SIZE,
		.delay_us = (unsigned int)rng_below(&k->rng, 3) * 60,
	};
	struct nbd_loop_options options = {
		.region = k->region,
		.region_size = k->region_size,
		.ring = k->ring,
		.socket = k->server_socket,
		.size = CLIENT_SIZE,
		.ops = &disk_ops,
		.opaque = &disk,
		.workers = (unsigned int)rng_between(&k->rng, 1, 4),
		.inline_read = rng_chance(&k->rng, 50) ? 4096 : 0,
		.inline_write = rng_chance(&k->rng, 25) ? 65536 : 0,
	};
	bool recovers = rng_chance(&k->rng, 20);
	sigset_t term;
	const char *why;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (k->step) {
		/* All that can be is done by the thread whose steps are counted. */
		disk.delay_us = 0;
		options.inline_read = options.inline_write = CLIENT_MOST;
	}
	/* From its very beginning, or from when it serves. */
	if (k->step && recovers)
		be_stepped();
	r = nbd_loop_new(&options, &served, &why);
	if (k->step && !recovers)
		be_stepped();
	CHECK(r == 0, "a server cannot go on: %s: %s", strerror(-r), why ? why : "");
	signal(SIGTERM, on_term);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	r = nbd_loop_run(served);
	CHECK(r >= 0, "a server cannot go on: %s", strerror(-r));
	nbd_loop_free(served);
	_exit(r == NBD_LOOP_CLOSED ? 2 : 3);
}

/* Killed, or stopped by the signal, and gone. Returns its status. */
static int end_server(pid_t pid, int signal)
{
	int status;

	kill(pid, signal);
	CHECK(waitpid(pid, &status, 0) == pid, "errno %d", errno);
	return status;
}

static pid_t start_server(struct keeper *k)
{
	pid_t pid = fork();

	CHECK(pid >= 0, "errno %d", errno);
	if (pid == 0)
		serve(k);
	return pid;
}

/* Have it make so many steps, some of which are system calls. */
static void step_server(struct keeper *k, pid_t pid, uint64_t steps)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "status %#x", status);
	for (uint64_t i = 0; i < steps; i++) {
		CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0, "errno %d", errno);
		CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "status %#x", status);
	}
	k->steps += steps;
}

static void check_client(struct keeper *k)
{
	CHECK(waitpid(k->client, NULL, WNOHANG) == 0, "the client has ended");
}

/*
 * Let it answer some requests, and a moment more, in which there is no telling what it does. Some are
 * not given time to begin.
 */
static void let_serve(struct keeper *k, pid_t pid)
{
	uint64_t more = rng_below(&k->rng, rng_chance(&k->rng, 30) ? 2 : 200);
	struct timespec moment = {.tv_nsec = (long)rng_below(&k->rng, 400000)};
	struct timespec tick = {.tv_nsec = 20000};
	uint64_t until = load_relaxed(&k->shared->client.answered) + more;

	while (load_relaxed(&k->shared->client.answered) < until) {
		check_client(k);
		CHECK(waitpid(pid, NULL, WNOHANG) == 0, "a server has ended by itself");
		nanosleep(&tick, NULL);
	}
	nanosleep(&moment, NULL);
}

static void one_server(struct keeper *k)
{
	bool handover = !k->step && rng_chance(&k->rng, 25);
	const char *why = NULL;
	pid_t pid = start_server(k);
	int status;

	if (k->step)
		step_server(k, pid, rng_below(&k->rng, rng_chance(&k->rng, 90) ? 4000 : 20000));
	else
		let_serve(k, pid);
	status = end_server(pid, handover ? SIGTERM : SIGKILL);
	if (handover)
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3, "status %#x", status);
	else
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
	k->kills += !handover;
	k->handovers += handover;
	CHECK(region_validate(k->region, k->region_size, &why) == 0, "%s", why);
	check_client(k);
	/* The next one's habits. */
	rng_next(&k->rng);
}

_Noreturn static void run_client(struct keeper *k, uint64_t seed)
{
	struct client *c = &k->shared->client;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(k->server_socket);
	client_init(c, k->client_socket, seed);
	/* A copy has as many steps as bytes, perhaps. */
	if (k->step)
		c->pages_most = 2;
	while (!__atomic_load_n(&k->shared->finish, __ATOMIC_ACQUIRE) || !client_is_idle(c))
		client_turn(c, !__atomic_load_n(&k->shared->finish, __ATOMIC_ACQUIRE), 100);
	client_disconnect(c);
	_exit(EXIT_SUCCESS);
}

static void prepare(struct keeper *k, uint64_t seed)
{
	sigset_t term;
	int sockets[2], r;

	/* A server that is asked to stop before it can be is asked as soon as it can. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	k->rng = rng_make(seed);
	k->shared = map_shared(sizeof(*k->shared));
	k->region_size = nbd_loop_region_size(DATA);
	k->region = map_shared(k->region_size);
	r = nbd_loop_prepare(k->region, k->region_size, &k->ring);
	CHECK(r == 0, "%s", strerror(-r));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "errno %d", errno);
	k->server_socket = sockets[0];
	k->client_socket = sockets[1];
	k->client = fork();
	CHECK(k->client >= 0, "errno %d", errno);
	if (k->client == 0)
		run_client(k, seed);
	close(k->client_socket);
}

/* The last one serves until the client has all its answers. */
static void finish(struct keeper *k)
{
	pid_t pid;
	int status;

	k->step = false;
	pid = start_server(k);
	__atomic_store_n(&k->shared->finish, 1, __ATOMIC_RELEASE);
	CHECK(waitpid(k->client, &status, 0) == k->client && status == 0, "client: %#x", status);
	CHECK(waitpid(pid, &status, 0) == pid, "errno %d", errno);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 2, "status %#x", status);
	CHECK(memcmp(k->shared->disk, k->shared->client.bytes, CLIENT_SIZE) == 0,
	      "the disk is not what was written");
}

int main(int argc, char **argv)
{
	struct keeper k = {.step = argc > 1 && strcmp(argv[1], "--step") == 0};
	int first = 1 + k.step;
	struct nbd_loop_stats stats;
	uint64_t servers = argc > first ? strtoull(argv[first], NULL, 10) : 200;
	uint64_t seed = argc > first + 1 ? strtoull(argv[first + 1], NULL, 10) : test_seed(0);

	served_need_ring();
	prepare(&k, seed);
	for (uint64_t i = 0; i < servers; i++)
		one_server(&k);
	finish(&k);
	nbd_loop_get_stats(k.region, &stats);
	/* One that a server was killed over while it counted it is counted again. */
	CHECK(stats.requests >= k.shared->client.made &&
		      stats.requests <= k.shared->client.made + k.kills,
	      "%" PRIu64 " requests, not %" PRIu64, stats.requests, k.shared->client.made);
	printf("seed %" PRIu64 ": %" PRIu64 " killed, %" PRIu64 " handed over, %" PRIu64
	       " requests, %" PRIu64 " repeated, %" PRIu64 " steps, longest gap %" PRIu64 " us\n",
	       seed, k.kills, k.handovers, stats.requests, stats.repeated, k.steps,
	       stats.longest_gap_ns / 1000);
	return EXIT_SUCCESS;
}
