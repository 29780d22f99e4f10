/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: parameters are read as they are meant, and what is none is refused with a reason. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"

#define UNTOUCHED 0x5a5a5a5a5a5a5a5aULL

static void size_is(const char *text, uint64_t bytes)
{
	const char *why = NULL;
	uint64_t value = UNTOUCHED;

	if (conf_parse_size(text, &value, &why) != 0)
		fail_msg("\"%s\" is refused: %s", text, why);
	assert_int_equal(value, bytes);
}

static void size_is_refused(const char *text, int error, const char *reason)
{
	const char *why = NULL;
	uint64_t value = UNTOUCHED;

	if (conf_parse_size(text, &value, &why) != error)
		fail_msg("\"%s\" does not give %d", text, error);
	assert_non_null(strstr(why, reason));
	assert_int_equal(value, UNTOUCHED);
}

static void test_sizes(void **state)
{
	size_is("0", 0);
	size_is("1", 1);
	size_is("4096", 4096);
	size_is("007", 7);
	size_is("1K", 1024);
	size_is("1k", 1024);
	size_is("512M", 512ULL << 20);
	size_is("512m", 512ULL << 20);
	size_is("4G", 4ULL << 30);
	size_is("4GiB", 4ULL << 30);
	size_is("4giB", 4ULL << 30);
	size_is("3T", 3ULL << 40);
	size_is("18446744073709551615", UINT64_MAX);
	size_is("16777215T", UINT64_MAX - (1ULL << 40) + 1);
}

static void test_sizes_refused(void **state)
{
	static const char *const none[] = {
		"",	    "K",
		"-1",	    "+1",
		" 1",	    "1 ",
		"1 K",	    "1.5G",
		"0x10",	    "12Q",
		"1KB",	    "1Ki",
		"1Kib",	    "1KiBs",
		"1MM",	    "1e3",
		"1,000",    "four",
		"\xd9\xa1", "1\xeb",
		"1+",	    "1\x0b",
		"-0",	    "--1",
		"1iB",	    "18446744073709551615Q",
	};

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		size_is_refused(none[i], -EINVAL, "not a size");
	size_is_refused("18446744073709551616", -ERANGE, "too large");
	size_is_refused("99999999999999999999999999", -ERANGE, "too large");
	size_is_refused("16777216T", -ERANGE, "too large");
	size_is_refused("18014398509481984K", -ERANGE, "too large");
}

static void algorithm_is(const char *text, const char *name, bool has_level, int level)
{
	struct conf_algorithm algorithm;
	const char *why = NULL;

	if (conf_parse_algorithm(text, &algorithm, &why) != 0)
		fail_msg("\"%s\" is refused: %s", text, why);
	assert_string_equal(algorithm.name, name);
	assert_int_equal(algorithm.has_level, has_level);
	assert_int_equal(algorithm.level, level);
}

static void algorithm_is_refused(const char *text, int error, const char *reason)
{
	struct conf_algorithm algorithm = {.level = 77};
	const char *why = NULL;

	if (conf_parse_algorithm(text, &algorithm, &why) != error)
		fail_msg("\"%s\" does not give %d", text, error);
	assert_non_null(strstr(why, reason));
	assert_int_equal(algorithm.level, 77);
}

static void test_algorithms(void **state)
{
	algorithm_is("lz4", "lz4", false, 0);
	algorithm_is("zstd", "zstd", false, 0);
	algorithm_is("lzo-rle", "lzo-rle", false, 0);
	algorithm_is("zstd(level=3)", "zstd", true, 3);
	algorithm_is("zstd(level=0)", "zstd", true, 0);
	algorithm_is("zstd(level=-7)", "zstd", true, -7);
	algorithm_is("lz4(level=1)", "lz4", true, 1);
	algorithm_is("abcdefghijklmno", "abcdefghijklmno", false, 0);
	algorithm_is("zstd(level=2147483647)", "zstd", true, INT_MAX);
	algorithm_is("zstd(level=-2147483648)", "zstd", true, INT_MIN);
}

static void test_algorithms_refused(void **state)
{
	static const char *const none[] = {
		"",
		"(level=3)",
		"zstd(",
		"zstd()",
		"zstd(3)",
		"zstd(level)",
		"zstd(level=)",
		"zstd(level=-)",
		"zstd(level=+3)",
		"zstd(level=--3)",
		"zstd(level= 3)",
		"zstd(level=3",
		"zstd(level=3))",
		"zstd(level=3) ",
		"zstd(level=3)(type=idle)",
		"zstd (level=3)",
		"zstd(level=3.5)",
		"zstd(level=fast)",
		"zstd:3",
		"ZSTD",
		"zstd lz4",
		"abcdefghijklmnop",
	};

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		algorithm_is_refused(none[i], -EINVAL, "not an algorithm");
	algorithm_is_refused("zstd(level=2147483648)", -ERANGE, "no such level");
	algorithm_is_refused("zstd(level=-2147483649)", -ERANGE, "no such level");
	algorithm_is_refused("zstd(level=99999999999999999999)", -ERANGE, "no such level");
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} good[] = {
		{"0", 0},
		{"90", 90},
		{"90s", 90},
		{"15m", 900},
		{"2h", 7200},
		{"3d", 259200},
		{"18446744073709551615", UINT64_MAX},
	};
	static const char *const none[] = {"", "s", "-1", "1.5h", "1 h", "1H", "1w", "1hm", "0x1"};
	static const char *const large[] = {"18446744073709551616", "307445734561825861m",
					    "99999999999999999999d"};
	uint64_t seconds;
	const char *why;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(conf_parse_time(good[i].text, &seconds, &why), 0);
		assert_int_equal(seconds, good[i].seconds);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_int_equal(conf_parse_time(none[i], &seconds, &why), -EINVAL);
		assert_non_null(strstr(why, "give seconds, or a number with s, m, h or d"));
	}
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
		assert_int_equal(conf_parse_time(large[i], &seconds, &why), -ERANGE);
		assert_non_null(strstr(why, "too large"));
	}
}

static void choice_is(const struct conf_choice *choice, const char *text, int index)
{
	const char *why = NULL;
	int value = -1;

	assert_int_equal(conf_parse_choice(choice, text, &value, &why), 0);
	assert_int_equal(value, index);
}

static void choice_is_refused(const struct conf_choice *choice, const char *text,
			      const char *reason)
{
	const char *why = NULL;
	int value = -1;

	assert_int_equal(conf_parse_choice(choice, text, &value, &why), -EINVAL);
	assert_non_null(strstr(why, reason));
	assert_int_equal(value, -1);
}

static void test_choices(void **state)
{
	choice_is(&conf_lock_choice, "auto", CONF_LOCK_AUTO);
	choice_is(&conf_lock_choice, "on", CONF_LOCK_ON);
	choice_is(&conf_lock_choice, "off", CONF_LOCK_OFF);
	choice_is(&conf_filter_choice, "auto", CONF_FILTER_AUTO);
	choice_is(&conf_filter_choice, "none", CONF_FILTER_NONE);
	choice_is(&conf_compact_choice, "auto", CONF_COMPACT_AUTO);
	choice_is(&conf_compact_choice, "off", CONF_COMPACT_OFF);
	choice_is(&conf_pool_at_exit_choice, "remove", CONF_POOL_REMOVE);
	choice_is(&conf_pool_at_exit_choice, "keep", CONF_POOL_KEEP);
}

static void test_choices_refused(void **state)
{
	choice_is_refused(&conf_lock_choice, "", "give auto, on or off");
	choice_is_refused(&conf_lock_choice, "On", "give auto, on or off");
	choice_is_refused(&conf_lock_choice, "none", "give auto, on or off");
	choice_is_refused(&conf_filter_choice, "off", "give auto or none");
	choice_is_refused(&conf_filter_choice, "auto ", "give auto or none");
	choice_is_refused(&conf_compact_choice, "on", "give auto or off");
	choice_is_refused(&conf_compact_choice, "of", "give auto or off");
	choice_is_refused(&conf_pool_at_exit_choice, "", "give remove or keep");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),		cmocka_unit_test(test_sizes_refused),
		cmocka_unit_test(test_algorithms),	cmocka_unit_test(test_algorithms_refused),
		cmocka_unit_test(test_times),		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_choices_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
