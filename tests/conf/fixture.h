/* SPDX-License-Identifier: BSD-3-Clause */
/* A root directory that a test puts files into, and the configuration below it. */
#ifndef ZCRAM_TESTS_CONF_FIXTURE_H
#define ZCRAM_TESTS_CONF_FIXTURE_H

#include "config/conf.h"

/* The host that the tests are on: 4 GiB, 2 CPUs. */
#define FIXTURE_RAM (UINT64_C(4096) << 20)

extern struct conf_host fixture_host;

/* For cmocka: an empty root for each test, and all that it loaded freed behind it. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

#define fixture_test(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

/* The root, and a path in it; a buffer that the next call writes to. */
const char *fixture_root(void);
const char *fixture_path(const char *path);

/* Have a file at PATH below the root, and its directories; or a link that leads to TARGET. */
void put(const char *path, const char *text);
void put_bytes(const char *path, const void *data, size_t len);
void put_link(const char *path, const char *target);

/* The configuration, which is all right. */
const struct conf *loaded(void);
/* Its device NAME, which it has. */
const struct conf_device *loaded_device(const char *name);

/* What conf_load() says is wrong; it returns ERROR. */
const char *refusal(int error);

/* That TEXT in /etc/zcram.conf is refused with exactly one line, in which PART stands. */
void assert_refused(const char *text, const char *part);

#endif
