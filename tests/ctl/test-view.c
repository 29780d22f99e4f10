/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: the live view fits its terminal, whatever its size, and shows what was sampled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/top.h"
#include "tests/ctl/fixture.h"
#include "tests/lib/check.h"

static struct top_sample before, now;
static struct ctl_device device = {.name = (char *)"zcram0", .index = 7, .pid = 4711};

static int set_up(void **state)
{
	before = (struct top_sample){.when = 1000000000, .stat = fixture_stat(1000)};
	now = (struct top_sample){
		.when = 3000000000,
		.stat = fixture_stat(3000),
		.cells = 4,
		.held = {255, 255, 128, 0},
		.live = {255, 1, 64, 0},
		.resident = 1 << 20,
		.thread_count = 2,
		.threads = {{"nbdkit", true, 1, 10}, {"zs-mover", false, 1, 400}},
	};
	before.thread_count = 2;
	before.threads[0] = (struct top_threads){"zs-mover", false, 1, 300};
	before.threads[1] = (struct top_threads){"nbdkit", true, 1, 10};
	return 0;
}

static int tear_down(void **state)
{
	top_sample_clear(&before);
	top_sample_clear(&now);
	return 0;
}

static char *view(const struct top_layout *layout, const struct top_sample *earlier)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	top_view_print(out, layout, &device, earlier, &now);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void has(const char *text, const char *part)
{
	CHECK(strstr(text, part), "%s is not in\n%s", part, text);
}

static void test_content(void **state)
{
	const struct top_layout layout = {.width = 100, .height = 40, .unicode = true};
	char *text = view(&layout, &before);

	has(text, "zcram0  /dev/nbd7  zstd(level=1)  filter auto  compact off");
	has(text, "reads 1000/s"); /* 2000 more in two seconds */
	has(text, "resident 1M");
	has(text, "new 80.0%  2 minutes 0.0%  17 minutes 0.0%  9 hours 0.0%  idle 20.0%");
	has(text, "memory  \u2588\u2588\u2585\u00b7\n");
	has(text, "objects \u2588\u2581\u2583\u00b7\n");
	has(text, "0.0%    1 nbdkit           accepts connections\n");
	has(text, "50.0%    1 zs-mover         compacts and migrates\n");
	free(text);
}

static void test_without_rates(void **state)
{
	const struct top_layout layout = {.width = 100, .height = 40, .unicode = false};
	char *text = view(&layout, NULL);

	has(text, "reads -/s -/s");
	has(text, "compress -  decompress -  waits/s: stream -");
	has(text, "memory  885.\n");
	has(text, "     -    1 zs-mover");
	free(text);
}

/* A server that was started anew counts from 0: no rates, rather than enormous ones. */
static void test_restarted(void **state)
{
	const struct top_layout layout = {.width = 100, .height = 40};
	char *text;

	json_object_put(now.stat);
	now.stat = fixture_stat(0);
	text = view(&layout, &before);
	has(text, "reads -/s");
	free(text);
}

static void test_sizes(void **state)
{
	for (unsigned int width = 1; width < 130; width += 3) {
		for (unsigned int height = 1; height < 40; height++) {
			const struct top_layout layout = {width, height, true};
			unsigned int lines = 0, columns = 0;
			char *text;

			now.cells = top_view_cells(&layout);
			assert_true(now.cells >= 1 && now.cells <= TOP_CELLS_MAX);
			text = view(&layout, &before);
			for (const char *c = text; *c; c++) {
				if (*c == '\n') {
					lines++;
					columns = 0;
				} else if ((*c & 0xc0) != 0x80) {
					columns++;
				}
				assert_true(columns <= width);
			}
			assert_true(lines <= height);
			free(text);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_content, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without_rates, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restarted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sizes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
