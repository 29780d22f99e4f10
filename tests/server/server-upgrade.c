/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zcram-server is upgraded again and again under load, as zcramd does it; now and then one of
 * the two servers is killed at a random moment, or the new one is of no use. Clients on two connections
 * check that each request is answered once, and rightly.
 *
 * server-upgrade UPGRADES [SEED [MIB]]
 *
 * MIB: how much else the device holds, for each new server to recover.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/report.h"
#include "tests/lib/check.h"
#include "tests/lib/rng.h"
#include "tests/nbd-loop/served.h"
#include "tests/server/load.h"
#include "tests/server/zcramd.h"

#define DATA (512u << 10)

struct run {
	struct keeper keeper;
	struct zcramd_part zcramd;
	struct load load;
	uint64_t size; /* of the device */
	struct rng rng;
	sd_event_source *timer;
	unsigned int followed, died, kept, none; /* what came of them */
	uint64_t longest_pause;			 /* microseconds */
};

/* What is done to an upgrade. */
enum trouble { NOTHING, KILL_OLD, KILL_NEW, BAD_NEW };

static uint64_t upgrades_wanted, seed_wanted, mib_wanted;
static struct succession succession;
static struct server *victim; /* NULL: nobody is to be killed */
static bool hit;	      /* it has been */

static int on_timer(sd_event_source *source, uint64_t usec, void *opaque)
{
	hit = victim != NULL && victim->child.running;
	if (hit)
		child_signal(&victim->child, SIGKILL);
	return 0;
}

/* Within the time that an upgrade may take here. */
static void set_trouble(struct run *run, enum trouble trouble)
{
	struct server *servers = run->zcramd.servers;
	struct server *next = run->zcramd.server == servers ? servers + 1 : servers;

	hit = false;
	victim = trouble == KILL_OLD ? run->zcramd.server : trouble == KILL_NEW ? next : NULL;
	sd_event_source_set_time_relative(run->timer, rng_below(&run->rng, 60000));
	sd_event_source_set_enabled(run->timer, SD_EVENT_ONESHOT);
}

static void note(struct run *run, enum successor_end end, enum trouble trouble, char *why)
{
	CHECK(trouble != NOTHING || end == SUCCESSOR_SERVES, "%s", why);
	switch (end) {
	case SUCCESSOR_SERVES:
		CHECK(!succession.died || trouble == KILL_OLD, "%s", succession.death);
		run->followed++;
		run->died += succession.died;
		if (succession.pause > run->longest_pause)
			run->longest_pause = succession.pause;
		break;
	case SUCCESSOR_KEPT:
		CHECK(trouble != KILL_OLD, "%s", why);
		run->kept++;
		break;
	default:
		CHECK(trouble == KILL_NEW || trouble == KILL_OLD, "%s", why);
		run->none++;
		zcramd_start(&run->zcramd, run->size);
		break;
	}
	free(why);
}

static void upgrade(struct run *run, enum trouble trouble)
{
	const char *extra[] = {"--wait", "reserve=256K", trouble == BAD_NEW ? "size=3M" : NULL,
			       NULL};
	struct server_line line = zcramd_line(&run->zcramd, extra);
	enum successor_end end;
	char *why = NULL;

	load_await(&run->load, 20);
	set_trouble(run, trouble);
	end = zcramd_succeed(&run->zcramd, &line, &succession, &why);
	sd_event_source_set_enabled(run->timer, SD_EVENT_OFF);
	note(run, end, trouble, why);
	/* The new one may have been hit when it served already. */
	if (hit && victim == run->zcramd.server)
		zcramd_signal(&run->zcramd, SIGKILL);
	if (!run->zcramd.server->child.running)
		zcramd_start(&run->zcramd, run->size);
}

static void finish(struct run *run)
{
	load_await(&run->load, 20);
	load_finish(&run->load);
	load_check_content(&run->load);
	printf("seed %" PRIu64 ": %u followed, %u of these by a death, %u kept, %u none, "
	       "longest pause %" PRIu64 " us, longest request %" PRIu64 " us\n",
	       seed_wanted, run->followed, run->died, run->kept, run->none, run->longest_pause,
	       load_longest(&run->load) / 1000);
	load_disconnect(&run->load);
	zcramd_fini(&run->zcramd);
	keeper_purge(&run->keeper);
	keeper_fini(&run->keeper);
}

static enum trouble pick_trouble(struct run *run, uint64_t number)
{
	/* A row of undisturbed ones first. */
	if (number < upgrades_wanted / 2)
		return NOTHING;
	return (enum trouble)rng_below(&run->rng, BAD_NEW + 1);
}

/* Behind what the clients use: pages that shrink to half of it. */
static void fill(struct run *run)
{
	struct served served = {.client = run->keeper.connections[0].client};
	static uint8_t buf[CLIENT_MOST];

	for (uint64_t at = LOAD_SIZE; at < run->size; at += sizeof(buf)) {
		for (size_t page = 0; page < sizeof(buf); page += 4096)
			rng_bytes(&run->rng, buf + page, 2048);
		CHECK(served_ask(&served, PROTO_WRITE, 0, at, sizeof(buf), buf, NULL) == 0,
		      "at %" PRIu64, at);
	}
}

static int run_all(void)
{
	static struct run run;

	run.rng = rng_make(seed_wanted);
	run.size = LOAD_SIZE + (mib_wanted << 20);
	unsetenv("JOURNAL_STREAM");
	report_device("zcram0");
	keeper_init(&run.keeper, KEEPER_CONNECTIONS, DATA);
	zcramd_init(&run.zcramd, &run.keeper);
	CHECK(sd_event_add_time_relative(run.zcramd.loop.event, &run.timer, CLOCK_MONOTONIC, 0, 1,
					 on_timer, NULL) >= 0,
	      "no timer");
	sd_event_source_set_enabled(run.timer, SD_EVENT_OFF);
	zcramd_start(&run.zcramd, run.size);
	fill(&run);
	load_start(&run.load, &run.keeper, seed_wanted, run.size);
	for (uint64_t i = 0; i < upgrades_wanted; i++) {
		upgrade(&run, pick_trouble(&run, i));
		load_check(&run.load);
	}
	finish(&run);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: server-upgrade UPGRADES [SEED [MIB]]\n");
		return EXIT_FAILURE;
	}
	upgrades_wanted = strtoull(argv[1], NULL, 10);
	seed_wanted = argc > 2 ? strtoull(argv[2], NULL, 10) : test_seed(0);
	mib_wanted = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	return keeper_guard(run_all);
}
