/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: what zcramd says of the server, from its start over deaths and upgrades to the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "daemon/status.h"

static struct status fresh(void)
{
	struct status status = {.name = "zcram7", .version = "1.2.3", .path = ""};

	status_enter(&status, STATUS_STARTING);
	return status;
}

static void has_text(const struct status *status, const char *key, const char *expected)
{
	struct json_object *object = status_json(status), *value;

	assert_non_null(object);
	assert_true(json_object_object_get_ex(object, key, &value));
	if (expected == NULL)
		assert_null(value);
	else
		assert_string_equal(json_object_get_string(value), expected);
	json_object_put(object);
}

static void has_number(const struct status *status, const char *key, uint64_t expected)
{
	struct json_object *object = status_json(status), *value;

	assert_non_null(object);
	assert_true(json_object_object_get_ex(object, key, &value));
	assert_true(json_object_is_type(value, json_type_int));
	assert_int_equal(json_object_get_uint64(value), expected);
	json_object_put(object);
}

static void test_begin(void **state)
{
	uint64_t before = (uint64_t)time(NULL);
	struct status status = fresh();

	assert_in_range(status.since, before, (uint64_t)time(NULL));
	has_text(&status, "name", "zcram7");
	has_text(&status, "version", "1.2.3");
	has_number(&status, "pid", (uint64_t)getpid());
	has_text(&status, "state", "starting");
	has_text(&status, "device", NULL);
	has_text(&status, "server-version", NULL);
	has_text(&status, "last-death", NULL);
	has_number(&status, "server-pid", 0);
	status.path = "/dev/nbd3";
	has_text(&status, "device", "/dev/nbd3");
}

static void test_deaths(void **state)
{
	struct status status = fresh();

	status_serves(&status, 42, "0.1");
	has_text(&status, "state", "serving");
	has_number(&status, "server-pid", 42);
	has_text(&status, "server-version", "0.1");
	has_number(&status, "restarts", 0);
	status_died(&status, "killed by signal 9 (Killed)");
	has_text(&status, "state", "restarting");
	has_number(&status, "server-pid", 0);
	has_number(&status, "deaths", 1);
	has_text(&status, "last-death", "killed by signal 9 (Killed)");
	/* The pause is that of all tries together. */
	status.died_at -= 5000000;
	status_died(&status, "exit status 1");
	has_number(&status, "deaths", 2);
	status_serves(&status, 43, "");
	has_text(&status, "state", "serving");
	has_number(&status, "restarts", 1);
	has_text(&status, "server-version", NULL);
	has_text(&status, "last-death", "exit status 1");
	assert_in_range(status.last_restart, 5000000, 3600000000);
	status_died(&status, "exit status 1");
	status_enter(&status, STATUS_GIVEN_UP);
	has_text(&status, "state", "given-up");
	has_number(&status, "deaths", 3);
	has_number(&status, "restarts", 1);
}

static void test_upgrades(void **state)
{
	struct status status = fresh();

	status_serves(&status, 42, "0.1");
	status_enter(&status, STATUS_UPGRADING);
	has_text(&status, "state", "upgrading");
	has_number(&status, "server-pid", 42);
	status_upgraded(&status, 43, "0.2");
	has_text(&status, "state", "serving");
	has_number(&status, "server-pid", 43);
	has_text(&status, "server-version", "0.2");
	has_number(&status, "upgrades", 1);
	has_number(&status, "restarts", 0);
	has_number(&status, "deaths", 0);
	/* One that comes to nothing. */
	status_enter(&status, STATUS_UPGRADING);
	status_enter(&status, STATUS_SERVING);
	has_number(&status, "upgrades", 1);
	has_number(&status, "server-pid", 43);
	status_enter(&status, STATUS_STOPPING);
	has_text(&status, "state", "stopping");
	/* That takes a server, too. */
	status_died(&status, "exit status 1");
	has_text(&status, "state", "restarting");
	status_serves(&status, 44, "0.2");
	has_text(&status, "state", "stopping");
	status_enter(&status, STATUS_FAILING);
	status_died(&status, "exit status 1");
	status_serves(&status, 45, "0.2");
	has_text(&status, "state", "failing");
	has_number(&status, "restarts", 2);
}

/* What does not fit is cut. */
static void test_long(void **state)
{
	struct status status = fresh();
	char text[2 * STATUS_TEXT_SIZE];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	status_serves(&status, 42, text);
	status_died(&status, text);
	assert_int_equal(strlen(status.server_version), STATUS_VERSION_SIZE - 1);
	assert_int_equal(strlen(status.last_death), STATUS_TEXT_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begin),
		cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_upgrades),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
