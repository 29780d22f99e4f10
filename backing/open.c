/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening and closing a backing store, and what it says of itself. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backing/types.h"

static int check(struct backing_options *o, char *why)
{
	if (o->segment_size == 0)
		o->segment_size = SEGMENT_SIZE_DEFAULT;
	if (o->depth == 0)
		o->depth = DEPTH_DEFAULT;
	if (o->readers == 0)
		o->readers = READERS_DEFAULT;
	if (o->patience == 0)
		o->patience = PATIENCE_DEFAULT;
	if (o->segment_size < SEGMENT_SIZE_MIN || o->segment_size > SEGMENT_SIZE_MAX ||
	    (o->segment_size & (o->segment_size - 1)) != 0)
		return engine_why(why, -EINVAL,
				  "a segment has 64 KiB to 16 MiB, and a power of two");
	if (o->depth > DEPTH_MAX)
		return engine_why(why, -EINVAL, "at most %u segments are written at a time",
				  DEPTH_MAX);
	if (o->readers > READERS_MAX)
		return engine_why(why, -EINVAL, "at most %u reads are under way at a time",
				  READERS_MAX);
	if (o->name && strlen(o->name) >= BACKING_NAME)
		return engine_why(why, -EINVAL, "a name has at most %d bytes", BACKING_NAME - 1);
	return 0;
}

static struct backing *allocate(const struct backing_options *options)
{
	struct backing *b = aligned_alloc(CACHE_LINE, align_up(sizeof(*b), CACHE_LINE));

	if (!b)
		return NULL;
	memset(b, 0, sizeof(*b));
	pthread_mutex_init(&b->lock, NULL);
	headroom_init(&b->headroom);
	b->options = *options;
	b->segment_size = options->segment_size;
	b->batch_objects_max = b->segment_size / RECORD_MEAN_MIN;
	b->batches = calloc(options->depth, sizeof(*b->batches));
	b->readers = aligned_alloc(CACHE_LINE, options->readers * sizeof(*b->readers));
	if (b->readers)
		memset(b->readers, 0, options->readers * sizeof(*b->readers));
	if (!b->batches || !b->readers || memory_open(b) < 0) {
		backing_close(b);
		return NULL;
	}
	return b;
}

static int open_engine(struct backing *b, const struct backing_options *o, char *why)
{
	struct engine_options options = {
		.where = o->where,
		.file_size = o->file_size,
		.patience = o->patience,
		/* and one that is waited for: engine_do() */
		.requests = o->depth + o->readers + 1,
		.engine = o->engine,
		.memory = b->memory,
		.memory_size = b->memory_size,
		.begin_thread = o->ops.begin_thread,
		.opaque = o->ops.opaque,
	};
	int r = engine_open(&options, &b->engine, why);

	if (r < 0)
		return r;
	if (b->engine->block > ENGINE_BLOCK_MAX || (b->engine->block & (b->engine->block - 1)) != 0)
		return engine_why(why, -EINVAL, "its sectors have %u bytes, more than %u",
				  b->engine->block, ENGINE_BLOCK_MAX);
	return 0;
}

/* SIZE: of the store. */
static int count_segments(struct backing *b, uint64_t size, char *why)
{
	uint64_t most = (RECORD_UNIT << RECORD_OFFSET_BITS) / b->segment_size;
	uint64_t n = min_u64(size / b->segment_size, most);

	if (n < 1 + SEGMENTS_MIN)
		return engine_why(why, -EINVAL, "too small: %u segments of %u bytes are needed",
				  1 + SEGMENTS_MIN, b->segment_size);
	b->nr_segments = (uint32_t)n;
	return 0;
}

static int have_segments(struct backing *b, char *why)
{
	uint64_t n, words;
	int r = count_segments(b, b->engine->size, why);

	if (r < 0)
		return r;
	n = b->nr_segments;
	words = (n + 63) / 64;
	b->segments = calloc(n, sizeof(*b->segments));
	b->free_map = calloc(words, sizeof(*b->free_map));
	if (!b->segments || !b->free_map ||
	    os_prefault(b->segments, n * sizeof(*b->segments)) < 0 ||
	    os_prefault(b->free_map, words * sizeof(*b->free_map)) < 0)
		return engine_why(why, -ENOMEM, "no memory");
	b->segments[0].state = SEGMENT_BUSY;
	for (uint64_t i = 1; i < n; i++)
		b->free_map[i / 64] |= UINT64_C(1) << (i % 64);
	b->nr_free = b->nr_segments - 1;
	return 0;
}

static int begin(struct backing_options *options, struct backing **ret_backing, char *why)
{
	struct backing *b;
	int r = check(options, why);

	if (r < 0) {
		backing_close(options->ahead);
		return r;
	}
	b = options->ahead ? options->ahead : allocate(options);
	if (!b)
		return engine_why(why, -ENOMEM, "no memory");
	b->options = *options;
	*ret_backing = b;
	return 0;
}

/* The outcome of what may have failed. */
static int end(struct backing *b, int r, struct backing **ret_backing)
{
	if (r < 0) {
		backing_close(b);
		return r;
	}
	/* They were borrowed. */
	b->options.where = b->options.name = NULL;
	b->options.recover = NULL;
	b->options.ahead = NULL;
	*ret_backing = b;
	return 0;
}

int backing_open(const struct backing_options *given, struct backing **ret_backing,
		 char why[BACKING_WHY])
{
	struct backing_options options = *given;
	struct backing *b;
	int r = begin(&options, &b, why);

	if (r < 0)
		return r;
	r = open_engine(b, &options, why);
	if (r == 0)
		r = have_segments(b, why);
	if (r == 0)
		r = header_open(b, &options, why);
	return end(b, r, ret_backing);
}

/* Another process has it, if it is what we expect. */
static int look(struct backing *b, const struct backing_options *options, char *why)
{
	uint64_t size;
	int r = engine_look(options->where, b->header, &size, why);

	if (r <= 0)
		return r;
	r = count_segments(b, size, why);
	return r < 0 ? r : header_check_recovered(b, options->recover, why);
}

/* Nobody has it. */
static int try_new(struct backing *b, const struct backing_options *options, char *why)
{
	int r = open_engine(b, options, why);

	if (r == 0)
		r = count_segments(b, b->engine->size, why);
	if (r == 0)
		r = header_check_new(b, options, why);
	engine_close(b->engine);
	b->engine = NULL;
	return r;
}

int backing_expect(const struct backing_options *given, struct backing **ret_backing,
		   char why[BACKING_WHY])
{
	struct backing_options options = *given;
	struct backing *b;
	int r;

	options.ahead = NULL;
	r = begin(&options, &b, why);
	if (r < 0)
		return r;
	r = options.recover ? look(b, &options, why) : try_new(b, &options, why);
	return end(b, r, ret_backing);
}

static bool is_under_way(const struct backing *b)
{
	bool any = b->cleaning.is_reading && !__atomic_load_n(&b->cleaning.done, __ATOMIC_SEQ_CST);

	for (unsigned int i = 0; b->batches && i < b->options.depth; i++)
		any = any || (b->batches[i].state == BATCH_WRITING &&
			      !__atomic_load_n(&b->batches[i].done, __ATOMIC_SEQ_CST));
	return any;
}

/* Its buffers are the kernel's until then. An export's need not be. */
static void end_writer(struct backing *b)
{
	if (is_under_way(b))
		engine_cancel(b->engine);
	while (is_under_way(b)) {
		uint32_t sequence = parking_enter(&b->writer_parking);

		if (is_under_way(b))
			parking_wait(&b->writer_parking, sequence);
		else
			parking_leave(&b->writer_parking);
	}
}

void backing_close(struct backing *b)
{
	if (!b)
		return;
	end_writer(b);
	engine_close(b->engine);
	memory_close(b);
	free(b->batches);
	free(b->readers);
	free(b->segments);
	free(b->free_map);
	headroom_destroy(&b->headroom);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

enum backing_state backing_get_state(const struct backing *b)
{
	uint64_t ignored;
	enum engine_link link = engine_link(b->engine, &ignored);

	if (link == ENGINE_FOREIGN)
		return BACKING_FOREIGN;
	if (load_relaxed(&b->failed))
		return BACKING_FAILED;
	return link == ENGINE_GONE ? BACKING_GONE : BACKING_READY;
}

int backing_writable(const struct backing *b)
{
	switch (backing_get_state(b)) {
	case BACKING_READY:
		return 0;
	case BACKING_GONE:
		return -ENOTCONN;
	case BACKING_FAILED:
	case BACKING_FOREIGN:
		break;
	}
	return -EIO;
}

void backing_retry(struct backing *b)
{
	store_relaxed(&b->failed, 0);
	segments_retry(b);
}

void backing_get_stats(struct backing *b, struct backing_stats *ret)
{
	const struct backing_stats *s = &b->stats;

	*ret = (struct backing_stats){
		.state = backing_get_state(b),
		.error = load_relaxed(&s->error),
		.direct = b->engine->direct,
		.io_uring = b->engine->io_uring,
		.segment_size = b->segment_size,
		.segments = b->nr_segments - 1,
		.free = load_relaxed(&b->nr_free),
		.live = load_relaxed(&b->live),
		.objects = load_relaxed(&s->objects),
		.payload = load_relaxed(&s->payload),
		.bytes_written = load_relaxed(&s->bytes_written),
		.reads = load_relaxed(&s->reads),
		.bytes_read = load_relaxed(&s->bytes_read),
		.read_requests = load_relaxed(&s->read_requests),
		.cleaned = load_relaxed(&s->cleaned),
		.moved = load_relaxed(&s->moved),
		.failed_writes = load_relaxed(&s->failed_writes),
		.failed_reads = load_relaxed(&s->failed_reads),
		.damaged = load_relaxed(&s->damaged),
	};
	engine_link(b->engine, &ret->reconnects);
}
