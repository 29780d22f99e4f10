/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zcram-server is killed under load, and hands over under load to a successor that
 * waits for it; clients on two connections check that each request is answered once, and rightly,
 * and that every acknowledged write is in force.
 *
 * server-kill KILLS HANDOVERS [SEED [MIB]]
 *
 * MIB: of a backing store, if any, that pages are written to by hand before each handover, and while servers are
 * killed. SEED 0: any.
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
#include "tests/nbd-loop/served.h"
#include "tests/server/keeper.h"
#include "tests/server/load.h"

#define DATA (512u << 10)

/* With a backing store: pages behind what the clients use. Nobody touches them, so that is where they are. */
#define STATIC_PAGES 256
#define PAGE	     4096

struct run {
	struct keeper keeper;
	struct load load;
	struct rng rng;
	uint64_t kills, handovers; /* still to be done */
	/* With a backing store. */
	char store[64]; /* its path */
	char writeback[96], writeback_size[32];
	pid_t writing; /* a child that asks for it; 0: none */
};

static uint64_t kills_wanted, handovers_wanted, seed_wanted, mib_wanted;

/* SERVER or WAITING, with the backing store, if any. */
static struct keeper_server start_server(struct run *run, bool waits)
{
	const char *const arguments[] = {
		waits	     ? "--wait"
		: mib_wanted ? "size=3M"
			     : "size=2M",
		"reserve=256K",
		mib_wanted ? run->writeback : NULL,
		run->writeback_size,
		NULL,
	};

	return keeper_start(&run->keeper, arguments);
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

static void fail_with_words(const struct keeper_server *server)
{
	char text[1024];

	keeper_said(server, text, sizeof(text));
	CHECK(false, "a server does not start: %s", text);
}

/* A successor that has done all it can without the pool. */
static struct keeper_server start_waiting(struct run *run)
{
	struct keeper_server next = start_server(run, true);

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

/* Of all pages that nobody is at. */
static void write_back(struct run *run)
{
	struct json_object *result = NULL;
	int r = mib_wanted ? keeper_ask(&run->keeper, "writeback", &result) : 0;

	CHECK(r == 0, "writeback: %s", strerror(-r));
	json_object_put(result);
	CHECK(mib_wanted == 0 || stat_of(&run->keeper, "pages_backing") >= STATIC_PAGES,
	      "pages are missing in the store");
}

/* The same by somebody who does not mind what comes of it. */
static void begin_writing(struct run *run)
{
	struct json_object *result = NULL;

	if (mib_wanted == 0)
		return;
	fflush(NULL);
	run->writing = fork();
	CHECK(run->writing >= 0, "fork");
	if (run->writing == 0) {
		keeper_ask(&run->keeper, "writeback", &result);
		_exit(0);
	}
}

static void end_writing(struct run *run)
{
	if (run->writing > 0)
		CHECK(waitpid(run->writing, NULL, 0) == run->writing, "waitpid");
	run->writing = 0;
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
	if (!at_once)
		begin_writing(run);
	pause_a_while(run);
	status = keeper_end(server, SIGKILL);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
	end_writing(run);
	run->kills--;
	*server = waiting ? next : start_server(run, false);
}

static void hand_over(struct run *run, struct keeper_server *server)
{
	struct json_object *result = NULL;
	struct keeper_server next;
	int r, status;

	await_service(run, server);
	write_back(run);
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

static void sum_stats(const struct run *run, struct nbd_loop_stats *ret_sum)
{
	*ret_sum = (struct nbd_loop_stats){0};
	for (unsigned int i = 0; i < KEEPER_CONNECTIONS; i++) {
		uint64_t made = run->load.shared->clients[i].made +
				(i == 0 && mib_wanted > 0 ? STATIC_PAGES : 0);
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

/* A page behind what the clients use: it shrinks to half of that. */
static uint32_t ask_static(const struct run *run, uint16_t type, uint64_t number, void *content)
{
	struct served served = {.client = run->keeper.connections[0].client};

	return served_ask(&served, type, 0, LOAD_SIZE + number * PAGE, PAGE,
			  type == PROTO_WRITE ? content : NULL,
			  type == PROTO_READ ? content : NULL);
}

static void make_static(uint64_t number, uint8_t *page)
{
	struct rng rng = rng_make(seed_wanted + number);

	memset(page, 0x5a, PAGE);
	rng_bytes(&rng, page, PAGE / 2);
}

static void write_static(const struct run *run)
{
	uint8_t page[PAGE];

	for (uint64_t i = 0; mib_wanted > 0 && i < STATIC_PAGES; i++) {
		make_static(i, page);
		CHECK(ask_static(run, PROTO_WRITE, i, page) == 0, "page %" PRIu64, i);
	}
}

static void check_static(const struct run *run)
{
	uint8_t page[PAGE], found[PAGE];

	for (uint64_t i = 0; mib_wanted > 0 && i < STATIC_PAGES; i++) {
		make_static(i, page);
		CHECK(ask_static(run, PROTO_READ, i, found) == 0, "page %" PRIu64, i);
		CHECK(memcmp(page, found, PAGE) == 0, "page %" PRIu64 " is another", i);
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
	write_back(run);
	keeper_end(server, SIGKILL);
	*server = start_server(run, false);
	if (!keeper_await(&run->keeper, server))
		fail_with_words(server);
	load_check_content(&run->load);
	check_static(run);
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
	if (mib_wanted > 0)
		CHECK(unlink(run->store) == 0, "%s", run->store);
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
	snprintf(run.store, sizeof(run.store), "%s/store", run.keeper.dir);
	snprintf(run.writeback, sizeof(run.writeback), "writeback=%s", run.store);
	snprintf(run.writeback_size, sizeof(run.writeback_size), "writeback-size=%" PRIu64 "M",
		 mib_wanted);
	server = start_server(&run, false);
	write_static(&run);
	load_start(&run.load, &run.keeper, seed_wanted,
		   LOAD_SIZE + (mib_wanted ? STATIC_PAGES * PAGE : 0));
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
		fprintf(stderr, "usage: server-kill KILLS HANDOVERS [SEED [MIB]]\n");
		return EXIT_FAILURE;
	}
	kills_wanted = strtoull(argv[1], NULL, 10);
	handovers_wanted = strtoull(argv[2], NULL, 10);
	seed_wanted = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	mib_wanted = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
	if (seed_wanted == 0)
		seed_wanted = test_seed(0);
	return keeper_guard(run_all);
}
