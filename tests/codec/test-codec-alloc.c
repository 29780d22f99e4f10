/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: nothing allocates once a stream is made: not compressing, not decompressing, of any
 * content by any method. The libraries' calls are seen too: these are the process's malloc & co.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "tests/lib/content.h"

/* glibc's own, beneath the names that this program takes over. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t align, size_t size);

#define REPLACES_LIBC __attribute__((visibility("default")))

static unsigned long allocations;

REPLACES_LIBC void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

REPLACES_LIBC void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

REPLACES_LIBC void *realloc(void *old, size_t size)
{
	allocations++;
	return __libc_realloc(old, size);
}

REPLACES_LIBC void *aligned_alloc(size_t align, size_t size)
{
	allocations++;
	return __libc_memalign(align, size);
}

REPLACES_LIBC int posix_memalign(void **ret_memory, size_t align, size_t size)
{
	allocations++;
	*ret_memory = __libc_memalign(align, size);
	return *ret_memory ? 0 : ENOMEM;
}

static struct rng rng;

/* Pages of all kinds, there and back; also a payload that is refused. */
static void use_stream(struct codec_stream *stream)
{
	uint8_t page[CODEC_PAGE_SIZE], back[CODEC_PAGE_SIZE];

	for (unsigned int i = 0; i < 4 * CONTENT_KINDS; i++) {
		const void *payload;
		uint8_t encoding;
		size_t len;
		int r;

		content_fill(&rng, i % CONTENT_KINDS, page, sizeof(page));
		len = codec_compress(stream, page, &payload, &encoding);
		r = codec_decompress(stream, encoding, payload, len, back);
		assert_int_equal(r, 0);
		assert_memory_equal(back, page, sizeof(page));
		r = codec_decompress(stream, encoding, payload, len / 2, back);
		assert_int_equal(r, -EIO);
	}
}

static void assert_never_allocates(const char *name, int level)
{
	struct codec_method method;
	struct codec_stream *stream;
	unsigned long before = allocations, made;

	assert_int_equal(codec_method_init(&method, name, &level), 0);
	assert_int_equal(codec_stream_new(&method, &stream), 0);
	made = allocations;
	assert_true(made > before);
	use_stream(stream);
	assert_int_equal(allocations, made);
	codec_stream_free(stream);
}

static void test_no_allocation(void **state)
{
	for (int level = -7; level <= 22; level++)
		assert_never_allocates("zstd", level);
	assert_never_allocates("lz4", 1);
	assert_never_allocates("lz4", 100);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_allocation),
	};

	rng = rng_make(test_seed(1));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
