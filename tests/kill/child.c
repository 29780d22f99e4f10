/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/kill/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kill/load.h"
#include "tests/kill/verify.h"
#include "tests/lib/check.h"

#define MIB		(UINT64_C(1) << 20)
#define TIME_TO_HANG_MS 120000 /* after which it is given up that a child does anything */
#define MAX_PAD_PAGES	4096

static const char *const phase_names[PHASES] = {"opening", "checking", "loading", "ended"};

int store_new(const struct journal *j)
{
	int store = memfd_create("kill-store", MFD_CLOEXEC);

	CHECK(store >= 0, "no file in memory");
	store_empty(j, store);
	return store;
}

void store_empty(const struct journal *j, int store)
{
	CHECK(ftruncate(store, 0) == 0 && ftruncate(store, (off_t)device_store_size(j->size)) == 0,
	      "cannot size the store");
}

/* Each time at another address: nothing in the store may depend on it. */
static void *store_map(int store, uint64_t size, struct rng *rng)
{
	uint64_t pad = rng_below(rng, MAX_PAD_PAGES) * PAGE;
	char *space = mmap(NULL, pad + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);
	void *at;

	CHECK(space != MAP_FAILED, "no address space");
	at = mmap(space + pad, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, store, 0);
	CHECK(at != MAP_FAILED, "cannot map the store");
	return at;
}

static struct device_options options_of(const struct journal *j, int store, struct rng *rng)
{
	static const uint64_t reserves[] = {0, MIB / 4, MIB};
	struct device_options options = {
		.size = j->size,
		.allocator = j->allocator,
		.reserve = reserves[rng_below(rng, 3)],
		.auto_compact = rng_chance(rng, 90),
		.streams = (unsigned int)rng_below(rng, 4),
		.store_size = device_store_size(j->size),
	};

	if (rng_chance(rng, 20))
		options.mem_limit = j->size / rng_between(rng, 2, 4);
	CHECK(codec_method_init(&options.method, rng_chance(rng, 70) ? "lz4" : "zstd", NULL) == 0,
	      "no method");
	options.store = store_map(store, options.store_size, rng);
	return options;
}

static struct device *device_open(struct journal *j, int store, struct rng *rng)
{
	struct device_options options = options_of(j, store, rng);
	struct device *device;
	int err = device_new(&options, &device);

	CHECK(err == 0, "device_new: %d", err);
	evictor_open(&j->evictor, device, rng);
	verify_recovery(j, device);
	return device;
}

static void enter(struct journal *j, enum journal_phase phase, int events)
{
	char byte = (char)phase;

	atomic_store(&j->phase, phase);
	CHECK(write(events, &byte, 1) == 1, "the parent is gone");
}

static void verify(struct journal *j, struct device *device)
{
	verify_pool(j, device);
	verify_content(j, device);
}

/* Start it, or not: it works all the same. Stopped again when the load has ended. */
static void put_under_load(struct journal *j, struct device *device, const struct child_plan *plan,
			   struct rng *rng)
{
	bool start = rng_chance(rng, 90);

	if (rng_chance(rng, 15))
		CHECK(device_prefault(device) == 0, "prefault");
	if (start)
		CHECK(device_start(device) == 0, "start");
	load_run(j, device, rng_next(rng), plan->requests);
	device_get_stats(device, &j->stats);
	if (start)
		device_stop(device);
	verify(j, device);
}

_Noreturn static void child_main(struct journal *j, int store, const struct child_plan *plan,
				 int events)
{
	struct rng rng = rng_make(plan->seed);
	struct device *device;

	device = device_open(j, store, &rng);
	enter(j, PHASE_CHECKING, events);
	verify(j, device);
	enter(j, PHASE_LOADING, events);
	if (plan->load)
		put_under_load(j, device, plan, &rng);
	if (plan->trim)
		verify_trimmed(j, device);
	device_free(device);
	enter(j, PHASE_ENDED, events);
	_exit(EXIT_SUCCESS);
}

struct child child_start(struct journal *j, int store, const struct child_plan *plan)
{
	struct child child = {.journal = j};
	int pipe_ends[2];

	CHECK(pipe(pipe_ends) == 0, "no pipe");
	atomic_store(&j->phase, PHASE_OPENING);
	memset(&j->stats, 0, sizeof(j->stats));
	memset(j->steps.reached, 0, sizeof(j->steps.reached));
	fflush(NULL);
	child.pid = fork();
	CHECK(child.pid >= 0, "no process");
	if (child.pid == 0) {
		/* It must not outlive a parent that has failed. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pipe_ends[0]);
		child_main(j, store, plan, pipe_ends[1]);
	}
	close(pipe_ends[1]);
	child.events = pipe_ends[0];
	return child;
}

bool child_await(struct child *child, enum journal_phase phase)
{
	struct pollfd poll_on = {.fd = child->events, .events = POLLIN};
	char byte = PHASE_OPENING;

	while ((enum journal_phase)byte < phase) {
		int n = poll(&poll_on, 1, TIME_TO_HANG_MS);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			kill(child->pid, SIGABRT);
		CHECK(n > 0, "the child hangs, %s",
		      phase_names[atomic_load(&child->journal->phase)]);
		if (read(child->events, &byte, 1) != 1)
			return false;
	}
	return true;
}

void child_kill(const struct child *child)
{
	kill(child->pid, SIGKILL);
}

bool child_reap(struct child *child)
{
	int status;

	CHECK(waitpid(child->pid, &status, 0) == child->pid, "no child");
	close(child->events);
	CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		      (WIFEXITED(status) && WEXITSTATUS(status) == 0),
	      "a child has failed, %s: status 0x%x",
	      phase_names[atomic_load(&child->journal->phase)], (unsigned int)status);
	return WIFSIGNALED(status);
}
