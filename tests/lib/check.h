/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CHECK: end the program, saying where and why, when a condition does not hold. For the tests that
 * run many threads or under a fuzzer, where cmocka's way out, a longjmp, is none.
 */
#ifndef ZCRAM_TESTS_CHECK_H
#define ZCRAM_TESTS_CHECK_H

#define CHECK(condition, ...)                                                      \
	do {                                                                       \
		if (!(condition))                                                  \
			check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
	} while (0)

_Noreturn __attribute__((format(printf, 4, 5))) void check_failed(const char *file, int line,
								  const char *condition,
								  const char *format, ...);

#endif
