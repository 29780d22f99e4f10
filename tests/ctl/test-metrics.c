/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: every statistic of a device is in the metrics, with its value, unit and type, and what
 * zcramd counts of its server.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/metrics.h"
#include "tests/ctl/fixture.h"

#define FIRST 1000000007

static char *metrics(const struct ctl_device *devices, size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	ctl_metrics_print(out, devices, count);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void has(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	if (!at || (at != text && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("no line \"%s\" in\n%s", line, text);
}

/* Lines that end in VALUE. */
static unsigned int count_values(const char *text, const char *value)
{
	unsigned int n = 0;

	for (const char *at = text; (at = strstr(at, value)); at++)
		n += at[-1] == ' ' && at[strlen(value)] == '\n';
	return n;
}

static void test_all_statistics(void **state)
{
	struct ctl_device device = {.name = (char *)"zcram0", .stat = fixture_stat(FIRST)};
	char *text = metrics(&device, 1);

	for (size_t i = 0; i < device_stat_fields_count; i++) {
		const char *name = device_stat_fields[i].name;
		uint64_t number = FIRST + i;
		char value[32];

		if (strlen(name) > 3 && strcmp(name + strlen(name) - 3, "_ns") == 0)
			snprintf(value, sizeof(value), "1.%09" PRIu64, number - 1000000000);
		else
			snprintf(value, sizeof(value), "%" PRIu64, number);
		if (count_values(text, value) != 1)
			fail_msg("statistic %s, %s, is there %u times", name, value,
				 count_values(text, value));
	}
	has(text, "zcram_age_pages{device=\"zcram0\",class=\"1\",seconds=\"16\"} 7");
	has(text, "# TYPE zcram_up gauge");
	has(text, "zcram_up{device=\"zcram0\"} 1");
	has(text,
	    "zcram_device_info{device=\"zcram0\",version=\"1.2.3\","
	    "algorithm=\"zstd(level=1)\",filter=\"auto\",compact=\"off\",allocator=\"zbud\"} 1");
	has(text, "zcram_size_bytes{device=\"zcram0\"} 1073741824");
	has(text, "# UNIT zcram_read_bytes bytes");
	has(text, "# TYPE zcram_read_bytes counter");
	has(text, "# TYPE zcram_pool_bytes gauge");
	has(text, "# UNIT zcram_compress_seconds seconds");
	assert_string_equal(text + strlen(text) - strlen("\n# EOF\n"), "\n# EOF\n");
	free(text);
	json_object_put(device.stat);
}

/* One that does not answer, of another version, and with a name that must be quoted. */
static void test_odd_devices(void **state)
{
	struct ctl_device devices[] = {
		{.name = (char *)"dead", .error = -ECONNREFUSED},
		{.name = (char *)"/a\\b\"c\nd", .stat = json_object_new_object()},
	};
	char *text = metrics(devices, 2);

	has(text, "zcram_up{device=\"dead\"} 0");
	has(text, "zcram_up{device=\"/a\\\\b\\\"c\\nd\"} 1");
	assert_null(strstr(text, "zcram_reads_total"));
	assert_null(strstr(text, "zcram_size_bytes{device=\"dead\"}"));
	free(text);
	json_object_put(devices[1].stat);
}

/* What zcramd says, of one whose server answers and of one whose server does not. */
static void test_zcramd(void **state)
{
	struct ctl_device devices[] = {
		{.name = (char *)"zcram0", .stat = json_object_new_object()},
		{.name = (char *)"zcram1", .error = -ECONNREFUSED},
		{.name = (char *)"zcram2", .stat = json_object_new_object()},
	};
	char *text;

	devices[0].zcramd = json_tokener_parse(
		"{\"state\":\"serving\",\"deaths\":3,\"restarts\":2,\"upgrades\":5}");
	devices[1].zcramd = json_tokener_parse(
		"{\"state\":\"given-up\",\"deaths\":30,\"restarts\":29,\"upgrades\":0}");
	text = metrics(devices, 3);
	has(text, "# TYPE zcram_server_deaths counter");
	has(text, "zcram_server_deaths_total{device=\"zcram0\"} 3");
	has(text, "zcram_server_restarts_total{device=\"zcram0\"} 2");
	has(text, "zcram_server_upgrades_total{device=\"zcram0\"} 5");
	has(text, "zcram_given_up{device=\"zcram0\"} 0");
	has(text, "zcram_server_deaths_total{device=\"zcram1\"} 30");
	has(text, "zcram_given_up{device=\"zcram1\"} 1");
	assert_null(strstr(text, "zcram_given_up{device=\"zcram2\"}"));
	assert_null(strstr(text, "zcram_server_deaths_total{device=\"zcram2\"}"));
	free(text);
	for (size_t i = 0; i < 3; i++) {
		json_object_put(devices[i].stat);
		json_object_put(devices[i].zcramd);
	}
}

static void test_none(void **state)
{
	char *text = metrics(NULL, 0);

	assert_null(strchr(text, '{'));
	has(text, "# EOF");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_statistics),
		cmocka_unit_test(test_odd_devices),
		cmocka_unit_test(test_zcramd),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
