/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: objects in a backing store: written, read, pinned, freed, and found again by the next process. */
#include <fcntl.h>

#include "backing/record.h"
#include "tests/backing/made.h"

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
	struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_and_read), cmocka_unit_test(test_overhead),
		cmocka_unit_test(test_lengths),	       cmocka_unit_test(test_order),
		cmocka_unit_test(test_full),	       cmocka_unit_test(test_pin),
		cmocka_unit_test(test_bring_back),     cmocka_unit_test(test_use),
		cmocka_unit_test(test_few_readers),    cmocka_unit_test(test_recover),
		cmocka_unit_test(test_claim),
	};

	return RUN_BY_BOTH(tests);
}
