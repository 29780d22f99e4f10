/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/lib/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

#define PAGE DEVICE_PAGE_SIZE

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t pages_of(const struct model *model)
{
	return (model->size + PAGE - 1) / PAGE;
}

void model_init(struct model *model, struct device *device)
{
	*model = (struct model){.device = device, .size = device_size(device)};
	model->bytes = calloc(1, model->size);
	model->held = calloc(1, pages_of(model));
	model->scratch = malloc(model->size);
	CHECK(model->bytes && model->held && model->scratch, "no memory for the model");
}

void model_view(struct model *view, const struct model *of)
{
	*view = *of;
	view->is_view = true;
	view->ops = view->errors = view->unsure = 0;
	view->expected = (struct device_stats){0};
	view->scratch = malloc(of->size);
	CHECK(view->scratch, "no memory for a view");
}

/* Views share a page's mark when they share the page. */
static enum model_held get_held(const struct model *model, uint64_t page)
{
	return __atomic_load_n(&model->held[page], __ATOMIC_RELAXED);
}

static void set_held(struct model *model, uint64_t page, enum model_held held)
{
	__atomic_store_n(&model->held[page], (uint8_t)held, __ATOMIC_RELAXED);
}

void model_collect(struct model *model, struct model *view)
{
	model->ops += view->ops;
	model->errors += view->errors;
	model->expected.reads += view->expected.reads;
	model->expected.writes += view->expected.writes;
	model->expected.trims += view->expected.trims;
	model->expected.zeroes += view->expected.zeroes;
	model->expected.flushes += view->expected.flushes;
	model->expected.bytes_read += view->expected.bytes_read;
	model->expected.bytes_written += view->expected.bytes_written;
	model->expected.failed_writes += view->expected.failed_writes;
	model->expected.invalid_io += view->expected.invalid_io;
	model->expected.notify_free += view->expected.notify_free;
	model->unsure += view->unsure;
	view->ops = view->errors = view->unsure = 0;
	view->expected = (struct device_stats){0};
}

void model_fini(struct model *model)
{
	free(model->scratch);
	if (model->is_view)
		return;
	device_stop(model->device);
	device_free(model->device);
	free(model->bytes);
	free(model->held);
}

/* Where the page that OFFSET is in ends, or the device, or the range up to END. */
static uint64_t piece_end(const struct model *model, uint64_t offset, uint64_t end)
{
	return min_u64(min_u64((offset / PAGE + 1) * PAGE, end), model->size);
}

static bool is_zero(const uint8_t *bytes, uint64_t count)
{
	return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

static bool page_is_hole(const struct model *model, uint64_t page)
{
	uint64_t start = page * PAGE;

	return is_zero(model->bytes + start, piece_end(model, start, model->size) - start);
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t count)
{
	uint64_t at = 0;

	while (at < count && a[at] == b[at])
		at++;
	return at;
}

static void read_back(struct model *model, uint64_t offset, size_t count)
{
	int err = device_read(model->device, model->scratch, offset, count);

	CHECK(err == 0, "op %" PRIu64 ": read of %zu at %" PRIu64 ": %d", model->ops, count, offset,
	      err);
	model->expected.reads++;
	model->expected.bytes_read += count;
}

void model_read(struct model *model, uint64_t offset, size_t count)
{
	model->ops++;
	memset(model->scratch, 0xa5, count);
	read_back(model, offset, count);
	CHECK(memcmp(model->scratch, model->bytes + offset, count) == 0,
	      "op %" PRIu64 ": read of %zu at %" PRIu64 ": wrong byte at %" PRIu64, model->ops,
	      count, offset,
	      offset + first_difference(model->scratch, model->bytes + offset, count));
}

void model_learn(struct model *model, uint64_t offset, size_t count)
{
	read_back(model, offset, count);
	memcpy(model->bytes + offset, model->scratch, count);
	for (uint64_t page = offset / PAGE; page * PAGE < offset + count; page++)
		set_held(model, page, page_is_hole(model, page) ? MODEL_UNSURE : MODEL_HELD);
}

/* The piece from AT to NEXT is all that there is of its page. */
static bool is_whole(const struct model *model, uint64_t at, uint64_t next)
{
	return at % PAGE == 0 && (next % PAGE == 0 || next == model->size);
}

/* A page is dropped whole, and counted if it was held. */
static void drop_page(struct model *model, uint64_t page)
{
	model->expected.notify_free += get_held(model, page) == MODEL_HELD;
	model->unsure += get_held(model, page) == MODEL_UNSURE;
	set_held(model, page, MODEL_EMPTY);
}

/* It cannot be told whether a change came to this page: before and after it is the same. */
static void unsure_page(struct model *model, uint64_t page, bool dropping)
{
	if (dropping && get_held(model, page) != MODEL_EMPTY)
		model->unsure++;
	else if (get_held(model, page) != MODEL_EMPTY)
		return;
	set_held(model, page, MODEL_UNSURE);
}

/*
 * After a change that failed: read each page and learn which it is. NEW is what the range would
 * hold, NULL for zeros.
 */
static void settle(struct model *model, const uint8_t *new, uint64_t offset, uint64_t count)
{
	static const uint8_t zeros[PAGE];
	uint64_t end = offset + count;
	bool old_seen = false;

	model->errors++;
	model->expected.failed_writes++;
	read_back(model, offset, count);
	for (uint64_t at = offset, next; at < end; at = next) {
		const uint8_t *found = model->scratch + (at - offset);
		bool is_old, is_new, dropping;

		next = piece_end(model, at, end);
		dropping = !new &&is_whole(model, at, next);
		is_old = memcmp(found, model->bytes + at, next - at) == 0;
		is_new = memcmp(found, new ? new + (at - offset) : zeros, next - at) == 0;
		CHECK(is_old || (is_new && !old_seen),
		      "op %" PRIu64 ": after an error %" PRIu64 " is not what it was", model->ops,
		      at);
		old_seen |= !is_new;
		if (is_old && is_new)
			unsure_page(model, at / PAGE, dropping);
		else if (is_new && dropping)
			drop_page(model, at / PAGE);
		else if (is_new)
			set_held(model, at / PAGE, MODEL_HELD);
		memcpy(model->bytes + at, found, next - at);
	}
}

static bool no_room(int err)
{
	return err == -ENOSPC || err == -ENOMEM;
}

int model_write(struct model *model, const void *buf, uint64_t offset, size_t count)
{
	int err = device_write(model->device, buf, offset, count);

	model->ops++;
	model->expected.writes++;
	if (err != 0) {
		CHECK(no_room(err), "op %" PRIu64 ": write of %zu at %" PRIu64 ": %d", model->ops,
		      count, offset, err);
		settle(model, buf, offset, count);
		return err;
	}
	model->expected.bytes_written += count;
	memcpy(model->bytes + offset, buf, count);
	for (uint64_t at = offset; at < offset + count; at = piece_end(model, at, offset + count))
		set_held(model, at / PAGE, MODEL_HELD);
	return 0;
}

/* Whole pages lose their content; of a page in part, only zero touches any. */
static void drop(struct model *model, uint64_t offset, uint64_t count, bool parts)
{
	uint64_t end = offset + count;

	for (uint64_t at = offset, next; at < end; at = next) {
		next = piece_end(model, at, end);
		if (is_whole(model, at, next))
			drop_page(model, at / PAGE);
		else if (!parts)
			continue;
		else
			unsure_page(model, at / PAGE, false);
		memset(model->bytes + at, 0, next - at);
	}
}

void model_trim(struct model *model, uint64_t offset, uint64_t count)
{
	int err = device_trim(model->device, offset, count);

	model->ops++;
	CHECK(err == 0, "op %" PRIu64 ": trim of %" PRIu64 " at %" PRIu64 ": %d", model->ops, count,
	      offset, err);
	model->expected.trims++;
	drop(model, offset, count, false);
}

int model_zero(struct model *model, uint64_t offset, uint64_t count)
{
	int err = device_zero(model->device, offset, count);

	model->ops++;
	model->expected.zeroes++;
	if (err != 0) {
		CHECK(no_room(err), "op %" PRIu64 ": zero of %" PRIu64 " at %" PRIu64 ": %d",
		      model->ops, count, offset, err);
		settle(model, NULL, offset, count);
		return err;
	}
	drop(model, offset, count, true);
	return 0;
}

struct extent_walk {
	const struct model *model;
	uint64_t next, end;
};

static int check_extent(void *opaque, uint64_t offset, uint64_t length, bool hole)
{
	struct extent_walk *walk = opaque;
	const struct model *model = walk->model;

	CHECK(offset == walk->next && length > 0 && length <= walk->end - offset,
	      "op %" PRIu64 ": extent %" PRIu64 "+%" PRIu64 ", expected from %" PRIu64
	      " to at most %" PRIu64,
	      model->ops, offset, length, walk->next, walk->end);
	walk->next = offset + length;
	for (uint64_t page = offset / PAGE; page * PAGE < walk->next; page++)
		CHECK(page_is_hole(model, page) == hole,
		      "op %" PRIu64 ": page %" PRIu64 " is %s hole", model->ops, page,
		      hole ? "no" : "a");
	return 0;
}

void model_extents(struct model *model, uint64_t offset, uint64_t count)
{
	struct extent_walk walk = {.model = model, .next = offset, .end = offset + count};
	int err = device_extents(model->device, offset, count, check_extent, &walk);

	model->ops++;
	CHECK(err == 0, "op %" PRIu64 ": extents: %d", model->ops, err);
	CHECK(walk.next == walk.end, "op %" PRIu64 ": extents end at %" PRIu64 " before %" PRIu64,
	      model->ops, walk.next, walk.end);
}

#define CHECK_EXPECTED(field)                                                                     \
	CHECK(stats.field == model->expected.field,                                               \
	      "op %" PRIu64 ": " #field " is %" PRIu64 ", not %" PRIu64, model->ops, stats.field, \
	      model->expected.field)

static void check_held(struct model *model, const struct device_stats *stats)
{
	uint64_t pages = stats->pages_same + stats->pages_pool + stats->pages_backing;
	uint64_t held = 0, unsure = 0;

	for (uint64_t page = 0; page < pages_of(model); page++) {
		held += get_held(model, page) == MODEL_HELD;
		unsure += get_held(model, page) == MODEL_UNSURE;
	}
	CHECK(pages >= held && pages <= held + unsure,
	      "op %" PRIu64 ": %" PRIu64 " same + %" PRIu64 " in the pool + %" PRIu64
	      " in the backing store, not %" PRIu64 " and at most %" PRIu64 " more",
	      model->ops, stats->pages_same, stats->pages_pool, stats->pages_backing, held, unsure);
	CHECK(stats->notify_free >= model->expected.notify_free &&
		      stats->notify_free <= model->expected.notify_free + model->unsure,
	      "op %" PRIu64 ": notify_free is %" PRIu64 ", not %" PRIu64 " and at most %" PRIu64
	      " more",
	      model->ops, stats->notify_free, model->expected.notify_free, model->unsure);
}

void model_stats(struct model *model)
{
	struct device_stats stats;

	device_get_stats(model->device, &stats);
	CHECK_EXPECTED(reads);
	CHECK_EXPECTED(writes);
	CHECK_EXPECTED(trims);
	CHECK_EXPECTED(zeroes);
	CHECK_EXPECTED(flushes);
	CHECK_EXPECTED(bytes_read);
	CHECK_EXPECTED(bytes_written);
	CHECK_EXPECTED(failed_reads);
	CHECK_EXPECTED(failed_writes);
	CHECK_EXPECTED(invalid_io);
	check_held(model, &stats);
	CHECK(stats.payload <= stats.pages_pool * PAGE && stats.payload >= stats.pages_raw * PAGE &&
		      stats.payload <= stats.pool,
	      "op %" PRIu64 ": payload %" PRIu64 " in a pool of %" PRIu64, model->ops,
	      stats.payload, stats.pool);
	CHECK(stats.mem_limit == 0 || stats.pool_max <= stats.mem_limit ||
		      stats.pool_max <= model->mem_limit,
	      "op %" PRIu64 ": the pool went to %" PRIu64 ", past %" PRIu64, model->ops,
	      stats.pool_max, stats.mem_limit);
}

void model_check(struct model *model)
{
	const char *why = "";
	int err = device_validate(model->device, &why);

	CHECK(err == 0, "op %" PRIu64 ": %s: %d", model->ops, why, err);
	model_read(model, 0, model->size);
	model_extents(model, 0, model->size);
	model_stats(model);
}
