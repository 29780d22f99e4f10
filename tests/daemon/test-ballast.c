/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: memory for a server to start with is taken in parts while there is much, given back when there is
 * none for others, and never more than it is to be.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/os.h"
#include "common/util.h"
#include "daemon/ballast.h"

#define PAGE 4096

/* Pages that are free: for all that is wanted, for two parts and for less. */
#define MUCH   1000000
#define ENOUGH 128
#define LITTLE (ENOUGH - 1)

static sd_event *event;
static struct ballast ballast;
static int zones;

/* What /proc/zoneinfo says from now on; nothing is held back. */
static void set_free(unsigned int pages)
{
	char text[96];
	int len = snprintf(text, sizeof(text),
			   "Node 0, zone   Normal\n  pages free     %10u\n        min      0\n",
			   pages);

	assert_int_equal(pwrite(zones, text, (size_t)len, 0), len);
}

static int setup(void **state)
{
	assert_true(sd_event_new(&event) >= 0);
	ballast = (struct ballast){0};
	assert_int_equal(ballast_open(&ballast, event), 0);
	zones = memfd_create("zones", MFD_CLOEXEC);
	assert_true(zones >= 0);
	if (ballast.headroom.zones != NULL)
		fclose(ballast.headroom.zones);
	ballast.headroom.zones = fdopen(zones, "r");
	assert_non_null(ballast.headroom.zones);
	set_free(MUCH);
	return 0;
}

static int teardown(void **state)
{
	ballast_close(&ballast);
	sd_event_unref(event);
	return 0;
}

/* Until the timer has run. */
static void turn(void)
{
	assert_true(sd_event_run(event, UINT64_MAX) > 0);
}

static bool is_armed(void)
{
	int enabled;

	assert_true(sd_event_source_get_enabled(ballast.timer, &enabled) >= 0);
	return enabled != SD_EVENT_OFF;
}

/* Bytes that there is memory for, wherever. */
static size_t count_resident(void)
{
	static uint8_t resident[BALLAST_MAX / PAGE];
	size_t pages = 0;

	assert_int_equal(os_resident(ballast.memory, BALLAST_MAX, resident), 0);
	for (size_t i = 0; i < sizeof(resident); i++)
		pages += resident[i] & 1;
	return pages * PAGE;
}

static void holds(size_t size)
{
	assert_int_equal(ballast.held, size);
	assert_int_equal(count_resident(), size);
}

/* As much as this process has, a part a turn. */
static void fill(void)
{
	size_t before;

	ballast_restore(&ballast, getpid());
	while (is_armed()) {
		before = ballast.held;
		turn();
		assert_true(ballast.held > before && ballast.held - before <= BALLAST_MAX / 16);
	}
	holds(ballast.wanted);
}

static void test_taken(void **state)
{
	size_t size = ballast_of(getpid());

	holds(0);
	assert_false(is_armed());
	fill();
	/* No less than what such a process has had, and little more. */
	assert_true(ballast.held >= size && ballast.held < size + (512 << 10));
}

static void test_little(void **state)
{
	set_free(LITTLE);
	ballast_restore(&ballast, getpid());
	for (int i = 0; i < 3; i++) {
		holds(0);
		assert_true(is_armed());
		turn();
	}
	set_free(ENOUGH);
	turn();
	assert_true(ballast.held > 0);
	/* What has been taken stays. */
	set_free(0);
	turn();
	assert_true(ballast.held > 0);
	holds(ballast.held);
}

static void test_given(void **state)
{
	fill();
	set_free(0);
	ballast_offer(&ballast);
	holds(0);
	assert_false(is_armed());
	/* Once more, as when the server that was started has died. */
	ballast_offer(&ballast);
	holds(0);
	set_free(MUCH);
	fill();
	assert_true(ballast.held > 0);
}

static void test_kept(void **state)
{
	size_t held;

	fill();
	held = ballast.held;
	ballast_offer(&ballast);
	for (int i = 0; i < 3; i++) {
		holds(held);
		assert_true(is_armed());
		turn();
	}
	/* It is looked at until the server serves. */
	set_free(1);
	turn();
	holds(held);
	set_free(0);
	turn();
	holds(0);
	assert_false(is_armed());
}

/* None is taken while a server is starting, also if it was wanted before. */
static void test_starting(void **state)
{
	size_t held;

	ballast_restore(&ballast, getpid());
	turn();
	held = ballast.held;
	assert_true(held > 0 && held < ballast.wanted);
	ballast_offer(&ballast);
	turn();
	holds(held);
	fill();
	assert_true(ballast.held > held);
}

/* One that cannot be seen any more leaves it as it was. */
static void test_unseen(void **state)
{
	size_t wanted;

	assert_int_equal(ballast_of(-1), 0);
	fill();
	wanted = ballast.wanted;
	set_free(0);
	ballast_offer(&ballast);
	set_free(MUCH);
	ballast_restore(&ballast, -1);
	assert_int_equal(ballast.wanted, wanted);
	while (is_armed())
		turn();
	holds(wanted);
}

static void test_bound(void **state)
{
	size_t size = 2 * BALLAST_MAX;
	void *own;

	assert_int_equal(os_reserve(size, &own), 0);
	assert_int_equal(os_commit(own, size), 0);
	assert_true(ballast_of(getpid()) > size);
	fill();
	holds(BALLAST_MAX);
	os_unreserve(own, size);
}

static void test_close(void **state)
{
	void *memory = ballast.memory;
	uint8_t resident[BALLAST_MAX / PAGE];

	fill();
	ballast_close(&ballast);
	assert_int_equal(os_resident(memory, BALLAST_MAX, resident), -ENOMEM);
	assert_null(ballast.timer);
	/* Nothing is kept, and nothing is done. */
	ballast_restore(&ballast, getpid());
	ballast_offer(&ballast);
	ballast_close(&ballast);
	assert_int_equal(ballast.held, 0);
	assert_int_equal(ballast.wanted, 0);
	assert_int_equal(sd_event_run(event, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_little, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_starting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unseen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
