/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: what the kernel has at hand is read as its allocator would reckon it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/headroom.h"

static uint64_t read_text(const char *text, unsigned int quarters)
{
	FILE *file = fmemopen((char *)text, strlen(text), "r");
	uint64_t pages;

	assert_non_null(file);
	pages = headroom_read(file, quarters);
	fclose(file);
	return pages;
}

/* Lines that look like those that count, before and behind them, are in real ones too. */
#define ZONE(free, min, protection)              \
	"  pages free     " free "\n"            \
	"        boost    512\n"                 \
	"        min      " min "\n"             \
	"        low      4000000\n"             \
	"        protection: (" protection ")\n" \
	"      nr_free_pages 999999\n"           \
	"      nr_free_cma  7\n"                 \
	"  pagesets\n    cpu: 0\n              count: 77\n"

static void test_above(void **state)
{
	const char *text = "Node 0, zone    DMA32\n" ZONE("1000", "400", "0, 0, 0, 0");

	assert_int_equal(read_text(text, 5), 500);
	assert_int_equal(read_text(text, 3), 700);
}

static void test_below(void **state)
{
	const char *text = "Node 0, zone    DMA32\n" ZONE("390", "400", "0, 0, 0, 0");

	assert_int_equal(read_text(text, 5), 0);
	assert_int_equal(read_text(text, 3), 90);
	assert_int_equal(read_text(text, 2), 190);
}

#define DMA32  "Node 0, zone DMA32\n"
#define NORMAL "Node 1, zone Normal\n"
#define DMA    "Node 0, zone DMA\n  per-node stats\n      nr_inactive_anon 1\n"

/* The lowest zone is kept for those who need it: it does not count before it has that too. */
static void test_zones(void **state)
{
	const char *text = DMA ZONE("500", "100", "0, 3019, 11083, 11083")
		DMA32 ZONE("1000", "400", "0, 0, 200, 200") NORMAL ZONE("50", "0", "0, 0, 0, 0");

	assert_int_equal(read_text(text, 5), 1000 - 700 + 50);
	assert_int_equal(read_text(text, 3), 1000 - 500 + 50);
}

/* The kernel rounds what it gives down, and so what it holds back up. */
static void test_rounded(void **state)
{
	const char *text = "Node 0, zone    DMA32\n" ZONE("10", "5", "0, 0, 0, 0");

	assert_int_equal(read_text(text, 3), 10 - (5 - 5 / 4));
	assert_int_equal(read_text(text, 2), 10 - (5 - 5 / 2));
}

static void test_nothing(void **state)
{
	assert_int_equal(read_text("\n", 5), 0);
	assert_int_equal(read_text("Node 0, zone DMA\n  pages free x\n  protection: (\n", 3), 0);
}

/* This machine has some memory, says so each time, and no less to the urgent. */
static void test_here(void **state)
{
	struct headroom headroom;
	uint64_t first;

	headroom_init(&headroom);
	first = headroom_pages(&headroom);
	assert_true(first > 0);
	if (headroom.zones != NULL)
		assert_true(first < UINT64_MAX);
	assert_true(headroom_pages(&headroom) > 0);
	assert_true(headroom_ordinary(&headroom) > 0);
	headroom_destroy(&headroom);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_above),	cmocka_unit_test(test_below),
		cmocka_unit_test(test_zones),	cmocka_unit_test(test_rounded),
		cmocka_unit_test(test_nothing), cmocka_unit_test(test_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
