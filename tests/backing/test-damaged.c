/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: bytes of a backing store that are others than were written, and objects that are not those that
 * are looked for: an error of that page, and never wrong data.
 */
#include <fcntl.h>

#include "backing/record.h"
#include "tests/backing/made.h"

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

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_clean_damaged),
		cmocka_unit_test(test_not_that_object),
	};

	return RUN_BY_BOTH(tests);
}
