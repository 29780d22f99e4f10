/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only a client that speaks NBD itself can ask for: wire.sh runs this against a device of
 * 5 GiB with mem-limit=80M. The program ends at the first thing that is not as it should be.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnbd.h>

#define PAGE UINT64_C(4096)
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define MOST (64 * MIB) /* that nbdkit reads or writes at a time */

static struct nbd_handle *nbd;
static uint8_t *content, *back; /* MOST bytes each */

#define check(holds)                                                                   \
	do {                                                                           \
		if (!(holds)) {                                                        \
			const char *error = nbd_get_error();                           \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #holds, \
				error ? error : "");                                   \
			exit(EXIT_FAILURE);                                            \
		}                                                                      \
	} while (0)

static void fill_random(void)
{
	uint64_t x = 88172645463325252; /* xorshift: the same in every run, and nothing shrinks */

	for (uint64_t i = 0; i < MOST; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(content + i, &x, sizeof(x));
	}
}

static bool reads_as(const uint8_t *expected, uint64_t count, uint64_t offset)
{
	memset(back, 0x5a, count);
	check(nbd_pread(nbd, back, count, offset, 0) == 0);
	return memcmp(back, expected, count) == 0;
}

static bool reads_as_zeros(uint64_t count, uint64_t offset)
{
	memset(back, 0x5a, count);
	check(nbd_pread(nbd, back, count, offset, 0) == 0);
	return back[0] == 0 && memcmp(back, back + 1, count - 1) == 0;
}

static void test_abilities(void)
{
	check(nbd_get_size(nbd) == (int64_t)(5 * GIB));
	check(nbd_can_multi_conn(nbd) == 1);
	check(nbd_can_fua(nbd) == 1);
	check(nbd_can_cache(nbd) == 1);
	check(nbd_can_fast_zero(nbd) == 1);
	check(nbd_is_read_only(nbd) == 0);
	check(nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM) == 1);
	check(nbd_get_block_size(nbd, LIBNBD_SIZE_PREFERRED) == (int64_t)PAGE);
	check(nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM) == (int64_t)MOST);
}

static void test_flags(void)
{
	check(nbd_pwrite(nbd, content, 3 * PAGE, PAGE, LIBNBD_CMD_FLAG_FUA) == 0);
	check(reads_as(content, 3 * PAGE, PAGE));
	check(nbd_cache(nbd, 5 * PAGE, 0, 0) == 0);
	check(nbd_zero(nbd, PAGE, 2 * PAGE, LIBNBD_CMD_FLAG_FAST_ZERO | LIBNBD_CMD_FLAG_FUA) == 0);
	check(nbd_zero(nbd, 100, PAGE, LIBNBD_CMD_FLAG_NO_HOLE) == 0);
	check(reads_as_zeros(100, PAGE));
	check(reads_as(content + 100, PAGE - 100, PAGE + 100));
	check(reads_as_zeros(PAGE, 2 * PAGE));
	check(reads_as(content + 2 * PAGE, PAGE, 3 * PAGE));
	check(nbd_trim(nbd, PAGE, 3 * PAGE, LIBNBD_CMD_FLAG_FUA) == 0);
	check(reads_as_zeros(PAGE, 3 * PAGE));
	check(nbd_flush(nbd, 0) == 0);
}

/* The largest requests there are: 64 MiB of data, 4 GiB less a byte of nothing. */
static void test_large(void)
{
	check(nbd_pwrite(nbd, content, MOST, GIB + 1, 0) == 0);
	check(reads_as(content, MOST, GIB + 1));
	check(nbd_trim(nbd, UINT32_MAX, 1, 0) == 0);
	check(reads_as_zeros(MOST, GIB + 1));
	check(nbd_pwrite(nbd, content, PAGE, 4 * GIB - PAGE, 0) == 0);
	check(nbd_zero(nbd, UINT32_MAX, 0, 0) == 0);
	check(reads_as_zeros(PAGE - 1, 4 * GIB - PAGE));
	check(reads_as(content + PAGE - 1, 1, 4 * GIB - 1));
	check(nbd_trim(nbd, PAGE, 4 * GIB - PAGE, 0) == 0);
	check(nbd_pwrite(nbd, content, 1, 5 * GIB - 1, 0) == 0);
	check(reads_as(content, 1, 5 * GIB - 1));
	check(nbd_trim(nbd, PAGE, 5 * GIB - PAGE, 0) == 0);
}

/* The server must refuse what libnbd would not even send, and serve on. */
static void test_outside(void)
{
	uint32_t strict = nbd_get_strict_mode(nbd);

	check(nbd_set_strict_mode(nbd, strict & ~LIBNBD_STRICT_BOUNDS) == 0);
	check(nbd_pread(nbd, back, 2, 5 * GIB - 1, 0) == -1);
	check(nbd_get_errno() == EINVAL);
	check(nbd_trim(nbd, PAGE, 5 * GIB, 0) == -1);
	check(nbd_get_errno() == EINVAL);
	check(nbd_pwrite(nbd, content, 2, 5 * GIB - 1, 0) == -1);
	check(nbd_get_errno() == ENOSPC); /* what NBD has for writing beyond the end */
	check(nbd_set_strict_mode(nbd, strict) == 0);
	check(reads_as_zeros(PAGE, 5 * GIB - PAGE));
}

static void test_limit(void)
{
	check(nbd_pwrite(nbd, content, MOST, 0, 0) == 0);
	check(nbd_pwrite(nbd, content, MOST, MOST, 0) == -1);
	check(nbd_get_errno() == ENOSPC);
	check(nbd_pwrite(nbd, content, 8 * PAGE, 2 * GIB, LIBNBD_CMD_FLAG_FUA) == 0 ||
	      nbd_get_errno() == ENOSPC);
	check(reads_as(content, MOST, 0));
	check(nbd_zero(nbd, 2 * MOST, 0, LIBNBD_CMD_FLAG_FAST_ZERO) == 0);
	check(nbd_pwrite(nbd, content, MOST, MOST, 0) == 0);
	check(reads_as(content, MOST, MOST));
}

int main(int argc, char **argv)
{
	nbd = nbd_create();
	content = malloc(MOST);
	back = malloc(MOST);
	check(argc == 2 && nbd != NULL && content != NULL && back != NULL);
	check(nbd_connect_uri(nbd, argv[1]) == 0);
	fill_random();
	test_abilities();
	test_flags();
	test_large();
	test_outside();
	test_limit();
	check(nbd_shutdown(nbd, 0) == 0);
	nbd_close(nbd);
	free(content);
	free(back);
	return EXIT_SUCCESS;
}
