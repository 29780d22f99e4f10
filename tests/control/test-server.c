/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: every command against a device in this process: statistics are complete and exact,
 * settings change one by one or not at all, compaction leaves others answered.
 */
#include <semaphore.h>

#include "control/client.h"
#include "device/fields.h"
#include "tests/control/serving.h"
#include "tests/lib/rng.h"

static struct rng rng;

/* By the linker: a compaction that lasts as long as a test wants. */
static bool hold_compact; /* atomic */
static sem_t compact_begun, compact_may_end;

int __wrap_device_compact(struct device *device);
int __real_device_compact(struct device *device);

int __wrap_device_compact(struct device *device)
{
	if (__atomic_load_n(&hold_compact, __ATOMIC_SEQ_CST)) {
		sem_post(&compact_begun);
		while (sem_wait(&compact_may_end) < 0)
			;
	}
	return __real_device_compact(device);
}

/* Random pages, text-like ones and ones of one word, the first PAGES of the device. */
static void fill(struct device *device, unsigned int pages)
{
	uint8_t page[DEVICE_PAGE_SIZE];

	for (unsigned int i = 0; i < pages; i++) {
		memset(page, 0, sizeof(page));
		rng_bytes(&rng, page, i % 4 * 1365);
		assert_int_equal(
			device_write(device, page, (uint64_t)i * sizeof(page), sizeof(page)), 0);
	}
}

/* stat */

static void test_stat(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	struct json_object *result, *stats;
	struct device_stats expected;
	int fd = raw_connect();

	fill(serving.device, 100);
	assert_int_equal(device_trim(serving.device, 0, DEVICE_PAGE_SIZE), 0);
	result = ask(fd, STAT);
	assert_string_equal(member_text(result, "name"), "zcram7");
	assert_string_equal(member_text(result, "version"), "1.2.3");
	assert_int_equal(member_u64(result, "pid"), getpid());
	assert_int_equal(member_u64(result, "size"), DEVICE_SIZE);
	assert_int_equal(member_u64(result, "streams"), 3);
	assert_string_equal(member_text(result, "algorithm"), "zstd(level=1)");
	assert_string_equal(member_text(result, "filter"), "auto");
	assert_string_equal(member_text(result, "compact"), "auto");
	assert_int_equal(member_u64(result, "mem-limit"), 0);
	assert_int_equal(member_u64(result, "writeback-at"), 0);
	assert_int_equal(member_u64(result, "writeback-age"), 0);
	assert_int_equal(member_u64(result, "writeback-limit"), 0);
	assert_string_equal(member_text(result, "allocator"), "zspage");
	assert_int_equal(json_object_object_length(result), 17);

	stats = json_object_object_get(result, "stats");
	device_get_stats(serving.device, &expected);
	assert_int_equal(expected.writes, 100);
	assert_int_equal(expected.trims, 1);
	assert_int_equal(json_object_object_length(stats), device_stat_fields_count);
	for (size_t i = 0; i < device_stat_fields_count; i++)
		assert_int_equal(member_u64(stats, device_stat_fields[i].name),
				 device_stat(&expected, &device_stat_fields[i]));
	json_object_put(result);
	close(fd);
	serving_end(&serving);
}

static void test_no_name(void **state)
{
	struct control_server_options options = {.path = fixture_path, .version = "0"};
	struct control_server *server;
	struct json_object *result, *name = (struct json_object *)-1;
	int fd;

	options.device = serving_device();
	assert_int_equal(control_server_new(&options, &server), 0);
	assert_int_equal(control_server_start(server), 0);
	fd = raw_connect();
	result = ask(fd, STAT);
	assert_true(json_object_object_get_ex(result, "name", &name));
	assert_null(name);
	json_object_put(result);
	close(fd);
	control_server_stop(server);
	control_server_free(server);
	device_free(options.device);
}

/* map */

static void assert_shares(struct json_object *shares, size_t count, const uint8_t *expected)
{
	assert_true(json_object_is_type(shares, json_type_array));
	assert_int_equal(json_object_array_length(shares), count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(json_object_get_int(json_object_array_get_idx(shares, i)),
				 expected[i]);
}

static void assert_map(struct serving *serving, int fd, unsigned int cells)
{
	uint8_t live[CONTROL_CELLS_MAX], held[CONTROL_CELLS_MAX];
	struct json_object *result;
	char request[128];
	int n;

	snprintf(request, sizeof(request),
		 "{\"version\":1,\"command\":\"map\",\"arguments\":{\"cells\":%u}}\n", cells);
	result = ask(fd, request);
	n = device_get_map(serving->device, cells, live, held);
	assert_true(n >= 0);
	assert_shares(json_object_object_get(result, "live"), (size_t)n, live);
	assert_shares(json_object_object_get(result, "held"), (size_t)n, held);
	json_object_put(result);
}

static void test_map(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	uint8_t live, held;
	int fd = raw_connect();

	assert_map(&serving, fd, 8);
	fill(serving.device, 4000);
	assert_map(&serving, fd, 1);
	assert_map(&serving, fd, 8);
	assert_map(&serving, fd, CONTROL_CELLS_MAX);
	/* There is something to be seen. */
	assert_int_equal(device_get_map(serving.device, 1, &live, &held), 1);
	assert_true(live > 0 && held > 0);
	close(fd);
	serving_end(&serving);
}

/* blocks */

/* As the device has the page: of one that is in no leaf in use there is nothing. */
static void assert_said(struct device *device, uint64_t page, const char said[3])
{
	struct device_block block = {0};
	uint64_t from = page;

	if (device_get_blocks(device, &from, &block, 1) == 0 || from != page)
		block = (struct device_block){0};
	assert_int_equal(said[0], ".sphd"[block.state]);
	assert_int_equal(said[1], ".rn"[block.mark]);
	assert_int_equal(said[2], strchr("ph", said[0]) ? "0123456789abcdef"[block.age] : '.');
}

/* Each page is said of once, in order. How many answers that took. */
static uint64_t follow_blocks(struct device *device, int fd)
{
	uint64_t from = 0, count, answers = 0;

	do {
		struct json_object *result;
		const char *text;
		char request[128];

		snprintf(request, sizeof(request),
			 "{\"version\":1,\"command\":\"blocks\",\"arguments\":{\"from\":%" PRIu64
			 "}}\n",
			 from);
		result = ask(fd, request);
		assert_true(member_u64(result, "from") >= from);
		from = member_u64(result, "from");
		text = member_text(result, "blocks");
		count = strlen(text) / 3;
		assert_int_equal(strlen(text), 3 * count);
		for (uint64_t i = 0; i < count; i++)
			assert_said(device, from++, text + 3 * i);
		json_object_put(result);
		answers++;
	} while (count > 0);
	assert_int_equal(from, DEVICE_SIZE / DEVICE_PAGE_SIZE);
	return answers;
}

static void test_blocks(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	uint64_t idle;
	int fd = raw_connect();

	assert_int_equal(follow_blocks(serving.device, fd), 1);
	fill(serving.device, 4000);
	assert_int_equal(device_idle(serving.device, 0, &idle), 0);
	assert_int_equal(follow_blocks(serving.device, fd), 2);
	close(fd);
	serving_end(&serving);
}

/* set */

static struct device_settings settings_of(struct device *device)
{
	struct device_settings settings;

	device_get_settings(device, &settings);
	return settings;
}

/* Set KEY to VALUE, and have stat show it as SHOWN. */
static void assert_set(int fd, const char *key, const char *value, const char *shown)
{
	struct json_object *result;
	char request[256];

	snprintf(request, sizeof(request),
		 "{\"version\":1,\"command\":\"set\",\"arguments\":{\"%s\":\"%s\"}}\n", key, value);
	result = ask(fd, request);
	assert_int_equal(json_object_object_length(result), 0);
	json_object_put(result);
	result = ask(fd, STAT);
	assert_string_equal(json_object_get_string(json_object_object_get(result, key)), shown);
	json_object_put(result);
}

static void test_set(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int fd = raw_connect();

	assert_set(fd, "algorithm", "lz4", "lz4(level=1)");
	assert_int_equal(settings_of(serving.device).method.id, CODEC_LZ4);
	assert_set(fd, "filter", "none", "none");
	assert_int_equal(settings_of(serving.device).method.filter, CODEC_FILTER_NONE);
	assert_set(fd, "compact", "off", "off");
	assert_false(settings_of(serving.device).auto_compact);
	assert_set(fd, "mem-limit", "200M", "209715200");
	assert_int_equal(settings_of(serving.device).mem_limit, 200 * MIB);
	/* The others were left alone; all go back. */
	assert_int_equal(settings_of(serving.device).method.id, CODEC_LZ4);
	assert_set(fd, "algorithm", "zstd(level=-5)", "zstd(level=-5)");
	assert_int_equal(settings_of(serving.device).method.filter, CODEC_FILTER_NONE);
	assert_set(fd, "filter", "auto", "auto");
	assert_set(fd, "compact", "auto", "auto");
	assert_set(fd, "mem-limit", "0", "0");
	assert_int_equal(settings_of(serving.device).mem_limit, 0);
	/* What is written from now on is. */
	fill(serving.device, 10);
	close(fd);
	serving_end(&serving);
}

static void test_set_all_or_nothing(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	struct device_settings before = settings_of(serving.device), after;
	int fd = raw_connect();

	raw_print(fd, "{\"version\":1,\"command\":\"set\",\"arguments\":{\"algorithm\":\"lz4\","
		      "\"filter\":\"none\",\"mem-limit\":\"64M\",\"compact\":\"on\"}}\n");
	expect_error(fd, EINVAL, "compact=on: not a choice: give auto or off");
	raw_print(fd, "{\"version\":1,\"command\":\"set\",\"arguments\":{\"algorithm\":\"lz4\","
		      "\"mem-limit\":\"1\"}}\n");
	expect_error(fd, EINVAL, "mem-limit=1: too small: give at least");
	after = settings_of(serving.device);
	assert_int_equal(after.method.id, before.method.id);
	assert_int_equal(after.method.filter, before.method.filter);
	assert_int_equal(after.auto_compact, before.auto_compact);
	assert_int_equal(after.mem_limit, before.mem_limit);
	/* Nothing at all may be set, too. */
	json_object_put(ask(fd, "{\"version\":1,\"command\":\"set\"}\n"));
	close(fd);
	serving_end(&serving);
}

/* compact */

#define COMPACT "{\"version\":1,\"command\":\"compact\"}\n"

static uint64_t pool_in(struct json_object *result, const char *name)
{
	return member_u64(json_object_object_get(result, name), "pool");
}

static void test_compact(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	struct json_object *result;
	struct device_stats stats;
	int fd = raw_connect();

	fill(serving.device, 4000);
	for (uint64_t i = 0; i < 4000; i += 1 + i % 4 / 3 * 4)
		assert_int_equal(
			device_trim(serving.device, i * DEVICE_PAGE_SIZE, DEVICE_PAGE_SIZE), 0);
	result = ask(fd, COMPACT);
	device_get_stats(serving.device, &stats);
	assert_true(pool_in(result, "before") > pool_in(result, "after"));
	assert_int_equal(pool_in(result, "after"), stats.pool);
	json_object_put(result);
	close(fd);
	serving_end(&serving);
}

/* idle */

static void test_idle(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	struct json_object *result, *ages;
	struct device_stats stats;
	int fd = raw_connect();

	fill(serving.device, 100);
	device_get_stats(serving.device, &stats);
	result = ask(fd, "{\"version\":1,\"command\":\"idle\",\"arguments\":{\"seconds\":0}}\n");
	assert_int_equal(member_u64(result, "pages"), stats.pages_pool);
	json_object_put(result);
	raw_print(fd, "{\"version\":1,\"command\":\"idle\",\"arguments\":{\"seconds\":262129}}\n");
	expect_error(fd, EINVAL, "idle: 262129 seconds: too long: give at most 262128");
	result = ask(fd, STAT);
	ages = json_object_object_get(result, "ages");
	assert_int_equal(json_object_array_length(ages), DEVICE_AGES);
	for (size_t i = 0; i < DEVICE_AGES; i++)
		assert_int_equal(member_u64(json_object_array_get_idx(ages, i), "pages"),
				 i == DEVICE_AGES - 1 ? stats.pages_pool : 0);
	assert_int_equal(member_u64(json_object_array_get_idx(ages, 3), "seconds"), 48);
	json_object_put(result);
	close(fd);
	serving_end(&serving);
}

/* recompress */

#define RECOMPRESS(arguments) \
	"{\"version\":1,\"command\":\"recompress\",\"arguments\":{" arguments "}}\n"

static void test_recompress(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	struct device_stats before, after;
	struct json_object *result;
	int fd = raw_connect();

	fill(serving.device, 400);
	device_get_stats(serving.device, &before);
	raw_print(fd, RECOMPRESS(""));
	expect_error(fd, EINVAL, "there is no method to do it by");
	raw_print(fd, RECOMPRESS("\"type\":\"cold\""));
	expect_error(fd, EINVAL, "argument type: not one: give all, idle, huge or huge_idle");
	raw_print(fd, RECOMPRESS("\"threshold\":-1"));
	expect_error(fd, EINVAL, "argument threshold: not a number");
	raw_print(fd, RECOMPRESS("\"max_pages\":1"));
	expect_error(fd, EINVAL, "argument max_pages: unknown: give type, threshold, max-pages");
	raw_print(fd, RECOMPRESS("\"algorithm\":\"lzo\""));
	expect_error(fd, EINVAL, "algorithm=lzo: not an algorithm");
	raw_print(fd, RECOMPRESS("\"algorithm\":6"));
	expect_error(fd, EINVAL, "argument algorithm: not a string");
	result = ask(fd, RECOMPRESS("\"algorithm\":\"zstd(level=19)\",\"max-pages\":200,"
				    "\"type\":\"all\",\"threshold\":100"));
	device_get_stats(serving.device, &after);
	assert_int_equal(member_u64(result, "pages"), 200);
	assert_int_equal(member_u64(result, "saved"), after.recompressed);
	assert_int_equal(member_u64(result, "bytes"), after.recompress_saved);
	assert_true(after.payload <= before.payload);
	json_object_put(result);
	close(fd);
	serving_end(&serving);
}

/* writeback */

#define WRITEBACK(arguments) \
	"{\"version\":1,\"command\":\"writeback\",\"arguments\":{" arguments "}}\n"

static void open_backing(struct device *device, char path[64])
{
	struct backing_options options = {
		.where = path, .name = "test", .file_size = 2 * MIB, .segment_size = 65536};
	char why[BACKING_WHY];
	int fd;

	strcpy(path, "/tmp/zcram-control-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(device_open_backing(device, &options, why), 0);
}

static void test_writeback(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	struct device_stats stats;
	struct json_object *result;
	int fd = raw_connect();
	uint64_t first;
	char path[64];

	fill(serving.device, 400);
	raw_print(fd, WRITEBACK(""));
	expect_error(fd, EOPNOTSUPP, "writeback: there is no backing store");
	raw_print(fd, WRITEBACK("\"type\":\"cold\""));
	expect_error(fd, EINVAL, "argument type: not one: give all, idle, huge, huge_idle or");
	raw_print(fd, WRITEBACK("\"algo\":\"lz4\""));
	expect_error(fd, EINVAL,
		     "argument algo: unknown: give type, threshold, max-pages or pages");
	raw_print(fd, WRITEBACK("\"max-pages\":-1"));
	expect_error(fd, EINVAL, "argument max-pages: not a number");
	raw_print(fd, WRITEBACK("\"pages\":7"));
	expect_error(fd, EINVAL, "argument pages: not one: give 1 to 32 of [FIRST,LAST]");
	raw_print(fd, WRITEBACK("\"pages\":[[1,2],[3]]"));
	expect_error(fd, EINVAL, "argument pages: not a range: give [FIRST,LAST]");
	raw_print(fd, WRITEBACK("\"pages\":[[2,1]]"));
	expect_error(fd, EINVAL, "argument pages: not a range");
	open_backing(serving.device, path);
	raw_print(fd, WRITEBACK("\"pages\":[[16384,16384]]"));
	expect_error(fd, EINVAL, "argument pages: not pages of the device: it has 16384");
	result = ask(fd, WRITEBACK("\"pages\":[[0,9],[20,20]],\"type\":\"all\","
				   "\"threshold\":1,\"max-pages\":100"));
	first = member_u64(result, "pages");
	assert_in_range(first, 1, 11);
	json_object_put(result);
	result = ask(fd, WRITEBACK(""));
	device_get_stats(serving.device, &stats);
	assert_int_equal(member_u64(result, "pages"), stats.written_back - first);
	assert_int_equal(stats.pages_pool, 0);
	json_object_put(result);
	close(fd);
	unlink(path);
	serving_end(&serving);
}

static void begin_holding(void)
{
	sem_init(&compact_begun, 0, 0);
	sem_init(&compact_may_end, 0, 0);
	__atomic_store_n(&hold_compact, true, __ATOMIC_SEQ_CST);
}

static void wait_begun(void)
{
	while (sem_wait(&compact_begun) < 0)
		;
}

static void end_holding(void)
{
	__atomic_store_n(&hold_compact, false, __ATOMIC_SEQ_CST);
	sem_destroy(&compact_begun);
	sem_destroy(&compact_may_end);
}

static void test_others_meanwhile(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int fd = raw_connect(), other = raw_connect();
	struct json_object *result;

	begin_holding();
	raw_print(fd, COMPACT STAT);
	wait_begun();
	assert_served(other);
	assert_int_equal(follow_blocks(serving.device, other), 1);
	json_object_put(ask(other, "{\"version\":1,\"command\":\"set\",\"arguments\":"
				   "{\"filter\":\"none\"}}\n"));
	raw_print(other, COMPACT);
	expect_error(other, EBUSY, "compact: one is under way, or something else that takes long");
	assert_served(other);
	sem_post(&compact_may_end);
	/* In order: what was asked behind it is answered behind it. */
	result = expect_result(fd);
	assert_true(pool_in(result, "before") >= pool_in(result, "after"));
	json_object_put(result);
	result = expect_result(fd);
	assert_string_equal(member_text(result, "filter"), "none");
	json_object_put(result);
	end_holding();
	close(fd);
	close(other);
	serving_end(&serving);
}

/* Clients come and go meanwhile, before and behind the one that waits: the answer finds it. */
static void test_answer_finds_asker(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int first = raw_connect(), fd, last;

	begin_holding();
	assert_served(first);
	last = raw_connect();
	assert_served(last);
	fd = raw_connect();
	raw_print(fd, COMPACT);
	wait_begun();
	close(first);
	assert_served(last);
	close(last);
	last = raw_connect();
	assert_served(last);
	sem_post(&compact_may_end);
	json_object_put(expect_result(fd));
	assert_served(last);
	end_holding();
	close(fd);
	close(last);
	serving_end(&serving);
}

/* Who asked goes away: the work goes on, its answer is dropped, and then another may ask. */
static void test_asker_gone(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int fd = raw_connect(), other = raw_connect();
	struct json_object *result;

	begin_holding();
	raw_print(fd, COMPACT);
	wait_begun();
	close(fd);
	raw_print(other, COMPACT);
	expect_error(other, EBUSY, "under way");
	sem_post(&compact_may_end);
	for (;;) {
		struct control_error error;
		char *line;
		int r;

		raw_print(other, COMPACT);
		/* Whether the last one is done is not to be seen but by asking. */
		sem_post(&compact_may_end);
		line = raw_line(other);
		r = control_parse_answer(line, strlen(line), &result, &error);
		free(line);
		if (r == 0)
			break;
		assert_int_equal(error.number, EBUSY);
	}
	json_object_put(result);
	end_holding();
	close(other);
	serving_end(&serving);
}

/* Many at once, each with the whole of what can be asked. */
static void test_in_order(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int fd = raw_connect();

	raw_print(fd, STAT "\n" COMPACT
			   "{\"version\":1,\"command\":\"map\",\"arguments\":{\"cells\":2}}\n"
			   "{\"version\":2}\n{\"version\":1,\"command\":\"dance\"}\n"
			   "{\"version\":1,\"command\":\"set\",\"arguments\":{}}\n" STAT);
	json_object_put(expect_result(fd));
	expect_error(fd, EINVAL, "not JSON");
	json_object_put(expect_result(fd));
	json_object_put(expect_result(fd));
	expect_error(fd, EPROTONOSUPPORT, "version 2: not spoken here");
	expect_error(fd, EOPNOTSUPP, "command dance: unknown");
	json_object_put(expect_result(fd));
	json_object_put(expect_result(fd));
	close(fd);
	serving_end(&serving);
}

/* With the client that the programs have. */
static void test_client(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	struct control_client *client = NULL;
	struct json_object *result = NULL;
	char *message = NULL;

	assert_int_equal(control_connect(fixture_path, -1, &client), 0);
	assert_int_equal(control_peer(client), getpid());
	assert_int_equal(control_call(client, "stat", NULL, &result, &message), 0);
	assert_string_equal(member_text(result, "name"), "zcram7");
	json_object_put(result);
	assert_int_equal(control_call(client, "map", NULL, &result, &message), -EINVAL);
	assert_string_equal(message, "argument cells: not one: give a number from 1 to 4096");
	free(message);
	assert_int_equal(control_call(client, "compact", NULL, &result, &message), 0);
	json_object_put(result);
	control_close(client);
	serving_end(&serving);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_no_name),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_set_all_or_nothing),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_recompress),
		cmocka_unit_test(test_writeback),
		cmocka_unit_test(test_others_meanwhile),
		cmocka_unit_test(test_answer_finds_asker),
		cmocka_unit_test(test_asker_gone),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_client),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
