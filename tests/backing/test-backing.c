/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: objects in a backing store: written, read, freed, cleaned, recovered, and damaged.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "backing/record.h"
#include "tests/backing/fixture.h"

#define PAGES 4096U

struct made {
	char path[256];
	struct table table;
	struct backing_options options;
};

/* A store of SIZE bytes in a new file, by the engine under test. */
static void make(struct made *m, void **state, uint64_t size)
{
	file_make(m->path, size);
	table_init(&m->table, PAGES);
	m->options = table_options(&m->table, m->path);
	m->options.engine = *(const enum backing_engine *)*state;
	table_open(&m->table, &m->options);
}

static void end(struct made *m)
{
	if (m->table.backing)
		table_close(&m->table);
	table_fini(&m->table);
	unlink(m->path);
}

/* New versions of pages, into the store. */
static void store(struct table *t, uint32_t first, uint32_t count)
{
	for (uint32_t page = first; page < first + count; page++) {
		table_write(t, page);
		assert_int_equal(table_evict(t, page), 0);
	}
	assert_int_equal(backing_flush(t->backing), 0);
	for (uint32_t page = first; page < first + count; page++)
		assert_int_equal(table_state(t, page), PAGE_STORED);
}

static void check_all(struct table *t, uint32_t first, uint32_t count)
{
	for (uint32_t page = first; page < first + count; page += TABLE_READ_MAX) {
		uint32_t n = (uint32_t)min_u64(TABLE_READ_MAX, first + count - page);

		assert_int_equal(table_read(t, page, n, false), 0);
	}
}

static void test_write_and_read(void **state)
{
	struct backing_stats stats;
	struct made m;

	make(&m, state, 16 * MIB);
	store(&m.table, 0, PAGES);
	check_all(&m.table, 0, PAGES);
	stats = stats_of(&m.table);
	assert_int_equal(stats.objects, PAGES);
	assert_int_equal(stats.reads, PAGES);
	assert_int_equal(stats.live, table_live(&m.table));
	assert_int_equal(stats.state, BACKING_READY);
	assert_int_equal(stats.damaged + stats.failed_reads + stats.failed_writes, 0);
	/* No read takes more than the sectors that its object touches. */
	assert_true(stats.bytes_read <
		    stats.payload + PAGES * (sizeof(struct record) + 2 * UINT64_C(4096)));
	end(&m);
}

/* Bytes written against payload, of segments of the usual size. */
static void test_overhead(void **state)
{
	struct backing_stats stats;
	struct made m;

	make(&m, state, MIB);
	backing_close(m.table.backing);
	m.options.segment_size = 0;
	m.options.file_size = 64 * MIB;
	table_open(&m.table, &m.options);
	store(&m.table, 0, PAGES);
	stats = stats_of(&m.table);
	printf("payload %llu, written %llu: %.4f\n", (unsigned long long)stats.payload,
	       (unsigned long long)stats.bytes_written,
	       (double)stats.bytes_written / (double)stats.payload);
	assert_true(stats.bytes_written * 100 <= stats.payload * 105);
	assert_true(stats.bytes_written >= stats.payload);
	end(&m);
}

/* The shortest, the longest, and what ends right at, before and behind a unit. */
static void test_lengths(void **state)
{
	static const size_t lengths[] = {1, 2, 3, 4, 5, 11, 12, 13, 500, 512, 4084, 4095, 4096};
	uint8_t payload[BACKING_OBJECT_MAX];
	struct rng rng = rng_make(1);
	struct made m;

	make(&m, state, MIB);
	m.table.errors_expected = true;
	rng_bytes(&rng, payload, sizeof(payload));
	for (uint32_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct backing_object object = {
			.owner = i, .len = (uint16_t)lengths[i], .encoding = i % 32};
		uint8_t found[BACKING_OBJECT_MAX];
		struct backing_fetch fetch = {.payload = found};

		assert_int_equal(backing_append(m.table.backing, i, object.encoding, payload,
						lengths[i], 0, &object.location),
				 0);
		/* The table knows nothing of it, so it is dead once it is written: unless pinned.
		 */
		backing_pin(m.table.backing, object.location);
		assert_int_equal(backing_flush(m.table.backing), 0);
		fetch.object = object;
		assert_int_equal(backing_read(m.table.backing, &fetch, 1), 0);
		assert_memory_equal(found, payload, lengths[i]);
		backing_unpin(m.table.backing, object.location);
	}
	assert_int_equal(backing_append(m.table.backing, 0, 0, payload, 0, 0, NULL), -EINVAL);
	assert_int_equal(backing_append(m.table.backing, 0, 0, payload, 4097, 0, NULL), -EINVAL);
	assert_int_equal(backing_append(m.table.backing, 0, 32, payload, 1, 0, NULL), -EINVAL);
	end(&m);
}

/* Nothing is named that has not been written, and of one owner one object is on its way. */
static void test_order(void **state)
{
	struct made m;

	make(&m, state, MIB);
	table_write(&m.table, 7);
	assert_int_equal(table_evict(&m.table, 7), 0);
	backing_reap(m.table.backing);
	assert_int_equal(table_state(&m.table, 7), PAGE_MARKED);
	table_write(&m.table, 7);
	assert_int_equal(table_evict(&m.table, 7), -EALREADY);
	assert_int_equal(table_state(&m.table, 7), PAGE_POOL);
	assert_int_equal(backing_flush(m.table.backing), 0);
	/* What was written was the old version, and nobody's. */
	assert_int_equal(table_state(&m.table, 7), PAGE_POOL);
	assert_int_equal(m.table.refused, 1);
	assert_int_equal(stats_of(&m.table).live, 0);
	assert_int_equal(table_evict(&m.table, 7), 0);
	assert_int_equal(backing_flush(m.table.backing), 0);
	assert_int_equal(table_state(&m.table, 7), PAGE_STORED);
	check_all(&m.table, 7, 1);
	end(&m);
}

/* Fill it until it is full; returns how many pages went in. */
static uint32_t fill(struct table *t)
{
	uint32_t page;
	int r = 0;

	for (page = 0; page < t->pages && r == 0; page++) {
		table_write(t, page);
		r = table_evict(t, page);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(table_state(t, page - 1), PAGE_POOL);
	assert_int_equal(backing_flush(t->backing), 0);
	return page - 1;
}

static void test_full(void **state)
{
	struct made m;
	uint32_t n;

	make(&m, state, MIB);
	n = fill(&m.table);
	assert_int_equal(backing_get_state(m.table.backing), BACKING_READY);
	check_all(&m.table, 0, n);
	/* All of it is live: there is nothing to clean. */
	assert_false(backing_wants_cleaning(m.table.backing));
	assert_int_equal(backing_clean(m.table.backing), -EAGAIN);
	/* Every segment comes free again with its last object. */
	for (int round = 0; round < 20; round++) {
		for (uint32_t page = 0; page < n; page++)
			table_drop(&m.table, page);
		assert_int_equal(stats_of(&m.table).free, stats_of(&m.table).segments);
		n = fill(&m.table);
		check_all(&m.table, 0, n);
	}
	end(&m);
}

/* However little is written at a time, the next goes behind it. */
static void test_flushed_often(void **state)
{
	struct backing_stats stats;
	struct made m;

	make(&m, state, 2 * MIB);
	for (uint32_t page = 0; page < 600; page += 10)
		store(&m.table, page, 10);
	stats = stats_of(&m.table);
	/* Up to 4 KiB a time are lost, and the end of a segment. */
	assert_true((stats.segments - stats.free) * stats.segment_size <=
		    stats.live + 60 * UINT64_C(4096) + 64 * KIB);
	check_all(&m.table, 0, 600);
	/* Cleaning finds what is behind such an end. */
	for (uint32_t page = 0; page < 600; page++)
		if (page % 10 != 9)
			table_drop(&m.table, page);
	for (int i = 0; i < 30; i++)
		if (backing_clean(m.table.backing) < 0)
			break;
	assert_int_equal(backing_flush(m.table.backing), 0);
	stats = stats_of(&m.table);
	assert_true(stats.cleaned >= 3);
	assert_true((stats.segments - stats.free) * stats.segment_size <=
		    2 * stats.live + 128 * KIB);
	for (uint32_t page = 9; page < 600; page += 10)
		assert_int_equal(table_read(&m.table, page, 1, false), 0);
	end(&m);
}

/* A full store with holes all over is cleaned until there is room again. */
static void test_clean(void **state)
{
	struct backing_stats stats;
	struct made m;
	uint32_t n;
	int r;

	make(&m, state, 2 * MIB);
	n = fill(&m.table);
	for (uint32_t page = 0; page < n; page++)
		if (page % 4 != 0)
			table_drop(&m.table, page);
	assert_true(stats_of(&m.table).free < 8);
	assert_true(backing_wants_cleaning(m.table.backing));
	do {
		r = backing_clean(m.table.backing);
		assert_true(r == 0 || r == -EAGAIN);
	} while (r == 0);
	assert_int_equal(backing_flush(m.table.backing), 0);
	stats = stats_of(&m.table);
	assert_true(stats.moved > 0);
	assert_int_equal(stats.moved, m.table.moved);
	/* A quarter is live: half as much again is what segments that are half dead take beside it.
	 */
	assert_true(stats.free > stats.segments / 3);
	check_all(&m.table, 0, n);
	table_validate(&m.table);
	store(&m.table, n, 50);
	check_all(&m.table, 0, n + 50);
	end(&m);
}

/* Even when no segment is left but those that are kept for cleaning, and little is dead. */
static void test_clean_full(void **state)
{
	struct made m;
	uint32_t n, more;

	make(&m, state, 2 * MIB);
	n = fill(&m.table);
	for (uint32_t page = 0; page < n; page += 5)
		table_drop(&m.table, page);
	for (more = 0; more < n / 10; more++) {
		int r;

		table_write(&m.table, n + more);
		while ((r = table_evict(&m.table, n + more)) == -ENOSPC)
			assert_int_equal(backing_clean(m.table.backing), 0);
		assert_int_equal(r, 0);
	}
	assert_int_equal(backing_flush(m.table.backing), 0);
	check_all(&m.table, 0, n + more);
	end(&m);
}

/* What is pinned can be read whatever has become of its slot, and of the rest of the store. */
static void test_pin(void **state)
{
	struct backing_object objects[8];
	struct made m;

	make(&m, state, MIB);
	store(&m.table, 0, 8);
	for (uint32_t page = 0; page < 8; page++) {
		objects[page] = table_object(&m.table, page);
		backing_pin(m.table.backing, objects[page].location);
		table_drop(&m.table, page);
	}
	for (int round = 0; round < 20; round++) {
		uint32_t n = fill(&m.table);

		for (uint32_t page = 0; page < n; page++)
			table_drop(&m.table, page);
	}
	for (uint32_t page = 0; page < 8; page++) {
		uint8_t found[BACKING_OBJECT_MAX];
		struct backing_fetch fetch = {.object = objects[page], .payload = found};

		assert_int_equal(backing_read(m.table.backing, &fetch, 1), 0);
		backing_unpin(m.table.backing, objects[page].location);
	}
	assert_int_equal(stats_of(&m.table).free, stats_of(&m.table).segments);
	end(&m);
}

static void test_bring_back(void **state)
{
	struct made m;

	make(&m, state, MIB);
	store(&m.table, 0, 64);
	assert_int_equal(table_read(&m.table, 0, 64, true), 0);
	for (uint32_t page = 0; page < 64; page++)
		assert_int_equal(table_state(&m.table, page), PAGE_POOL);
	assert_int_equal(stats_of(&m.table).live, 0);
	end(&m);
}

/* Where an object stood stands another, by another location; and behind it nothing of what was. */
static void test_use(void **state)
{
	unsigned int last[MIB / (64 * KIB)] = {0}, seen = 0;
	struct made m;

	make(&m, state, MIB);
	store(&m.table, 100, 200);
	for (uint32_t page = 100; page < 300; page++)
		table_drop(&m.table, page);
	for (int i = 0; i < 3200; i++) {
		uint64_t offset, behind;
		unsigned int segment, use;
		uint8_t rest[4096];
		int fd;

		store(&m.table, 1, 1);
		offset = location_offset(table_object(&m.table, 1).location);
		use = location_use(table_object(&m.table, 1).location);
		segment = (unsigned int)(offset / (64 * KIB));
		assert_int_equal(offset % 4096, 0);
		if (last[segment] > 0 && offset % (64 * KIB) != 0) {
			assert_int_equal(use + 1, last[segment]);
		} else if (last[segment] > 0) {
			assert_int_equal(use, last[segment] % 8); /* it was one less */
			seen++;
		}
		last[segment] = use + 1;
		behind = offset + backing_record_size(table_object(&m.table, 1).len);
		fd = open(m.path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		/* The last one's end is the file's. */
		assert_true(pread(fd, rest, sizeof(rest), (off_t)behind) >=
			    (ssize_t)(align_up(behind, 4096) - behind));
		close(fd);
		for (uint64_t at = behind; at < align_up(behind, 4096); at++)
			assert_int_equal(rest[at - behind], 0);
	}
	assert_true(seen > 100);
	end(&m);
}

/* More at once than there are buffers. */
static void test_few_readers(void **state)
{
	struct made m;

	make(&m, state, MIB);
	backing_close(m.table.backing);
	m.options.readers = 3;
	m.options.depth = 1;
	table_open(&m.table, &m.options);
	store(&m.table, 0, 64);
	check_all(&m.table, 0, 64);
	end(&m);
}

static void flip(const char *path, uint64_t offset, uint8_t bits)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= bits;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

/* Any bit of a record or a payload: that page alone cannot be read, and can again when it is put
 * right. */
static void test_damaged(void **state)
{
	uint64_t seed = test_seed(0), damaged = 0;
	struct rng rng = rng_make(seed);
	struct made m;

	make(&m, state, MIB);
	store(&m.table, 0, 40);
	for (int i = 0; i < 200; i++) {
		uint32_t page = (uint32_t)rng_below(&rng, 40);
		struct backing_object object = table_object(&m.table, page);
		uint64_t at = location_offset(object.location);
		uint64_t byte = at + (i < 12 ? (unsigned int)i
					     : rng_below(&rng, sizeof(struct record) + object.len));
		uint8_t bit = (uint8_t)(1U << rng_below(&rng, 8));

		flip(m.path, byte, bit);
		assert_int_equal(table_read(&m.table, 0, 40, false), 1);
		assert_int_equal(table_read(&m.table, page, 1, true), 1);
		damaged += 2;
		flip(m.path, byte, bit);
		assert_int_equal(table_read(&m.table, 0, 40, false), 0);
	}
	assert_int_equal(stats_of(&m.table).damaged, damaged);
	end(&m);
}

/* An object that cannot be read stays where it is when its segment is cleaned, which is tried once.
 */
static void test_clean_damaged(void **state)
{
	struct made m;
	uint64_t at;

	make(&m, state, MIB);
	store(&m.table, 0, 40);
	for (uint32_t page = 3; page < 40; page++)
		table_drop(&m.table, page);
	at = location_offset(table_object(&m.table, 1).location);
	flip(m.path, at + sizeof(struct record), 1);
	assert_int_equal(backing_clean(m.table.backing), -EIO);
	assert_int_equal(backing_clean(m.table.backing), -EAGAIN);
	assert_int_equal(backing_flush(m.table.backing), 0);
	assert_int_equal(m.table.moved, 2);
	assert_int_equal(table_read(&m.table, 0, 3, false), 1);
	table_validate(&m.table);
	for (uint32_t page = 0; page < 3; page++)
		table_drop(&m.table, page);
	/* The same of one whose owner is damaged, which nobody is asked for. */
	store(&m.table, 100, 20);
	for (uint32_t page = 103; page < 120; page++)
		table_drop(&m.table, page);
	at = location_offset(table_object(&m.table, 101).location);
	flip(m.path, at + offsetof(struct record, owner) + 3, 0x80);
	assert_int_equal(backing_clean(m.table.backing), 0);
	assert_int_equal(backing_clean(m.table.backing), -EAGAIN);
	assert_int_equal(backing_flush(m.table.backing), 0);
	assert_int_equal(table_read(&m.table, 100, 3, false), 1);
	for (uint32_t page = 100; page < 103; page++)
		table_drop(&m.table, page);
	/* Its length is wrong: nothing behind it in its batch is found. */
	store(&m.table, 10, 20);
	for (uint32_t page = 13; page < 30; page++)
		table_drop(&m.table, page);
	at = location_offset(table_object(&m.table, 10).location);
	flip(m.path, at + offsetof(struct record, info) + 1, 0x08);
	assert_int_equal(backing_clean(m.table.backing), 0);
	assert_int_equal(backing_clean(m.table.backing), -EAGAIN);
	assert_int_equal(backing_flush(m.table.backing), 0);
	assert_int_equal(table_read(&m.table, 10, 3, false), 1);
	/* When it is put right, and cleaning begins again, it is moved. */
	flip(m.path, at + offsetof(struct record, info) + 1, 0x08);
	backing_retry(m.table.backing);
	assert_int_equal(backing_clean(m.table.backing), 0);
	assert_int_equal(backing_flush(m.table.backing), 0);
	assert_int_equal(table_read(&m.table, 10, 3, false), 0);
	end(&m);
}

/* What stands at its place is another object's: a page's older version, another page, another
 * store's. */
static void test_not_that_object(void **state)
{
	uint8_t found[BACKING_OBJECT_MAX];
	struct backing_fetch fetch = {.payload = found};
	struct backing_object object;
	struct made m;

	make(&m, state, MIB);
	store(&m.table, 0, 4);
	object = table_object(&m.table, 2);
	for (int what = 0; what < 5; what++) {
		fetch.object = object;
		if (what == 0)
			fetch.object.owner = 3;
		else if (what == 1)
			fetch.object.encoding ^= 1;
		else if (what == 2)
			fetch.object.len = object.len > 1 ? object.len - 1 : 2;
		else if (what == 3)
			fetch.object.location ^= UINT64_C(1) << RECORD_OFFSET_BITS;
		else
			fetch.object.location += 1;
		assert_int_equal(backing_read(m.table.backing, &fetch, 1), -EIO);
		assert_int_equal(fetch.error, -EIO);
	}
	backing_close(m.table.backing);
	table_open(&m.table, &m.options); /* begins anew, with another UUID */
	fetch.object = object;
	assert_int_equal(backing_read(m.table.backing, &fetch, 1), -EIO);
	backing_close(m.table.backing);
	m.table.backing = NULL;
	end(&m);
}

static void test_recover(void **state)
{
	uint8_t uuid[16];
	struct made m;

	make(&m, state, 8 * MIB);
	for (int round = 0; round < 5; round++) {
		for (uint32_t page = 0; page < 1000; page++)
			table_drop(&m.table, page);
		store(&m.table, 0, 1000);
		for (uint32_t page = 0; page < 1000; page += 3)
			table_drop(&m.table, page);
		backing_get_uuid(m.table.backing, uuid);
		table_close(&m.table);
		m.options.recover = uuid;
		table_open(&m.table, &m.options);
		table_recover(&m.table);
		table_validate(&m.table);
		check_all(&m.table, 0, 1000);
	}
	end(&m);
}

/* What a slot cannot name. */
static void test_claim(void **state)
{
	struct backing_object object = {.owner = 1, .len = 100};
	const uint64_t segment = 64 * KIB;
	struct made m;

	make(&m, state, MIB);
	for (int what = 0; what < 6; what++) {
		object.len = 100;
		if (what == 0)
			object.location = location_make(0, 0); /* the header's */
		else if (what == 1)
			object.location = location_make(MIB, 0); /* beyond the end */
		else if (what == 2)
			object.location = location_make(2 * segment - 64, 0); /* in two segments */
		else if (what == 3)
			object.location = UINT64_MAX;
		else
			object.location = location_make(segment, 0);
		if (what == 4)
			object.len = 0;
		if (what == 5)
			object.len = 4097;
		assert_int_equal(backing_claim(m.table.backing, &object), -EUCLEAN);
	}
	object.len = 4096;
	object.location = location_make(segment, 5);
	for (int i = 0; i < 15; i++)
		assert_int_equal(backing_claim(m.table.backing, &object), 0);
	/* More than there is room for, and an object of another use of the segment. */
	assert_int_equal(backing_claim(m.table.backing, &object), -EUCLEAN);
	object.location = location_make(2 * segment, 5);
	assert_int_equal(backing_claim(m.table.backing, &object), 0);
	object.location = location_make(2 * segment, 6);
	assert_int_equal(backing_claim(m.table.backing, &object), -EUCLEAN);
	assert_int_equal(stats_of(&m.table).live, 16 * backing_record_size(4096));
	backing_close(m.table.backing);
	m.table.backing = NULL;
	end(&m);
}

int main(void)
{
	static enum backing_engine engines[] = {BACKING_AUTO, BACKING_THREADS};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		const struct CMUnitTest tests[] = {
			cmocka_unit_test_prestate(test_write_and_read, &engines[i]),
			cmocka_unit_test_prestate(test_overhead, &engines[i]),
			cmocka_unit_test_prestate(test_lengths, &engines[i]),
			cmocka_unit_test_prestate(test_order, &engines[i]),
			cmocka_unit_test_prestate(test_full, &engines[i]),
			cmocka_unit_test_prestate(test_flushed_often, &engines[i]),
			cmocka_unit_test_prestate(test_clean, &engines[i]),
			cmocka_unit_test_prestate(test_clean_full, &engines[i]),
			cmocka_unit_test_prestate(test_pin, &engines[i]),
			cmocka_unit_test_prestate(test_bring_back, &engines[i]),
			cmocka_unit_test_prestate(test_use, &engines[i]),
			cmocka_unit_test_prestate(test_few_readers, &engines[i]),
			cmocka_unit_test_prestate(test_damaged, &engines[i]),
			cmocka_unit_test_prestate(test_clean_damaged, &engines[i]),
			cmocka_unit_test_prestate(test_not_that_object, &engines[i]),
			cmocka_unit_test_prestate(test_recover, &engines[i]),
			cmocka_unit_test_prestate(test_claim, &engines[i]),
		};

		failed += cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
