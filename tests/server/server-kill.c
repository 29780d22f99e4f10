/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zcram-server is killed under load, and hands over under load to a successor that
 * waits for it; clients on two connections check that each request is answered once, and rightly,
 * and that every acknowledged write is in force.
 *
 * server-kill KILLS HANDOVERS [SEED]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "nbd/loop.h"
#include "tests/lib/check.h"
#include "tests/lib/rng.h"
#include "tests/nbd-loop/client.h"
#include "tests/nbd-loop/served.h"
#include "tests/server/keeper.h"

#define DATA	    (512u << 10)
#define DEVICE_PAGE 4096

/* Shared by this program and its clients. */
struct shared {
	struct client clients[KEEPER_CONNECTIONS];
	uint32_t finish; /* atomic: the clients are to come to an end */
};

struct run {
	struct keeper keeper;
	struct shared *shared;
	struct rng rng;
	pid_t clients[KEEPER_CONNECTIONS];
	uint64_t kills, handovers; /* still to be done */
};

static uint64_t kills_wanted, handovers_wanted, seed_wanted;

static const char *const start_arguments[] = {"size=2M", "reserve=256K", NULL};
static const char *const wait_arguments[] = {"--wait", "reserve=256K", NULL};

_Noreturn static void run_client(struct run *run, unsigned int number)
{
	struct client *c = &run->shared->clients[number];
	const uint32_t *finish = &run->shared->finish;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		close(run->keeper.connections[i].server);
	client_init(c, run->keeper.connections[number].client, rng_next(&run->rng) + number);
	c->base = (uint64_t)number * CLIENT_SIZE;
	c->end = (uint64_t)KEEPER_CONNECTIONS * CLIENT_SIZE;
	c->trim_unit = DEVICE_PAGE;
	while (!__atomic_load_n(finish, __ATOMIC_ACQUIRE) || !client_is_idle(c))
		client_turn(c, !__atomic_load_n(finish, __ATOMIC_ACQUIRE), 100);
	_exit(EXIT_SUCCESS);
}

static void start_clients(struct run *run)
{
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++) {
		run->clients[i] = fork();
		CHECK(run->clients[i] >= 0, "errno %d", errno);
		if (run->clients[i] == 0)
			run_client(run, i);
	}
}

/* Some servers are not given time to begin. */
static void pause_a_while(struct run *run)
{
	struct timespec time = {
		.tv_nsec =
			(long)rng_below(&run->rng, rng_chance(&run->rng, 20) ? 2000000 : 60000000),
	};

	nanosleep(&time, NULL);
}

static void check_clients(struct run *run)
{
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		CHECK(waitpid(run->clients[i], NULL, WNOHANG) == 0, "client %u has ended", i);
}

/* That a server is at work is to be seen by its answers. */
static uint64_t answered(const struct run *run)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		sum += __atomic_load_n(&run->shared->clients[i].answered, __ATOMIC_RELAXED);
	return sum;
}

static void await_answers(struct run *run, uint64_t more)
{
	uint64_t from = answered(run);
	struct timespec time = {.tv_nsec = 1000000};

	while (answered(run) < from + more) {
		check_clients(run);
		nanosleep(&time, NULL);
	}
}

static void fail_with_words(const struct keeper_server *server)
{
	char text[1024];

	keeper_said(server, text, sizeof(text));
	CHECK(false, "a server does not start: %s", text);
}

/* A successor that has done all it can without the pool. */
static struct keeper_server start_waiting(struct run *run)
{
	struct keeper_server next = keeper_start(&run->keeper, wait_arguments);

	if (!keeper_await_line(&next, "zcram-server: ready to take over"))
		fail_with_words(&next);
	return next;
}

static void await_service(struct run *run, const struct keeper_server *server)
{
	if (!keeper_await(&run->keeper, server))
		fail_with_words(server);
	await_answers(run, 20);
}

static void kill_one(struct run *run, struct keeper_server *server)
{
	bool at_once = rng_chance(&run->rng, 25), waiting = !at_once && rng_chance(&run->rng, 30);
	struct keeper_server next;
	int status;

	if (!at_once)
		await_service(run, server);
	if (waiting)
		next = start_waiting(run);
	pause_a_while(run);
	status = keeper_end(server, SIGKILL);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
	run->kills--;
	*server = waiting ? next : keeper_start(&run->keeper, start_arguments);
}

static void hand_over(struct run *run, struct keeper_server *server)
{
	struct json_object *result = NULL;
	struct keeper_server next;
	int r, status;

	await_service(run, server);
	next = start_waiting(run);
	pause_a_while(run);
	r = keeper_ask(&run->keeper, "handover", &result);
	CHECK(r == 0, "handover: %s", strerror(-r));
	json_object_put(result);
	status = keeper_end(server, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	run->handovers--;
	*server = next;
}

static uint64_t stat_of(const struct keeper *keeper, const char *name)
{
	struct json_object *result = NULL, *stats, *member;
	uint64_t value;
	int r = keeper_ask(keeper, "stat", &result);

	CHECK(r == 0, "stat: %s", strerror(-r));
	CHECK(json_object_object_get_ex(result, "stats", &stats) &&
		      json_object_object_get_ex(stats, name, &member),
	      "there is no %s", name);
	value = json_object_get_uint64(member);
	json_object_put(result);
	return value;
}

static void sum_stats(const struct run *run, struct nbd_loop_stats *ret_sum)
{
	*ret_sum = (struct nbd_loop_stats){0};
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++) {
		uint64_t made = run->shared->clients[i].made;
		struct nbd_loop_stats stats;

		nbd_loop_get_stats(run->keeper.connections[i].region, &stats);
		/* Each kill may have one counted twice. */
		CHECK(stats.requests >= made && stats.requests <= made + kills_wanted,
		      "%" PRIu64 " requests, not %" PRIu64, stats.requests, made);
		ret_sum->requests += stats.requests;
		ret_sum->repeated += stats.repeated;
		ret_sum->takeovers += stats.takeovers;
		if (stats.longest_gap_ns > ret_sum->longest_gap_ns)
			ret_sum->longest_gap_ns = stats.longest_gap_ns;
	}
}

/* Read all of a client's part, through a server that began after its last answer. */
static void check_content(struct run *run, unsigned int number)
{
	struct served served = {.client = run->keeper.connections[number].client};
	const struct client *c = &run->shared->clients[number];
	static uint8_t buf[CLIENT_MOST];

	/* The client has made it so, and this waits. */
	fcntl(served.client, F_SETFL, 0);
	for (uint32_t at = 0; at < CLIENT_SIZE; at += CLIENT_MOST) {
		uint32_t error =
			served_ask(&served, PROTO_READ, 0, c->base + at, CLIENT_MOST, NULL, buf);

		CHECK(error == 0, "error %u at %u", error, at);
		CHECK(memcmp(buf, c->bytes + at, CLIENT_MOST) == 0,
		      "client %u: what is at %u is not what was written", number, at);
	}
}

static void finish_clients(struct run *run)
{
	int status;

	__atomic_store_n(&run->shared->finish, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		CHECK(waitpid(run->clients[i], &status, 0) == run->clients[i] && status == 0,
		      "client %u: %#x", i, status);
}

/* One more is killed at rest; what the last one finds is all there ever was. */
static void finish(struct run *run, struct keeper_server *server)
{
	struct nbd_loop_stats sum;
	int status;

	if (!keeper_await(&run->keeper, server))
		fail_with_words(server);
	finish_clients(run);
	sum_stats(run, &sum);
	keeper_end(server, SIGKILL);
	*server = keeper_start(&run->keeper, start_arguments);
	if (!keeper_await(&run->keeper, server))
		fail_with_words(server);
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		check_content(run, i);
	CHECK(stat_of(&run->keeper, "pages_damaged") == 0, "there are damaged pages");
	printf("seed %" PRIu64 ": %" PRIu64 " killed, %" PRIu64 " handed over, %" PRIu64
	       " requests, %" PRIu64 " repeated, %" PRIu64 " taken over, longest gap %" PRIu64
	       " us\n",
	       seed_wanted, kills_wanted, handovers_wanted, sum.requests, sum.repeated,
	       sum.takeovers, sum.longest_gap_ns / 1000);
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++)
		client_disconnect(&run->shared->clients[i]);
	status = keeper_end(server, 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	CHECK(!keeper_has_segment(&run->keeper) && !keeper_has_semaphore(&run->keeper),
	      "something is left");
	keeper_fini(&run->keeper);
}

static int run_all(void)
{
	struct run run = {
		.rng = rng_make(seed_wanted),
		.kills = kills_wanted,
		.handovers = handovers_wanted,
	};
	struct keeper_server server;

	run.shared = mmap(NULL, sizeof(*run.shared), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(run.shared != MAP_FAILED, "errno %d", errno);
	keeper_init(&run.keeper, KEEPER_CONNECTIONS, DATA);
	server = keeper_start(&run.keeper, start_arguments);
	start_clients(&run);
	while (run.kills + run.handovers > 0) {
		if (rng_below(&run.rng, run.kills + run.handovers) < run.kills)
			kill_one(&run, &server);
		else
			hand_over(&run, &server);
		check_clients(&run);
	}
	finish(&run, &server);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: server-kill KILLS HANDOVERS [SEED]\n");
		return EXIT_FAILURE;
	}
	kills_wanted = strtoull(argv[1], NULL, 10);
	handovers_wanted = strtoull(argv[2], NULL, 10);
	seed_wanted = argc > 3 ? strtoull(argv[3], NULL, 10) : test_seed(0);
	return keeper_guard(run_all);
}
