/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a device in a store is killed at random moments, again and again, and recovered:
 * nothing that was acknowledged is lost, and no cell leaks.
 *
 * kill KILLS THREADS SEED [MIB]: SEED 0 draws one. The seed gives the same plan again; the moments
 * at which threads meet and a kill comes are the kernel's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "tests/kill/child.h"
#include "tests/lib/check.h"
#include "tests/lib/trainer.h"

#define NS_PER_S	UINT64_C(1000000000)
#define FORMAT_PERCENT	4  /* of stores that are thrown away, and of kills while one is made */
#define RECOVER_PERCENT 20 /* of kills that are aimed at recovery */
#define END_PERCENT	4  /* of children that may end by themselves */
#define LOAD_SHIFT	15 /* a load is killed after up to 1 us << this */
#define END_REQUESTS	500

struct totals {
	uint64_t phase[PHASES]; /* kills in it */
	uint64_t fresh;		/* of those in opening: while a store was made */
	uint64_t ended, stores, cut_off;
	uint64_t compacted, migrated, refills;
	uint64_t written_back, cleaned, brought_back;
};

struct run {
	struct journal *journal;
	int store;
	struct rng rng;
	uint64_t opening_ns[2]; /* about how long it takes to recover a store, and to make one */
	struct totals totals;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void pass_ns(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	nanosleep(&ts, NULL);
}

/* What the last kill has left; and then nothing may be. */
static void finish_store(struct run *run)
{
	struct child_plan plan = {.seed = rng_next(&run->rng), .trim = true};
	struct child child = child_start(run->journal, run->store, &plan);

	child_await(&child, PHASE_ENDED);
	CHECK(!child_reap(&child), "somebody else has killed a child");
}

static void renew_store(struct run *run)
{
	finish_store(run);
	store_empty(run->journal, run->store);
	journal_reset(run->journal);
	run->totals.stores++;
}

/* What the dead has left of itself. */
static void account(struct run *run, bool killed, bool fresh)
{
	struct journal *j = run->journal;
	enum journal_phase phase = atomic_load(&j->phase);

	run->totals.compacted += j->stats.objects_compacted;
	run->totals.migrated += j->stats.objects_migrated;
	run->totals.refills += j->stats.refills;
	run->totals.written_back += j->stats.written_back;
	run->totals.cleaned += j->stats.backing_moved;
	run->totals.brought_back += j->stats.brought_back;
	if (!killed) {
		run->totals.ended++;
		return;
	}
	run->totals.phase[phase]++;
	run->totals.fresh += fresh && phase == PHASE_OPENING;
	for (unsigned int i = 0; i < j->threads; i++)
		run->totals.cut_off +=
			phase == PHASE_LOADING && atomic_load(&j->request[i].state) != REQUEST_NONE;
}

/* Kill it while it opens the device, or soon after. */
static void kill_opening(struct run *run, struct child *child, bool fresh)
{
	uint64_t about = run->opening_ns[fresh];

	pass_ns(rng_below(&run->rng, about + about / 8));
	child_kill(child);
}

/* Short times as often as long ones. */
static void kill_loading(struct run *run, struct child *child)
{
	uint64_t most = UINT64_C(1000) << rng_below(&run->rng, LOAD_SHIFT + 1);

	if (child_await(child, PHASE_LOADING))
		pass_ns(rng_below(&run->rng, most));
	child_kill(child);
}

static void measure_opening(struct run *run, struct child *child, uint64_t start, bool fresh)
{
	if (child_await(child, PHASE_CHECKING))
		run->opening_ns[fresh] = (run->opening_ns[fresh] + now_ns() - start) / 2;
}

/* One child, and its death. True: it was killed. */
static bool kill_one(struct run *run)
{
	bool aimed = rng_chance(&run->rng, RECOVER_PERCENT), ends, fresh, killed;
	struct child_plan plan = {.seed = rng_next(&run->rng), .load = true};
	struct child child;
	uint64_t start;

	if (rng_chance(&run->rng, FORMAT_PERCENT)) {
		renew_store(run);
		aimed = rng_chance(&run->rng, 75);
	}
	fresh = !run->journal->formed;
	ends = !aimed && rng_chance(&run->rng, END_PERCENT);
	if (ends)
		plan.requests = END_REQUESTS;
	start = now_ns();
	child = child_start(run->journal, run->store, &plan);
	if (aimed && run->opening_ns[fresh] > 0) {
		kill_opening(run, &child, fresh);
	} else {
		measure_opening(run, &child, start, fresh);
		/* Of those that end some are killed as they do. */
		if (ends && rng_chance(&run->rng, 50))
			child_await(&child, PHASE_ENDED);
		else
			kill_loading(run, &child);
	}
	killed = child_reap(&child);
	account(run, killed, fresh);
	return killed;
}

static void report(const struct run *run)
{
	const struct totals *t = &run->totals;
	const struct journal *j = run->journal;
	uint64_t requests = 0;

	for (unsigned int i = 0; i < j->threads; i++)
		requests += j->request[i].made;
	printf("%" PRIu64 " kills under load, %" PRIu64 " while a store was made, %" PRIu64
	       " in recovery, %" PRIu64 " while verifying; %" PRIu64 " ends\n",
	       t->phase[PHASE_LOADING], t->fresh, t->phase[PHASE_OPENING] - t->fresh,
	       t->phase[PHASE_CHECKING], t->ended);
	printf("%" PRIu64 " stores, %" PRIu64 " requests acknowledged, %" PRIu64
	       " cut off: %" PRIu64 " pages old, %" PRIu64 " new, %" PRIu64
	       " acknowledged at last; %" PRIu64 " cells freed\n",
	       t->stores, requests, t->cut_off, j->found_old, j->found_new, j->redone,
	       j->cells_freed);
	printf("%" PRIu64 " objects compacted, %" PRIu64 " migrated, %" PRIu64 " refills; %" PRIu64
	       " dictionaries trained, %" PRIu64 " retired; verified %" PRIu64 " times\n",
	       t->compacted, t->migrated, t->refills, j->trained, j->retired, j->checks);
	printf("%" PRIu64 " pages written back, %" PRIu64 " moved by cleaning, %" PRIu64
	       " brought back\n",
	       t->written_back, t->cleaned, t->brought_back);
}

int main(int argc, char **argv)
{
	unsigned long kills = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	unsigned long threads = argc > 2 ? strtoul(argv[2], NULL, 0) : 4;
	uint64_t seed = test_seed(argc > 3 ? strtoull(argv[3], NULL, 0) : 0);
	unsigned long mib = argc > 4 ? strtoul(argv[4], NULL, 0) : 16;
	struct run run = {.rng = rng_make(seed)};

	if (kills == 0 || threads == 0 || threads > JOURNAL_MAX_THREADS || mib == 0) {
		fprintf(stderr, "kill KILLS THREADS SEED [MIB]\n");
		return EXIT_FAILURE;
	}
	/* A kill is to come when it was asked for, not with the next tick. */
	prctl(PR_SET_TIMERSLACK, 1);
	run.journal = journal_new(seed, (uint64_t)mib << 20, (unsigned int)threads, true);
	trainer_prepare();
	run.store = store_new(run.journal);
	run.totals.stores = 1;
	for (unsigned long done = 0; done < kills;)
		done += kill_one(&run);
	finish_store(&run);
	report(&run);
	/* One kill in ten finds a request under way where sanitizers make all else slow; else, many. */
	CHECK(kills < 100 || run.totals.cut_off > 0, "no request was cut off");
	return EXIT_SUCCESS;
}
