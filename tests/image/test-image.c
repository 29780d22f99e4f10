/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what is put into an image comes out of it; cut at any byte, or with any byte changed,
 * it is refused, and so is every number that no writer writes, although the checksums are right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "codec/codec.h"
#include "tests/image/sink.h"
#include "tests/lib/rng.h"

#define PAGE  CODEC_PAGE_SIZE
#define PAGES 300

static const struct image_info info = {
	.size = PAGES * (uint64_t)PAGE - 100,
	.uuid = {1, 2, 3},
	.encodings = 1U << CODEC_RAW | 1U << CODEC_LZ4 | 1U << CODEC_ZSTD,
};

/* Payloads are not looked into here. */
static uint8_t payload[PAGE];

static struct image_writer *writer_of(struct sink *sink)
{
	struct image_writer *writer;

	assert_int_equal(image_writer_new(&info, sink_write, sink, &writer), 0);
	return writer;
}

/* A few pages of each kind. */
static struct sink make_small(void)
{
	struct sink sink = {0};
	struct image_writer *writer = writer_of(&sink);
	struct image_counts counts;

	assert_int_equal(image_put_same(writer, 0, 7), 0);
	assert_int_equal(image_put_same(writer, 1, 7), 0);
	assert_int_equal(image_put_object(writer, 2, CODEC_LZ4, payload, 40), 0);
	assert_int_equal(image_put_damaged(writer, 3), 0);
	assert_int_equal(image_put_damaged(writer, 4), 0);
	assert_int_equal(image_put_object(writer, PAGES - 1, CODEC_ZSTD, payload, 60), 0);
	assert_int_equal(image_writer_end(writer, &counts), 0);
	assert_int_equal(counts.objects, 2);
	assert_int_equal(counts.same, 2);
	assert_int_equal(counts.damaged, 2);
	assert_int_equal(counts.payload, 100);
	image_writer_free(writer);
	return sink;
}

/* 0, or what it is refused with; *ret_why says why. */
static int read_to_end(struct sink *sink, const char **ret_why)
{
	struct image_reader *reader;
	struct image_record record;
	int r;

	sink->at = 0;
	r = image_reader_new(sink_read, sink, &reader);
	assert_non_null(reader);
	if (r == 0)
		while ((r = image_next(reader, &record)) > 0)
			assert_true(record.page + record.count <= PAGES);
	*ret_why = image_reader_why(reader);
	if (r == 0)
		assert_int_equal(image_reader_bytes(reader), sink->size);
	image_reader_free(reader);
	return r;
}

static void refused(struct sink *sink, int error, const char *why)
{
	const char *found = NULL;

	assert_int_equal(read_to_end(sink, &found), error);
	assert_non_null(found);
	if (strstr(found, why) == NULL)
		fail_msg("'%s' is not '%s'", found, why);
}

static void expect(struct image_reader *reader, const struct image_record *expected)
{
	struct image_record found;

	assert_int_equal(image_next(reader, &found), 1);
	assert_int_equal(found.kind, expected->kind);
	assert_int_equal(found.page, expected->page);
	assert_int_equal(found.count, expected->count);
	assert_int_equal(found.word, expected->word);
	assert_int_equal(found.encoding, expected->encoding);
	if (expected->kind != IMAGE_OBJECT)
		return;
	assert_int_equal(found.len, expected->len);
	assert_memory_equal(found.payload, payload, found.len);
}

static void test_small(void **state)
{
	struct sink sink = make_small();
	struct image_reader *reader;
	struct image_record none;

	(void)state;
	sink.piece = 7;
	assert_int_equal(image_reader_new(sink_read, &sink, &reader), 0);
	assert_int_equal(image_reader_info(reader)->size, info.size);
	assert_memory_equal(image_reader_info(reader)->uuid, info.uuid, sizeof(info.uuid));
	expect(reader, &(struct image_record){IMAGE_SAME, .page = 0, .count = 2, .word = 7});
	expect(reader, &(struct image_record){IMAGE_OBJECT, .page = 2, .count = 1,
					      .encoding = CODEC_LZ4, .len = 40});
	expect(reader, &(struct image_record){IMAGE_DAMAGED, .page = 3, .count = 2});
	expect(reader, &(struct image_record){IMAGE_OBJECT, .page = PAGES - 1, .count = 1,
					      .encoding = CODEC_ZSTD, .len = 60});
	assert_int_equal(image_next(reader, &none), 0);
	image_reader_free(reader);
	sink_free(&sink);
}

/* Many blocks, every kind and length, any order of kinds. */
static void test_random(void **state)
{
	struct rng rng = rng_make(test_seed(0)), again = rng;
	struct sink sink = {0};
	struct image_writer *writer = writer_of(&sink);
	struct image_reader *reader;
	struct image_counts counts;
	struct image_record record;

	(void)state;
	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t kind = rng_below(&rng, 8);

		if (kind == 0)
			assert_int_equal(image_put_same(writer, page, page), 0);
		else if (kind == 1)
			assert_int_equal(image_put_damaged(writer, page), 0);
		else if (kind > 2)
			assert_int_equal(image_put_object(writer, page, CODEC_RAW, payload, PAGE),
					 0);
	}
	assert_int_equal(image_writer_end(writer, &counts), 0);
	image_writer_free(writer);
	assert_true(sink.size > 2 * IMAGE_BLOCK_MAX);
	assert_int_equal(image_reader_new(sink_read, &sink, &reader), 0);
	record.count = 0;
	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t kind = rng_below(&again, 8);

		if (kind == 2)
			continue;
		if (record.count == 0)
			assert_int_equal(image_next(reader, &record), 1);
		assert_int_equal(record.page, page);
		assert_int_equal(record.kind, kind == 0	  ? IMAGE_SAME
					      : kind == 1 ? IMAGE_DAMAGED
							  : IMAGE_OBJECT);
		assert_true(kind != 0 || record.word == page);
		record.page++;
		record.count--;
	}
	assert_int_equal(record.count, 0);
	assert_int_equal(image_next(reader, &record), 0);
	assert_memory_equal(image_reader_counts(reader), &counts, sizeof(counts));
	image_reader_free(reader);
	sink_free(&sink);
}

static void test_every_truncation(void **state)
{
	struct sink sink = make_small();
	size_t size = sink.size;

	(void)state;
	for (sink.size = 0; sink.size < size; sink.size++) {
		/* What has not even a magic is no image. */
		if (sink.size < sizeof(uint64_t))
			refused(&sink, -EPROTO, "not an image");
		else
			refused(&sink, -ENODATA, "truncated");
	}
	sink_free(&sink);
}

static void test_every_flipped_bit(void **state)
{
	struct sink sink = make_small();
	const char *why;

	(void)state;
	for (size_t i = 0; i < 8 * sink.size; i++) {
		sink.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_true(read_to_end(&sink, &why) < 0);
		assert_non_null(why);
		sink.bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(read_to_end(&sink, &why), 0);
	sink_free(&sink);
}

/* Where the small image has what. */
enum {
	AT_BLOCK = sizeof(struct image_header),
	AT_SAME = AT_BLOCK + sizeof(struct image_block),
	AT_SAME_RUN = AT_SAME + sizeof(struct image_record_header),
	AT_OBJECT = AT_SAME_RUN + sizeof(struct image_run),
	AT_DAMAGED = AT_OBJECT + sizeof(struct image_record_header) + 40,
	AT_DAMAGED_RUN = AT_DAMAGED + sizeof(struct image_record_header),
	AT_END =
		AT_DAMAGED_RUN + sizeof(struct image_run) + sizeof(struct image_record_header) + 60,
};

/* With N bytes at AT made those of VALUE, and all checksums right. */
static void forged(size_t at, uint64_t value, size_t n, int error, const char *why)
{
	struct sink sink = make_small();

	assert_true(at + n <= sink.size);
	memcpy(sink.bytes + at, &value, n);
	sink_seal(&sink);
	refused(&sink, error, why);
	sink_free(&sink);
}

#define FORGED(at, type, member, value, error, why) \
	forged((at) + offsetof(type, member), value, sizeof(((type *)0)->member), error, why)

static void test_forged(void **state)
{
	(void)state;
	FORGED(0, struct image_header, magic, 1, -EPROTO, "not an image");
	FORGED(0, struct image_header, version, 2, -EPROTO, "of another version");
	FORGED(0, struct image_header, page_size, 16384, -EPROTO, "of another page size");
	FORGED(0, struct image_header, size, 0, -EPROTO, "of a size that no device has");
	FORGED(0, struct image_header, size, UINT64_MAX, -EPROTO, "of a size that no device has");
	FORGED(0, struct image_header, size, 4 * PAGE, -EBADMSG, "outside the device");
	FORGED(0, struct image_header, encodings, UINT32_MAX, -EPROTO, "cannot decode");
	FORGED(0, struct image_header, encodings, 1U << CODEC_LZ4, -EBADMSG, "an encoding");
	FORGED(AT_BLOCK, struct image_block, number, 1, -EBADMSG, "not in order");
	FORGED(AT_BLOCK, struct image_block, kind, 3, -EBADMSG, "a block is of no known kind");
	FORGED(AT_BLOCK, struct image_block, kind, 2, -EBADMSG, "not as many pages");
	FORGED(AT_BLOCK, struct image_block, length, 0, -EBADMSG, "a block has a length");
	FORGED(AT_BLOCK, struct image_block, length, UINT32_MAX, -EBADMSG, "a block has a length");
	FORGED(AT_SAME, struct image_record_header, page, 1, -EBADMSG, "not in order");
	FORGED(AT_SAME, struct image_record_header, kind, 0, -EBADMSG, "no known kind");
	FORGED(AT_SAME, struct image_record_header, kind, 4, -EBADMSG, "no known kind");
	FORGED(AT_SAME, struct image_record_header, encoding, 1, -EBADMSG, "a length");
	FORGED(AT_SAME, struct image_record_header, length, 12, -EBADMSG, "a length");
	FORGED(AT_SAME, struct image_record_header, length, 65535, -EBADMSG,
	       "longer than its block");
	FORGED(AT_SAME_RUN, struct image_run, count, 0, -EBADMSG, "not in order");
	FORGED(AT_SAME_RUN, struct image_run, count, 3, -EBADMSG, "not in order");
	FORGED(AT_SAME_RUN, struct image_run, count, UINT64_MAX, -EBADMSG, "outside the device");
	FORGED(AT_SAME_RUN, struct image_run, count, 1, -EBADMSG, "not as many pages");
	FORGED(AT_OBJECT, struct image_record_header, page, UINT32_MAX, -EBADMSG, "outside");
	FORGED(AT_OBJECT, struct image_record_header, encoding, CODEC_RAW, -EBADMSG, "a length");
	FORGED(AT_OBJECT, struct image_record_header, encoding, 255, -EBADMSG, "an encoding");
	FORGED(AT_OBJECT, struct image_record_header, encoding, 1 << 3 | CODEC_LZ4, -EBADMSG,
	       "an encoding");
	FORGED(AT_OBJECT, struct image_record_header, length, 0, -EBADMSG, "a length");
	FORGED(AT_DAMAGED_RUN, struct image_run, count, PAGES, -EBADMSG, "outside the device");
	FORGED(AT_END + sizeof(struct image_block), struct image_counts, objects, 3, -EBADMSG,
	       "not as many pages");
	FORGED(AT_END, struct image_block, kind, 1, -EBADMSG, "");
}

/* A block of another image, with a checksum that is right there. */
static void test_mixed(void **state)
{
	struct sink one = make_small(), other = make_small();

	(void)state;
	memcpy(one.bytes + AT_BLOCK, other.bytes + AT_BLOCK, AT_END - AT_BLOCK);
	refused(&one, -EBADMSG, "the checksum of a block is wrong");
	sink_free(&one);
	sink_free(&other);
}

static void test_behind_the_end(void **state)
{
	struct sink sink = make_small();

	(void)state;
	assert_int_equal(sink_write(&sink, "", 1), 0);
	refused(&sink, -EBADMSG, "something follows its end");
	sink_free(&sink);
}

/* What the callbacks fail with comes through, wherever it is. */
static void test_errors(void **state)
{
	struct sink sink = make_small();
	size_t size = sink.size;
	const char *why;

	(void)state;
	for (sink.failed = 1; sink.failed < size; sink.failed += 17) {
		assert_int_equal(read_to_end(&sink, &why), -EIO);
		assert_null(why);
	}
	sink_free(&sink);
	for (size_t limit = 1; limit < size; limit++) {
		struct sink full = {.limit = limit};
		struct image_writer *writer;
		struct image_counts counts;
		int r = image_writer_new(&info, sink_write, &full, &writer);

		if (limit < AT_BLOCK) {
			assert_int_equal(r, -ENOSPC);
			continue;
		}
		assert_int_equal(r, 0);
		/* Two blocks: a record, and the counts. */
		assert_int_equal(image_put_object(writer, 2, CODEC_LZ4, payload, 40), 0);
		r = image_writer_end(writer, &counts);
		assert_int_equal(r, limit < AT_BLOCK + 24 + 48 + 24 + 32 ? -ENOSPC : 0);
		image_writer_free(writer);
		sink_free(&full);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_flipped_bit),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_behind_the_end),
		cmocka_unit_test(test_errors),
	};
	struct rng rng = rng_make(1);

	rng_bytes(&rng, payload, sizeof(payload));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
