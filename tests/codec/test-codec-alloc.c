/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: nothing allocates once a stream is made: not compressing, not decompressing, of any
 * content by any method, with a dictionary or without. The libraries' calls are seen too: these are the process's malloc & co.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "codec/dict.h"
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

static struct dict_table table;

static void make_dict(void)
{
	static uint8_t pages[DICT_PAGES_MIN][CODEC_PAGE_SIZE], bytes[DICT_SIZE_MAX];
	struct dict *dict;
	size_t len;

	for (size_t i = 0; i < DICT_PAGES_MIN; i++)
		content_fill(&rng, CONTENT_TEXT, pages[i], CODEC_PAGE_SIZE);
	assert_int_equal(dict_train(pages, DICT_PAGES_MIN, 1, bytes, sizeof(bytes), &len), 0);
	assert_int_equal(dict_new(bytes, len, &dict), 0);
	dict_table_set(&table, 1, dict);
}

static void assert_never_allocates(const char *name, int level, enum codec_filter filter)
{
	struct codec_method method;
	struct codec_stream *stream;
	unsigned long before = allocations, made;

	assert_int_equal(codec_method_init(&method, name, &level), 0);
	method.filter = filter;
	assert_int_equal(codec_stream_new(&method, &stream), 0);
	codec_stream_set_dicts(stream, &table);
	made = allocations;
	assert_true(made > before);
	use_stream(stream);
	assert_int_equal(allocations, made);
	assert_int_equal(codec_stream_use_dict(stream, 1), *name == 'z');
	made = allocations;
	use_stream(stream);
	assert_int_equal(allocations, made);
	codec_stream_free(stream);
}

static void test_no_allocation(void **state)
{
	make_dict();
	for (int level = -7; level <= 22; level++)
		assert_never_allocates("zstd", level,
				       level % 2 ? CODEC_FILTER_TRY : CODEC_FILTER_AUTO);
	assert_never_allocates("lz4", 1, CODEC_FILTER_AUTO);
	assert_never_allocates("lz4", 100, CODEC_FILTER_TRY);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_allocation),
	};

	rng = rng_make(test_seed(1));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
