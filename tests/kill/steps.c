/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a device in a store is killed at each step that is labelled in the sources
 * (common/step.h), or some instructions after it, and recovered.
 *
 * steps KILLS SEED STEP...: KILLS at each, at least; see steps.sh, which finds the labels.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/step.h"
#include "tests/kill/child.h"
#include "tests/lib/check.h"
#include "tests/lib/trainer.h"

#define THREADS	       4
#define SIZE	       (UINT64_C(16) << 20)
#define REQUESTS       2000 /* of a thread, in a child that does not come by its step */
#define TRIES	       400  /* children that are to come by a step, for one that does */
#define FORMAT_PERCENT 8
#define WALK_SHIFT     9 /* up to so many instructions: 1 << this */

static struct journal *journal;
static char **labels;
static int nr_labels;

struct tally {
	unsigned int kills, tries; /* tries: since the last kill */
	uint64_t most;		   /* times that a child came by */
};

static int label_index(const char *name)
{
	for (int i = 0; i < nr_labels; i++)
		if (strcmp(labels[i], name) == 0)
			return i;
	return -1;
}

#ifdef __x86_64__
static volatile sig_atomic_t left;

static void on_trap(int signal)
{
	if (--left == 0)
		kill(getpid(), SIGKILL);
}

/* From here on each instruction of this thread ends in a trap: the processor's trap flag. */
static void walk(unsigned int instructions)
{
	left = (sig_atomic_t)instructions;
	CHECK(signal(SIGTRAP, on_trap) != SIG_ERR, "no handler");
	__builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | 0x100);
}
#else
static void walk(unsigned int instructions)
{
	kill(getpid(), SIGKILL);
}
#endif

/* Called by the device, in a child. */
void step_reached(const char *name)
{
	struct journal_steps *steps = &journal->steps;
	int step = label_index(name);

	CHECK(step >= 0, "step '%s' is not among those that were asked for", name);
	if (atomic_fetch_add(&steps->reached[step], 1) + 1 != steps->occurrence ||
	    step != steps->step)
		return;
	if (steps->walk == 0)
		kill(getpid(), SIGKILL);
	else
		walk(steps->walk);
}

/* A number from 1 to about MOST, small ones as often as large ones. */
static uint64_t any_size(struct rng *rng, uint64_t most)
{
	uint64_t bits = most > 1 ? rng_below(rng, 64 - (uint64_t)__builtin_clzll(most)) : 0;

	return 1 + rng_below(rng, UINT64_C(1) << bits);
}

/* What the last kill has left; and then nothing may be. */
static void finish_store(int store, struct rng *rng)
{
	struct child_plan plan = {.seed = rng_next(rng), .trim = true};
	struct child child;

	journal->steps.step = -1;
	child = child_start(journal, store, &plan);
	child_await(&child, PHASE_ENDED);
	CHECK(!child_reap(&child), "somebody else has killed a child");
}

/*
 * One child that is to be killed at the step: the first time right there, then some instructions
 * later. True: it was.
 */
static bool kill_at(int store, struct rng *rng, int step, struct tally *tallies)
{
	struct child_plan plan = {.seed = rng_next(rng), .load = true, .requests = REQUESTS};
	struct journal_steps *steps = &journal->steps;
	struct child child;
	bool killed;

	if (rng_chance(rng, FORMAT_PERCENT)) {
		finish_store(store, rng);
		store_empty(journal, store);
		journal_reset(journal);
	}
	steps->step = step;
	steps->occurrence = any_size(rng, tallies[step].most);
	steps->walk = tallies[step].kills == 0 ? 0 : (unsigned int)any_size(rng, 1u << WALK_SHIFT);
	child = child_start(journal, store, &plan);
	child_await(&child, PHASE_ENDED);
	killed = child_reap(&child);
	for (int i = 0; i < nr_labels; i++)
		if (atomic_load(&steps->reached[i]) > tallies[i].most)
			tallies[i].most = atomic_load(&steps->reached[i]);
	return killed;
}

/* Of the steps that have not been killed at often enough any one, or -1. */
static int pick_step(struct rng *rng, const struct tally *tallies, unsigned int kills)
{
	int wanting = 0, number;

	for (int i = 0; i < nr_labels; i++)
		wanting += tallies[i].kills < kills;
	if (wanting == 0)
		return -1;
	number = (int)rng_below(rng, (uint64_t)wanting);
	for (int i = 0;; i++)
		if (tallies[i].kills < kills && number-- == 0)
			return i;
}

int main(int argc, char **argv)
{
	unsigned int kills = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 0;
	uint64_t seed = test_seed(argc > 2 ? strtoull(argv[2], NULL, 0) : 0);
	struct tally tallies[JOURNAL_MAX_STEPS] = {0};
	struct rng rng = rng_make(seed);
	int store, step, children = 0;

	if (kills == 0 || argc < 4 || argc - 3 > JOURNAL_MAX_STEPS) {
		fprintf(stderr, "steps KILLS SEED STEP...\n");
		return EXIT_FAILURE;
	}
	labels = argv + 3;
	nr_labels = argc - 3;
	journal = journal_new(seed, SIZE, THREADS, true);
	trainer_prepare();
	store = store_new(journal);
	while ((step = pick_step(&rng, tallies, kills)) >= 0) {
		struct tally *t = &tallies[step];

		children++;
		if (kill_at(store, &rng, step, tallies)) {
			t->kills++;
			t->tries = 0;
		}
		CHECK(t->tries++ < TRIES, "step '%s' is never reached", labels[step]);
	}
	finish_store(store, &rng);
	for (int i = 0; i < nr_labels; i++)
		printf("%-30s killed %u times; a child comes by up to %" PRIu64 " times\n",
		       labels[i], tallies[i].kills, tallies[i].most);
	printf("%d children; pages of requests that were cut off: %" PRIu64 " old, %" PRIu64
	       " new\n",
	       children, journal->found_old, journal->found_new);
	return EXIT_SUCCESS;
}
