/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: an estimate of made pages is what the codec makes of them; a sample is even, and whole
 * where there is room for it. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "allocator/zs.h"
#include "codec/codec.h"
#include "ctl/measure.h"
#include "ctl/sample.h"
#include "tests/lib/content.h"

_Static_assert(MEASURE_MAX_PAYLOAD == ZS_MAX_SHARED, "what the device does");

#define PAGES 200
#define PAGE  CODEC_PAGE_SIZE

static struct rng rng;
static struct progress quiet = {.next = UINT64_MAX};

static unsigned char *make_pages(size_t count)
{
	unsigned char *pages = malloc(count * PAGE);

	assert_non_null(pages);
	for (size_t i = 0; i < count; i++)
		content_fill(&rng, content_pick(&rng), pages + i * PAGE, PAGE);
	return pages;
}

/* The same sums, by the codec's own calls. */
static struct measure expect(const struct codec_method *method, const unsigned char *pages,
			     size_t count)
{
	struct measure sums = {.pages = count};
	struct codec_stream *stream;

	assert_int_equal(codec_stream_new(method, &stream), 0);
	for (size_t i = 0; i < count; i++) {
		const void *payload;
		uint8_t encoding;
		uint64_t word;
		size_t len;

		if (codec_same_word(pages + i * PAGE, &word)) {
			sums.same++;
			continue;
		}
		len = codec_compress(stream, pages + i * PAGE, &payload, &encoding);
		sums.payload += len;
		sums.raw += len == PAGE;
	}
	codec_stream_free(stream);
	return sums;
}

static void test_measure(void **state)
{
	static const char *const codecs[] = {"lz4", "zstd"};
	unsigned char *pages = make_pages(PAGES);

	for (size_t i = 0; i < 4; i++) {
		struct measure measured, expected;
		struct codec_method method;

		assert_int_equal(codec_method_init(&method, codecs[i / 2], NULL), 0);
		method.filter = i % 2 ? CODEC_FILTER_NONE : CODEC_FILTER_AUTO;
		expected = expect(&method, pages, PAGES);
		assert_int_equal(measure_pages(&method, pages, PAGES, "", &quiet, &measured), 0);
		assert_int_equal(measured.pages, PAGES);
		assert_int_equal(measured.same, expected.same);
		assert_int_equal(measured.raw, expected.raw);
		assert_int_equal(measured.payload, expected.payload);
		assert_true(measured.compress_ns > 0 && measured.decompress_ns > 0);
	}
	free(pages);
}

static void test_sums(void **state)
{
	struct measure measure = {
		.pages = 100,
		.same = 20,
		.payload = 100000,
		.compress_ns = 160000,
		.decompress_ns = 80000,
	};
	struct measure none = {.pages = 10, .same = 10};

	assert_true(measure_held(&measure) == 103000);
	assert_true(measure_ratio(&measure) == 409600.0 / 103000);
	assert_true(measure_compress_us(&measure) == 2);
	assert_true(measure_decompress_us(&measure) == 1);
	assert_true(measure_ratio(&none) == 0);
	assert_true(measure_compress_us(&none) == 0);
}

/* A file of COUNT pages, each with its number at the front, and half a page. */
static char *make_file(size_t count)
{
	char *path = strdup("/tmp/zcram-test-estimate-XXXXXX");
	unsigned char page[PAGE] = {0};
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	assert_non_null(file);
	for (size_t i = 0; i < count; i++) {
		memcpy(page, &i, sizeof(i));
		assert_int_equal(fwrite(page, PAGE, 1, file), 1);
	}
	assert_int_equal(fwrite(page, PAGE / 2, 1, file), 1);
	assert_int_equal(fclose(file), 0);
	return path;
}

static void remove_file(char *path)
{
	unlink(path);
	free(path);
}

/* Draw CAPACITY pages of the file, and count how often each came. */
static void draw(const char *path, size_t capacity, unsigned int *times, size_t count)
{
	struct sample_counts counts;
	const unsigned char *pages;
	struct sample *sample;
	size_t drawn;

	assert_int_equal(sample_new(capacity, &quiet, &sample), 0);
	assert_int_equal(sample_add_file(sample, path), 0);
	sample_get_counts(sample, &counts);
	assert_int_equal(counts.seen, count);
	assert_int_equal(sample_read(sample, &pages, &drawn), 0);
	assert_int_equal(drawn, capacity < count ? capacity : count);
	for (size_t i = 0; i < drawn; i++) {
		size_t number;

		memcpy(&number, pages + i * PAGE, sizeof(number));
		assert_true(number < count);
		times[number]++;
	}
	sample_free(sample);
}

static void test_file_whole(void **state)
{
	char *path = make_file(50);
	unsigned int times[50] = {0};

	draw(path, 50, times, 50);
	draw(path, 1000, times, 50);
	for (size_t i = 0; i < 50; i++)
		assert_int_equal(times[i], 2);
	remove_file(path);
}

/* 10 of 50, 1000 times: each page 200 times, give or take. That one of the 50 is off by 80, more
 * than six times the deviation, comes about once in a hundred million runs. */
static void test_file_even(void **state)
{
	char *path = make_file(50);
	unsigned int times[50] = {0};

	for (int i = 0; i < 1000; i++)
		draw(path, 10, times, 50);
	for (size_t i = 0; i < 50; i++) {
		if (times[i] < 120 || times[i] > 280)
			fail_msg("page %zu was drawn %u times", i, times[i]);
	}
	remove_file(path);
}

static void test_no_file(void **state)
{
	struct sample *sample;

	assert_int_equal(sample_new(10, &quiet, &sample), 0);
	assert_int_equal(sample_add_file(sample, "/nonexistent"), -ENOENT);
	sample_free(sample);
	assert_int_equal(sample_new(10, &quiet, &sample), 0);
	assert_int_equal(sample_add_file(sample, "/tmp"), -ESPIPE);
	sample_free(sample);
}

/* A child with marked pages: all of them are found and read. */
static void test_process(void **state)
{
	static const char mark[] = "zcram-test-estimate";
	unsigned char *base = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const unsigned char *pages;
	struct sample_counts counts;
	struct sample *sample;
	size_t read, marked = 0;
	pid_t pid;

	assert_true(base != MAP_FAILED);
	for (size_t i = 0; i < PAGES; i++)
		memcpy(base + i * PAGE, mark, sizeof(mark));
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when an assertion fails */
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	assert_int_equal(sample_new(1 << 20, &quiet, &sample), 0);
	assert_int_equal(sample_add_process(sample, pid), 0);
	assert_int_equal(sample_read(sample, &pages, &read), 0);
	sample_get_counts(sample, &counts);
	assert_int_equal(counts.processes, 1);
	assert_int_equal(counts.unreadable, 0);
	assert_int_equal(read, counts.seen);
	for (size_t i = 0; i < read; i++)
		marked += memcmp(pages + i * PAGE, mark, sizeof(mark)) == 0;
	assert_int_equal(marked, PAGES);
	sample_free(sample);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(sample_new(10, &quiet, &sample), 0);
	assert_int_equal(sample_add_process(sample, pid), -ESRCH);
	assert_int_equal(sample_read(sample, &pages, &read), 0);
	assert_int_equal(read, 0);
	sample_free(sample);
	munmap(base, PAGES * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measure),	   cmocka_unit_test(test_sums),
		cmocka_unit_test(test_file_whole), cmocka_unit_test(test_file_even),
		cmocka_unit_test(test_no_file),	   cmocka_unit_test(test_process),
	};

	rng = rng_make(test_seed(0));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
