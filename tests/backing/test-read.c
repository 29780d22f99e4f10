/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: objects that stand in a row in a backing store are read in one piece, and in no other
 * sectors; each has its own error, whatever becomes of the piece.
 *
 * The linker has the engine come by here (--wrap), so that requests are seen, and fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "backing/types.h"
#include "tests/backing/fixture.h"

#define SIZE	 (6 * MIB)
#define BLOCK	 4096U /* of the engine, whatever the file's is */
#define OBJECTS	 256U
#define SMALL	 1000U /* bytes, of a record of 1016: four in a sector, and the rest in the next */
#define REQUESTS 1024U

int __real_engine_open(const struct engine_options *o, struct engine **ret, char *why);
int __wrap_engine_open(const struct engine_options *o, struct engine **ret, char *why);

static struct {
	struct engine engine;
	struct engine *real;
	/* reads, since the last count; they are submitted by one thread */
	struct {
		uint64_t start, end;
	} reads[REQUESTS];
	unsigned int count;
	int error;		       /* of all reads longer than LONG bytes */
	uint32_t most;		       /* LONG */
	bool bad_blocks[SIZE / BLOCK]; /* whoever reads one of them gets EIO */
} front;

static struct {
	char path[256];
	struct backing *backing;
	struct backing_object objects[OBJECTS];
	uint8_t payload[OBJECTS][BACKING_OBJECT_MAX]; /* what it is to be */
	uint8_t found[OBJECTS][BACKING_OBJECT_MAX];
	struct backing_fetch fetches[OBJECTS];
	unsigned int count; /* of fetches */
} world;

static int outcome(uint64_t start, uint64_t end)
{
	if (front.error < 0 && end - start > front.most)
		return front.error;
	for (uint64_t block = start / BLOCK; block < end / BLOCK; block++)
		if (front.bad_blocks[block])
			return -EIO;
	return 0;
}

static void front_submit(struct engine *engine, struct engine_io *io)
{
	for (struct engine_io *next; io; io = next) {
		uint64_t start = io->offset, end = io->offset + io->len;
		int error = io->op == ENGINE_READ ? outcome(start, end) : 0;

		next = io->next;
		io->next = NULL;
		if (io->op == ENGINE_READ) {
			assert_in_range(front.count, 0, REQUESTS - 1);
			front.reads[front.count].start = start;
			front.reads[front.count++].end = end;
		}
		if (error < 0)
			io->done(io, error);
		else
			engine_submit(front.real, io);
	}
}

static void front_close(struct engine *engine)
{
	engine_close(front.real);
}

int __wrap_engine_open(const struct engine_options *o, struct engine **ret, char *why)
{
	static const struct engine_ops ops = {.submit = front_submit, .close = front_close};
	int r = __real_engine_open(o, &front.real, why);

	if (r < 0)
		return r;
	front.engine = *front.real;
	front.engine.ops = &ops;
	front.engine.block = BLOCK;
	*ret = &front.engine;
	return 0;
}

static bool written(void *opaque, const struct backing_object *object, const void *payload,
		    const struct backing_origin *origin, int error)
{
	assert_int_equal(error, 0);
	world.objects[object->owner] = *object;
	return true;
}

static bool names(void *opaque, const struct backing_object *object)
{
	return true;
}

static void open_store(unsigned int readers, enum backing_engine engine)
{
	struct backing_options options = {
		.where = world.path,
		.name = "test",
		.segment_size = MIB,
		.depth = 1,
		.readers = readers,
		.engine = engine,
		.ops = {.written = written, .names = names},
	};
	char why[BACKING_WHY] = "";

	file_make(world.path, SIZE);
	assert_int_equal(backing_open(&options, &world.backing, why), 0);
}

static int setup(void **state)
{
	memset(&front, 0, sizeof(front));
	memset(&world, 0, sizeof(world));
	open_store(0, *(const enum backing_engine *)*state);
	return 0;
}

static int teardown(void **state)
{
	backing_close(world.backing);
	unlink(world.path);
	return 0;
}

/* COUNT objects with these lengths, from the beginning of a segment on. */
static void store(struct rng *rng, const uint16_t *len, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		rng_bytes(rng, world.payload[i], len[i]);
		assert_int_equal(
			backing_append(world.backing, i, 0, world.payload[i], len[i], 0, NULL), 0);
	}
	assert_int_equal(backing_flush(world.backing), 0);
	assert_int_equal(location_offset(world.objects[0].location) % MIB, 0);
	front.count = 0;
}

static void store_alike(unsigned int count, uint16_t len)
{
	struct rng rng = rng_make(1);
	uint16_t lens[OBJECTS];

	for (unsigned int i = 0; i < count; i++)
		lens[i] = len;
	store(&rng, lens, count);
}

static void want(unsigned int i)
{
	struct backing_fetch *fetch = &world.fetches[world.count++];

	*fetch = (struct backing_fetch){
		.object = world.objects[i],
		.payload = world.found[i],
		.error = 1,
	};
	memset(world.found[i], 0, sizeof(world.found[i]));
	backing_pin(world.backing, fetch->object.location);
}

static void want_all(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		want(i);
}

/* Read what is wanted: how many could not be; the others are what they have to be. */
static unsigned int read_wanted(void)
{
	unsigned int bad = 0;
	int r;

	front.count = 0;
	r = backing_read(world.backing, world.fetches, world.count);
	for (unsigned int i = 0; i < world.count; i++) {
		const struct backing_fetch *fetch = &world.fetches[i];
		uint32_t owner = fetch->object.owner;

		backing_unpin(world.backing, fetch->object.location);
		if (fetch->error == 0)
			assert_memory_equal(world.found[owner], world.payload[owner],
					    fetch->object.len);
		else
			assert_int_equal(fetch->error, -EIO);
		bad += fetch->error != 0;
	}
	assert_int_equal(r, bad > 0 ? -EIO : 0);
	world.count = 0;
	return bad;
}

static struct backing_stats stats(void)
{
	struct backing_stats s;

	backing_get_stats(world.backing, &s);
	return s;
}

static uint64_t bytes_requested(void)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < front.count; i++)
		bytes += front.reads[i].end - front.reads[i].start;
	return bytes;
}

static void test_adjacent(void **state)
{
	store_alike(32, SMALL);
	want_all(32);
	assert_int_equal(read_wanted(), 0);
	assert_int_equal(front.count, 1);
	assert_int_equal(bytes_requested(), align_up(32 * backing_record_size(SMALL), BLOCK));
	assert_int_equal(stats().reads, 32);
	assert_int_equal(stats().read_requests, 1);
	assert_int_equal(stats().bytes_read, bytes_requested());
	/* Each alone, as before. */
	for (unsigned int i = 0; i < 32; i++) {
		want(i);
		assert_int_equal(read_wanted(), 0);
		assert_int_equal(front.count, 1);
		assert_true(bytes_requested() <= 2 * BLOCK);
	}
}

static void test_any_order(void **state)
{
	store_alike(32, SMALL);
	for (unsigned int i = 0; i < 32; i++)
		want(i * 13 % 32);
	assert_int_equal(read_wanted(), 0);
	assert_int_equal(front.count, 1);
}

/* Sectors are shared, are the next to each other, or have one between them. */
static void test_gap(void **state)
{
	store_alike(32, SMALL);
	want(0);
	want(3);
	assert_int_equal(read_wanted(), 0);
	assert_int_equal(bytes_requested(), BLOCK);
	want(0);
	want(5); /* begins in the second, behind what begins in the first */
	assert_int_equal(read_wanted(), 0);
	assert_int_equal(front.count, 1);
	assert_int_equal(bytes_requested(), 2 * BLOCK);
	want(0);
	want(9); /* in the third */
	assert_int_equal(read_wanted(), 0);
	assert_int_equal(front.count, 2);
	assert_int_equal(bytes_requested(), 2 * BLOCK);
}

/* What does not fit into a buffer begins another run, with the sector that both have a part of. */
static void test_across_the_end(void **state)
{
	unsigned int count = 3 * READ_SIZE / backing_record_size(SMALL);

	store_alike(count, SMALL);
	want_all(count);
	assert_int_equal(read_wanted(), 0);
	assert_in_range(front.count, 3, 5); /* all that are sorted at a time end a run, too */
	for (unsigned int i = 0; i < front.count; i++)
		assert_true(front.reads[i].end - front.reads[i].start <= READ_SIZE);
	teardown(state);
	setup(state);
	store_alike(64, BACKING_OBJECT_MAX);
	want_all(64);
	assert_int_equal(read_wanted(), 0);
	assert_in_range(front.count, 64 / 7, 64 / 6 + 1);
}

/* More runs than there are buffers. */
static void test_one_reader(void **state)
{
	teardown(state);
	open_store(1, *(const enum backing_engine *)*state);
	store_alike(200, SMALL);
	for (unsigned int i = 0; i < 200; i += 1 + 9 * (i / 10 % 2))
		want(i);
	assert_int_equal(read_wanted(), 0);
}

static void flip(uint64_t offset)
{
	int fd = open(world.path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

/* One object is not what it was: the others of the run are. It is not read again. */
static void test_damaged(void **state)
{
	store_alike(32, SMALL);
	for (unsigned int i = 0; i < 32; i++) {
		uint64_t at = location_offset(world.objects[i].location) + i * 30;

		flip(at);
		want_all(32);
		assert_int_equal(read_wanted(), 1);
		assert_int_equal(world.fetches[i].error, -EIO);
		assert_int_equal(front.count, 1);
		flip(at);
	}
	assert_int_equal(stats().damaged, 32);
	assert_int_equal(stats().failed_reads, 0);
}

static bool stands_in(const struct backing_object *object, uint64_t block)
{
	uint64_t from = location_offset(object->location);
	uint64_t to = from + sizeof(struct record) + object->len - 1;

	return from / BLOCK <= block && block <= to / BLOCK;
}

/* A run fails for one sector: whose object stands in it cannot be read, and no other. */
static void test_bad_sector(void **state)
{
	uint64_t first, bad;

	store_alike(32, SMALL);
	first = location_offset(world.objects[0].location) / BLOCK;
	for (bad = first; bad < first + 8; bad++) {
		unsigned int expected = 0;

		front.bad_blocks[bad] = true;
		want_all(32);
		for (unsigned int i = 0; i < 32; i++)
			expected += stands_in(&world.objects[i], bad);
		assert_in_range(expected, 4, 6);
		assert_int_equal(read_wanted(), expected);
		assert_int_equal(front.count, 33);
		front.bad_blocks[bad] = false;
	}
}

/* A disk that has no long reads has short ones. An export that does not answer is asked once. */
static void test_run_fails(void **state)
{
	static const int of_link[] = {-ETIMEDOUT, -ESTALE, -ECANCELED};

	store_alike(32, SMALL);
	front.error = -EIO;
	front.most = 2 * BLOCK;
	want_all(32);
	assert_int_equal(read_wanted(), 0);
	assert_int_equal(front.count, 33);
	assert_int_equal(stats().reads, 32);
	assert_int_equal(stats().failed_reads, 0);
	front.engine.remote = true;
	for (size_t i = 0; i < ARRAY_SIZE(of_link); i++) {
		front.error = of_link[i];
		want_all(32);
		assert_int_equal(read_wanted(), 32);
		assert_int_equal(front.count, 1);
	}
	assert_int_equal(stats().failed_reads, 3 * 32);
}

/* How many of what is wanted stand in a bad sector. */
static unsigned int count_bad(void)
{
	unsigned int bad = 0;

	for (unsigned int i = 0; i < world.count; i++) {
		bool any = false;

		for (uint64_t block = 0; block < SIZE / BLOCK; block++)
			any = any || (front.bad_blocks[block] &&
				      stands_in(&world.fetches[i].object, block));
		bad += any;
	}
	return bad;
}

static bool is_wanted(uint64_t block)
{
	for (unsigned int i = 0; i < world.count; i++)
		if (stands_in(&world.fetches[i].object, block))
			return true;
	return false;
}

/* Any objects of any lengths, in any order, with bad sectors, against what is to be expected. */
static void test_any(void **state)
{
	struct rng rng = rng_make(test_seed(0));
	uint16_t lens[OBJECTS];
	bool wanted[SIZE / BLOCK];

	for (unsigned int i = 0; i < OBJECTS; i++)
		lens[i] = (uint16_t)(rng_below(&rng, 4) == 0 ? BACKING_OBJECT_MAX
							     : rng_between(&rng, 1, 3000));
	store(&rng, lens, OBJECTS);
	for (int round = 0; round < 100; round++) {
		unsigned int at = (unsigned int)rng_below(&rng, OBJECTS), bad;
		unsigned int step =
			(unsigned int)rng_between(&rng, 1, 5) * 2 - 1; /* odd: no two alike */
		unsigned int count = (unsigned int)rng_between(&rng, 1, OBJECTS);

		for (unsigned int i = 0; i < count; i++, at += step)
			want(at % OBJECTS);
		for (uint64_t block = 0; block < ARRAY_SIZE(wanted); block++) {
			wanted[block] = is_wanted(block);
			front.bad_blocks[block] = round % 2 && rng_below(&rng, 60) == 0;
		}
		bad = count_bad();
		assert_int_equal(read_wanted(), bad);
		for (unsigned int i = 0; i < front.count; i++)
			for (uint64_t block = front.reads[i].start / BLOCK;
			     block < front.reads[i].end / BLOCK; block++)
				assert_true(wanted[block]);
	}
}

#define BY(test, engine)  cmocka_unit_test_prestate_setup_teardown(test, setup, teardown, engine)
#define EACH_ENGINE(test) BY(test, &engines[0]), BY(test, &engines[1])

int main(void)
{
	static enum backing_engine engines[] = {BACKING_AUTO, BACKING_THREADS};
	const struct CMUnitTest tests[] = {
		EACH_ENGINE(test_adjacent),   EACH_ENGINE(test_any_order),
		EACH_ENGINE(test_gap),	      EACH_ENGINE(test_across_the_end),
		EACH_ENGINE(test_one_reader), EACH_ENGINE(test_damaged),
		EACH_ENGINE(test_bad_sector), EACH_ENGINE(test_run_fails),
		EACH_ENGINE(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
