/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: memory and threads that are not had, at every point where they are asked for.
 *
 * The same work is done again and again, the n-th request failing, for n = 1, 2, ... until one run
 * asks for less than n. Whatever fails must say so, leave nothing behind, leave the old content
 * readable and the counters exact, and work the next time.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device/device.h"
#include "tests/device/fault.h"
#include "tests/lib/allocator.h"
#include "tests/lib/check.h"
#include "tests/lib/content.h"
#include "tests/lib/model.h"
#include "tests/lib/rng.h"
#include "tests/lib/trainer.h"

#define PAGE  DEVICE_PAGE_SIZE
#define PAGES 320
#define BATCH 16 /* pages of one write */

struct plan {
	const char *algorithm;
	uint64_t reserve;
	bool start;
	enum fault_mode mode;
};

static const struct plan plans[] = {
	{"lz4", 0, false, FAULT_ONCE},
	{"zstd", 0, false, FAULT_ONWARDS},
	{"lz4", 64 * PAGE, true, FAULT_ONCE},
	{"lz4", 64 * PAGE, true, FAULT_ONWARDS},
	{"lz4", 64 * PAGE, false, FAULT_RELEASE},
	{"lz4", 64 * PAGE, true, FAULT_RELEASE},
};

struct attempt {
	bool fired; /* the failure has come, and what it met has noticed */
	struct model model;
	struct rng rng;
	uint8_t buf[BATCH * PAGE];
};

static struct device_options options_of(const struct plan *plan)
{
	struct device_options options = {
		.allocator = test_allocator(),
		.size = PAGES * PAGE - 100,
		.reserve = plan->reserve,
		.auto_compact = plan->start,
		.streams = 2,
	};

	CHECK(codec_method_init(&options.method, plan->algorithm, NULL) == 0, "%s",
	      plan->algorithm);
	return options;
}

/* Something failed: it must be for want of memory. From now on there is enough. */
static void end_fault(struct attempt *attempt, int err)
{
	CHECK(err == -ENOMEM || err == -EAGAIN, "without memory: %d", err);
	CHECK(fault_disarm(), "failed for no reason: %d", err);
	attempt->fired = true;
}

static void refill(struct attempt *attempt)
{
	for (size_t page = 0; page < BATCH; page++)
		content_fill(&attempt->rng, content_pick(&attempt->rng), attempt->buf + page * PAGE,
			     PAGE);
}

/* Once as it comes; after a failure everything is compared, and with memory again it must work. */
static void write_batch(struct attempt *attempt, uint64_t offset)
{
	uint64_t count = sizeof(attempt->buf);
	int err;

	if (count > attempt->model.size - offset)
		count = attempt->model.size - offset;
	refill(attempt);
	err = model_write(&attempt->model, attempt->buf, offset, count);
	if (err == 0)
		return;
	model_check(&attempt->model);
	end_fault(attempt, err);
	err = model_write(&attempt->model, attempt->buf, offset, count);
	CHECK(err == 0, "with memory again a write says %d", err);
	model_check(&attempt->model);
}

static void zero_part(struct attempt *attempt, uint64_t offset)
{
	int err = model_zero(&attempt->model, offset + 7, 2 * PAGE);

	if (err == 0)
		return;
	end_fault(attempt, err);
	CHECK(model_zero(&attempt->model, offset + 7, 2 * PAGE) == 0, "zero with memory again");
}

/* Fill, overwrite in part, thin out, compact, and fill again. */
static void work(struct attempt *attempt)
{
	struct model *model = &attempt->model;

	for (uint64_t page = 0; page < PAGES; page += BATCH)
		write_batch(attempt, page * PAGE);
	for (uint64_t page = 0; page + BATCH < PAGES; page += 5 * BATCH) {
		write_batch(attempt, page * PAGE + 1000);
		zero_part(attempt, (page + BATCH) * PAGE);
	}
	for (uint64_t page = 0; page < PAGES - 1; page++)
		if (page % 4 != 0)
			model_trim(model, page * PAGE, PAGE);
	CHECK(device_compact(model->device) == 0, "compact");
	for (uint64_t page = 0; page < PAGES; page += 3 * BATCH)
		write_batch(attempt, page * PAGE);
	model_trim(model, 0, model->size);
	CHECK(device_compact(model->device) == 0, "compact");
	write_batch(attempt, 0);
}

static struct device *new_device(struct attempt *attempt, const struct plan *plan)
{
	struct device_options options = options_of(plan);
	struct device *device = NULL;
	int err = device_new(&options, &device);

	if (err == 0)
		return device;
	CHECK(device == NULL, "device_new failed and gives a device");
	end_fault(attempt, err);
	err = device_new(&options, &device);
	CHECK(err == 0, "with memory again device_new says %d", err);
	return device;
}

/* If it does not start, it must work without threads, and start later. */
static void start_device(struct attempt *attempt)
{
	int err = device_start(attempt->model.device);

	if (err == 0)
		return;
	end_fault(attempt, err);
	write_batch(attempt, 0);
	err = device_start(attempt->model.device);
	CHECK(err == 0, "with memory again device_start says %d", err);
}

/* False: the run asked for less than n. */
static bool one_attempt(const struct plan *plan, uint64_t n, uint64_t seed)
{
	static struct attempt attempt;
	int64_t held = fault_held();
	struct device *device;

	attempt.rng = rng_make(seed);
	attempt.fired = false;
	fault_arm(plan->mode, n);
	device = new_device(&attempt, plan);
	fault_pause(true);
	model_init(&attempt.model, device);
	fault_pause(false);
	if (plan->start)
		start_device(&attempt);
	work(&attempt);
	attempt.fired |= fault_disarm();
	model_check(&attempt.model);
	model_fini(&attempt.model);
	CHECK(fault_held() == held, "request %" PRIu64 ": %" PRId64 " not given back", n,
	      fault_held() - held);
	return attempt.fired;
}

/* From the first write on there is none: each write says so, also one that needs no object. */
static void no_memory_at_all(uint64_t seed)
{
	static struct attempt attempt;

	attempt.rng = rng_make(seed);
	model_init(&attempt.model, new_device(&attempt, &plans[0]));
	fault_arm(FAULT_ONWARDS, 1);
	for (unsigned int i = 0; i < 3 * CONTENT_KINDS; i++) {
		content_fill(&attempt.rng, i % CONTENT_KINDS, attempt.buf, PAGE);
		CHECK(model_write(&attempt.model, attempt.buf, i * PAGE, PAGE) == -ENOMEM,
		      "a write of kind %u without memory", i % CONTENT_KINDS);
	}
	model_trim(&attempt.model, 0, attempt.model.size);
	CHECK(fault_disarm(), "nothing was asked for");
	write_batch(&attempt, 0);
	model_check(&attempt.model);
	model_fini(&attempt.model);
}

/* Recovery, whose n-th request fails: the store is as good the next time. */
static bool one_recovery(const struct device_options *options, const uint8_t *bytes, uint64_t n)
{
	static uint8_t found[PAGE];
	int64_t held = fault_held();
	struct device *device;
	bool fired;
	int err;

	fault_arm(FAULT_ONCE, n);
	err = device_new(options, &device);
	fired = fault_disarm();
	/* Advice that is not taken is no failure. */
	CHECK(err == 0 || (fired && err == -ENOMEM), "device_new: %d", err);
	if (err < 0) {
		CHECK(fault_held() == held, "a recovery that fails keeps memory");
		err = device_new(options, &device);
		CHECK(err == 0, "device_new, again: %d", err);
	}
	for (uint64_t page = 0; page < PAGES; page++)
		CHECK(device_read(device, found, page * PAGE, PAGE) == 0 &&
			      memcmp(found, bytes + page * PAGE, PAGE) == 0,
		      "page %" PRIu64 " is not what it was", page);
	device_free(device);
	return fired;
}

static void recoveries(uint64_t seed)
{
	static uint8_t bytes[PAGES * PAGE];
	struct device_options options = options_of(&plans[0]);
	struct rng rng = rng_make(seed);
	struct trainer trainer;
	struct device *device;
	uint64_t n = 1;

	options.size = PAGES * PAGE;
	options.store_size = device_store_size(options.size);
	options.store = mmap(NULL, options.store_size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(options.store != MAP_FAILED && device_new(&options, &device) == 0, "a store");
	for (uint64_t page = 0; page < PAGES; page++) {
		content_fill(&rng, content_pick(&rng), bytes + page * PAGE, PAGE);
		CHECK(device_write(device, bytes + page * PAGE, page * PAGE, PAGE) == 0, "write");
	}
	trainer_init(&trainer, device, "zstd", 1);
	CHECK(trainer_add(&trainer) > 0, "a dictionary");
	for (uint64_t page = 0; page < PAGES; page++)
		CHECK(trainer_recompress(&trainer, page) == 0, "recompress");
	trainer_fini(&trainer);
	device_free(device);
	while (one_recovery(&options, bytes, n))
		n++;
	printf("recovery: %" PRIu64 " requests, each failed once\n", n - 1);
	CHECK(n > 1, "nothing was asked for");
	munmap(options.store, options.store_size);
}

/* Training, whose n-th request fails: without a dictionary, or not in use, and all is readable. */
static bool one_training(uint64_t n, uint64_t seed)
{
	static uint8_t bytes[PAGES][PAGE], found[PAGE];
	struct device_options options = options_of(&plans[1]);
	int64_t held = fault_held();
	struct rng rng = rng_make(seed);
	struct trainer trainer;
	struct device *device;
	bool fired;
	int err;

	CHECK(device_new(&options, &device) == 0, "device_new");
	trainer_init(&trainer, device, "zstd", 1);
	for (uint64_t page = 0; page < PAGES - 1; page++) {
		content_fill(&rng, CONTENT_TEXT, bytes[page], PAGE);
		CHECK(device_write(device, bytes[page], page * PAGE, PAGE) == 0, "write");
	}
	fault_arm(FAULT_ONCE, n);
	err = trainer_train(&trainer);
	fired = fault_disarm();
	CHECK(err > 0 || (fired && err == -ENOMEM), "training: %d", err);
	for (uint64_t page = 0; page < PAGES - 1; page++)
		CHECK(trainer_recompress(&trainer, page) == 0 &&
			      device_read(device, found, page * PAGE, PAGE) == 0 &&
			      memcmp(found, bytes[page], PAGE) == 0,
		      "page %" PRIu64 " is not what it was", page);
	CHECK(err < 0 || dicts_objects(device, 1) == PAGES - 1, "not used");
	CHECK(err > 0 || trainer_train(&trainer) > 0, "training with memory again");
	trainer_fini(&trainer);
	device_free(device);
	CHECK(fault_held() == held, "request %" PRIu64 " of training: memory is kept", n);
	return fired;
}

static void trainings(uint64_t seed)
{
	uint64_t n = 1;

	while (one_training(n, seed))
		n++;
	printf("training: %" PRIu64 " requests, each failed once\n", n - 1);
	CHECK(n > 1, "nothing was asked for");
}

int main(void)
{
	uint64_t seed = test_seed(0);

	no_memory_at_all(seed);
	recoveries(seed);
	trainings(seed);

	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		uint64_t n = 1;

		while (one_attempt(&plans[i], n, seed))
			n++;
		printf("plan %zu: %" PRIu64 " requests, each failed once\n", i, n - 1);
		fflush(stdout);
		CHECK(n > 1, "nothing was asked for");
	}
	return EXIT_SUCCESS;
}
