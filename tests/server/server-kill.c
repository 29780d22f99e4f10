/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zcram-server is killed under load, and hands over under load to a successor that
 * waits for it; clients on two connections check that each request is answered once, and rightly,
 * and that every acknowledged write is in force.
 *
 * server-kill KILLS HANDOVERS [SEED]
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "nbd/loop.h"
#include "tests/lib/check.h"
#include "tests/lib/rng.h"
#include "tests/server/keeper.h"
#include "tests/server/load.h"

#define DATA (512u << 10)

struct run {
	struct keeper keeper;
	struct load load;
	struct rng rng;
	uint64_t kills, handovers; /* still to be done */
};

static uint64_t kills_wanted, handovers_wanted, seed_wanted;

static const char *const start_arguments[] = {"size=2M", "reserve=256K", NULL};
static const char *const wait_arguments[] = {"--wait", "reserve=256K", NULL};

/* Some servers are not given time to begin. */
static void pause_a_while(struct run *run)
{
	struct timespec time = {
		.tv_nsec =
			(long)rng_below(&run->rng, rng_chance(&run->rng, 20) ? 2000000 : 60000000),
	};

	nanosleep(&time, NULL);
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
	load_await(&run->load, 20);
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
		uint64_t made = run->load.shared->clients[i].made;
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

/* One more is killed at rest; what the last one finds is all there ever was. */
static void finish(struct run *run, struct keeper_server *server)
{
	struct nbd_loop_stats sum;
	int status;

	if (!keeper_await(&run->keeper, server))
		fail_with_words(server);
	load_finish(&run->load);
	sum_stats(run, &sum);
	keeper_end(server, SIGKILL);
	*server = keeper_start(&run->keeper, start_arguments);
	if (!keeper_await(&run->keeper, server))
		fail_with_words(server);
	load_check_content(&run->load);
	CHECK(stat_of(&run->keeper, "pages_damaged") == 0, "there are damaged pages");
	printf("seed %" PRIu64 ": %" PRIu64 " killed, %" PRIu64 " handed over, %" PRIu64
	       " requests, %" PRIu64 " repeated, %" PRIu64 " taken over, longest gap %" PRIu64
	       " us\n",
	       seed_wanted, kills_wanted, handovers_wanted, sum.requests, sum.repeated,
	       sum.takeovers, sum.longest_gap_ns / 1000);
	load_disconnect(&run->load);
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

	keeper_init(&run.keeper, KEEPER_CONNECTIONS, DATA);
	server = keeper_start(&run.keeper, start_arguments);
	load_start(&run.load, &run.keeper, seed_wanted, LOAD_SIZE);
	while (run.kills + run.handovers > 0) {
		if (rng_below(&run.rng, run.kills + run.handovers) < run.kills)
			kill_one(&run, &server);
		else
			hand_over(&run, &server);
		load_check(&run.load);
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
