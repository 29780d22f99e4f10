/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a device with any content, restored from its image, holds the same, stored alike;
 * what is damaged stays so; requests may go on while it is saved; and a restore that fails leaves the
 * device as it was, or empty.
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "device/device-types.h"
#include "device/save.h"
#include "tests/device/store.h"
#include "tests/image/sink.h"

#define PAGES 3000 /* six leaves */
#define SIZE  (PAGES * (uint64_t)PAGE - 1234)

static size_t page_size(uint64_t page)
{
	return page == PAGES - 1 ? SIZE % PAGE : PAGE;
}

static struct image_counts save(struct device *device, struct sink *sink)
{
	struct image_counts counts;

	assert_int_equal(device_save(device, sink_write, sink, &counts), 0);
	return counts;
}

static int restore(struct device *device, bool force, struct sink *sink,
		   struct device_restored *ret)
{
	sink->at = 0;
	return device_restore(device, force, sink_read, sink, ret);
}

static void assert_sound(struct sink *sink)
{
	struct image_reader *reader;

	sink->at = 0;
	assert_int_equal(image_reader_new(sink_read, sink, &reader), 0);
	assert_int_equal(image_verify(reader), 0);
	image_reader_free(reader);
}

/* An image of a device that is made of damaged pages FIRST to LAST alone. */
static struct sink image_of_damaged(uint64_t first, uint64_t last)
{
	const struct image_info info = {.size = SIZE, .encodings = codec_plain_encodings()};
	struct image_writer *writer;
	struct image_counts counts;
	struct sink sink = {0};

	assert_int_equal(image_writer_new(&info, sink_write, &sink, &writer), 0);
	for (uint64_t page = first; page <= last; page++)
		assert_int_equal(image_put_damaged(writer, page), 0);
	assert_int_equal(image_writer_end(writer, &counts), 0);
	image_writer_free(writer);
	return sink;
}

/* A model of a device: its bytes, and which pages cannot be read. */
struct reference {
	uint8_t *bytes;
	bool damaged[PAGES];
};

/*
 * Fill the device with runs of all kinds of content, by several methods, holes between, over some
 * damaged pages of which some stay.
 */
static void fill(struct device *device, struct rng *rng, struct reference *reference)
{
	struct sink sink = image_of_damaged(100, 140);
	struct device_restored restored;

	assert_int_equal(restore(device, false, &sink, &restored), 0);
	sink_free(&sink);
	memset(reference, 0, sizeof(*reference));
	reference->bytes = calloc(PAGES, PAGE);
	assert_non_null(reference->bytes);
	for (uint64_t page = 100; page <= 140; page++)
		reference->damaged[page] = true;
	for (uint64_t page = 0; page < PAGES; page += rng_below(rng, 4)) {
		uint8_t *content = reference->bytes + page * PAGE;
		struct device_settings settings;

		if (page % 97 == 0) {
			int level = page % 2 ? 1 : 3;

			device_get_settings(device, &settings);
			assert_int_equal(codec_method_init(&settings.method,
							   page % 3 ? "zstd" : "lz4", &level),
					 0);
			assert_int_equal(device_set(device, &settings), 0);
		}
		content_fill(rng, content_pick(rng), content, page_size(page));
		assert_int_equal(device_write(device, content, page * PAGE, page_size(page)), 0);
		reference->damaged[page] = false;
	}
	/* Two leaves are not in use any more but for zeros that were written. */
	memset(reference->bytes + 1024 * PAGE, 0, 1024 * PAGE);
	assert_int_equal(device_trim(device, 1024 * PAGE, 1024 * PAGE), 0);
	assert_int_equal(device_write(device, reference->bytes + 1024 * PAGE, 1100 * PAGE, PAGE),
			 0);
}

static void assert_holds(struct device *device, const struct reference *reference)
{
	uint8_t found[PAGE];

	for (uint64_t page = 0; page < PAGES; page++) {
		int r = device_read(device, found, page * PAGE, page_size(page));

		assert_int_equal(r, reference->damaged[page] ? -EIO : 0);
		if (r == 0)
			assert_memory_equal(found, reference->bytes + page * PAGE, page_size(page));
	}
}

static void assert_alike(struct device *one, struct device *other)
{
	struct device_stats a = stats_of(one), b = stats_of(other);

	assert_int_equal(a.pages_pool, b.pages_pool);
	assert_int_equal(a.pages_same, b.pages_same);
	assert_int_equal(a.pages_raw, b.pages_raw);
	assert_int_equal(a.pages_filter, b.pages_filter);
	assert_int_equal(a.pages_damaged, b.pages_damaged);
	assert_int_equal(a.payload, b.payload);
}

static void assert_empty(struct device *device)
{
	struct device_stats stats = stats_of(device);

	assert_int_equal(stats.pages_pool, 0);
	assert_int_equal(stats.pages_same, 0);
	assert_int_equal(stats.pages_damaged, 0);
}

static void test_round_trip(void **state)
{
	struct rng rng = rng_make(test_seed(0));

	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
		struct sink image = {0}, again = {0};
		struct device_restored restored;
		struct image_counts counts;
		struct reference reference;

		fill(first, &rng, &reference);
		counts = save(first, &image);
		assert_int_equal(counts.objects, stats_of(first).pages_pool);
		assert_int_equal(counts.payload, stats_of(first).payload);
		assert_int_equal(counts.same, stats_of(first).pages_same);
		assert_int_equal(counts.damaged, stats_of(first).pages_damaged);
		assert_true(counts.damaged > 0 && counts.same > 0);
		assert_sound(&image);
		/* Saving has changed nothing. */
		assert_holds(first, &reference);

		image.piece = i % 2 ? 1000 : 0;
		assert_int_equal(restore(second, false, &image, &restored), 0);
		assert_memory_equal(&restored.counts, &counts, sizeof(counts));
		assert_holds(second, &reference);
		assert_alike(first, second);
		assert_valid(second);
		/* The header has a number of its own, and so have all checksums. */
		save(second, &again);
		assert_int_equal(again.size, image.size);
		sink_free(&image);
		sink_free(&again);
		free(reference.bytes);
		device_end(first);
		device_end(second);
	}
}

static void test_empty(void **state)
{
	struct device *device = device_of_size(SIZE);
	struct device_restored restored;
	struct sink image = {0};

	(void)state;
	save(device, &image);
	assert_int_equal(image.size, sizeof(struct image_header) + sizeof(struct image_block) +
					     sizeof(struct image_counts));
	assert_int_equal(restore(device, false, &image, &restored), 0);
	assert_empty(device);
	sink_free(&image);
	device_end(device);
}

/* Into what has something already: refused, or all of that goes. */
static void test_force(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct reference reference;
	uint8_t content[PAGE];
	struct sink image = {0};

	(void)state;
	fill(first, &rng, &reference);
	save(first, &image);
	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	write_page(second, 1500, content);
	assert_int_equal(restore(second, false, &image, &restored), -ENOTEMPTY);
	assert_false(restored.emptied);
	assert_page(second, 1500, content);
	assert_int_equal(restore(second, true, &image, &restored), 0);
	assert_holds(second, &reference);
	assert_alike(first, second);
	/* Zeros that were written are nothing. */
	memset(content, 0, PAGE);
	assert_int_equal(device_trim(second, 0, SIZE), 0);
	write_page(second, 5, content);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	assert_holds(second, &reference);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

static void test_another_size(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE - 1);
	struct device_restored restored;
	struct sink image = {0};

	(void)state;
	save(first, &image);
	assert_int_equal(restore(second, true, &image, &restored), -EINVAL);
	assert_non_null(strstr(restored.why, "another size"));
	assert_false(restored.emptied);
	sink_free(&image);
	device_end(first);
	device_end(second);
}

/* With one bit changed, or cut, anywhere: refused, and the device is as it was, or empty. */
static void test_unsound(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct reference reference;
	struct sink image = {0};
	uint8_t content[PAGE];
	uint64_t n = test_ops(80);

	(void)state;
	fill(first, &rng, &reference);
	save(first, &image);
	content_fill(&rng, CONTENT_TEXT, content, PAGE);
	for (uint64_t i = 0; i < n; i++) {
		size_t size = image.size, at = rng_below(&rng, i % 4 < 2 ? 64 : size);
		uint8_t byte = image.bytes[at];
		int r;

		write_page(second, 7, content);
		if (i % 2)
			image.size = at;
		else
			image.bytes[at] ^= (uint8_t)(1 << rng_below(&rng, 8));
		r = restore(second, true, &image, &restored);
		image.size = size;
		image.bytes[at] = byte;
		assert_true(r == -EBADMSG || r == -EPROTO || r == -ENODATA);
		assert_non_null(restored.why);
		if (restored.emptied)
			assert_empty(second);
		else
			assert_page(second, 7, content);
		assert_true(restored.emptied == (at >= sizeof(struct image_header)));
	}
	assert_int_equal(restore(second, true, &image, &restored), 0);
	assert_holds(second, &reference);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

/* Whatever errors the callbacks give come through. */
static void test_callbacks(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct image_counts counts;
	struct reference reference;
	struct sink image = {.limit = 1000000};

	(void)state;
	fill(first, &rng, &reference);
	assert_int_equal(device_save(first, sink_write, &image, &counts), -ENOSPC);
	sink_free(&image);
	save(first, &image);
	image.failed = 1000000;
	assert_int_equal(restore(second, false, &image, &restored), -EIO);
	assert_null(restored.why);
	assert_true(restored.emptied);
	assert_empty(second);
	assert_holds(first, &reference);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

/* There is no room for all of it: the device is empty, and of use. */
static void test_limit(void **state)
{
	struct device_options options = options_make(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct device *first, *second;
	struct reference reference;
	struct sink image = {0};

	(void)state;
	first = device_make(&options);
	fill(first, &rng, &reference);
	save(first, &image);
	options.mem_limit = device_min_limit();
	assert_true(stats_of(first).payload > options.mem_limit);
	second = device_make(&options);
	assert_int_equal(restore(second, false, &image, &restored), -ENOSPC);
	assert_true(restored.emptied);
	assert_empty(second);
	write_page(second, 0, reference.bytes);
	assert_page(second, 0, reference.bytes);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

/* A payload that has gone bad in place is saved as a damaged page, so that the image is sound. */
static void test_gone_bad(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct image_counts counts;
	struct sink image = {0};
	uint8_t content[PAGE];
	slot_word word;

	(void)state;
	for (uint64_t page = 10; page < 13; page++) {
		content_fill(&rng, CONTENT_TEXT, content, PAGE);
		write_page(first, page, content);
	}
	word = slot_peek(&first->slots[11]);
	assert_int_equal(slot_state(word), SLOT_POOL);
	memset(zs_payload(first->pool, slot_ref(word), slot_len(word)), 0xff, slot_len(word));
	counts = save(first, &image);
	assert_int_equal(counts.objects, 2);
	assert_int_equal(counts.damaged, 1);
	assert_sound(&image);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	assert_page(second, 12, content);
	assert_int_equal(device_read(second, content, 11 * PAGE, PAGE), -EIO);
	write_page(second, 11, content);
	assert_page(second, 11, content);
	sink_free(&image);
	device_end(first);
	device_end(second);
}

/* Into a store, which is then recovered: nothing of what was restored is lost or doubted. */
static void test_store(void **state)
{
	struct rng rng = rng_make(test_seed(0));
	struct plain_store store = store_make(SIZE);
	struct device *first = device_of_size(SIZE), *second = store_device(&store, SIZE);
	struct device_restored restored;
	struct reference reference;
	struct image_info info;
	struct sink image = {0}, again = {0};

	(void)state;
	fill(first, &rng, &reference);
	save(first, &image);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	device_free(second);
	second = store_device(&store, SIZE);
	assert_int_equal(recovery_of(second).damaged, stats_of(first).pages_damaged);
	assert_int_equal(recovery_of(second).pages, stats_of(first).pages_pool);
	assert_int_equal(recovery_of(second).cells_freed, 0);
	assert_holds(second, &reference);
	/* Its image says which it was. */
	save(second, &again);
	memcpy(&info.uuid, again.bytes + offsetof(struct image_header, uuid), sizeof(info.uuid));
	assert_memory_equal(info.uuid, recovery_of(second).uuid, sizeof(info.uuid));
	sink_free(&image);
	sink_free(&again);
	free(reference.bytes);
	device_end(first);
	device_end(second);
	store_end(&store);
}

/*
 * While it is written: each page that one thread writes is all of one version, and no older than
 * what was written before the save began. Every word of a page says page and version.
 */
#define BUSY_PAGES 400

struct writer {
	struct device *device;
	uint32_t stop;		      /* atomic */
	uint64_t written[BUSY_PAGES]; /* the version that is there for sure; atomic */
	uint64_t seed;
};

static void stamp(uint8_t *content, uint64_t page, uint64_t version)
{
	struct rng rng = rng_make(page << 32 | version);
	uint64_t word = page << 32 | version;

	/* Every third is one word over and over; the others shrink, more or less. */
	codec_fill_word(content, word);
	if (version % 3)
		rng_bytes(&rng, content + 64, rng_below(&rng, PAGE - 64));
}

static void *keep_writing(void *opaque)
{
	struct writer *writer = opaque;
	struct rng rng = rng_make(writer->seed);
	uint8_t content[PAGE];

	for (uint64_t version = 1; !__atomic_load_n(&writer->stop, __ATOMIC_ACQUIRE); version++) {
		uint64_t page = rng_below(&rng, BUSY_PAGES);

		stamp(content, page, version);
		if (device_write(writer->device, content, page * PAGE, PAGE) < 0)
			abort();
		__atomic_store_n(&writer->written[page], version, __ATOMIC_RELEASE);
		if (version % 1000 == 0)
			device_compact(writer->device);
	}
	return NULL;
}

static void check_pages(struct device *restored, const uint64_t *least)
{
	uint8_t found[PAGE], expected[PAGE];

	for (uint64_t page = 0; page < BUSY_PAGES; page++) {
		uint64_t word;

		assert_int_equal(device_read(restored, found, page * PAGE, PAGE), 0);
		memcpy(&word, found, sizeof(word));
		if (word == 0 && least[page] == 0)
			continue;
		assert_int_equal(word >> 32, page);
		assert_true((word & UINT32_MAX) >= least[page]);
		stamp(expected, page, word & UINT32_MAX);
		assert_memory_equal(found, expected, PAGE);
	}
}

static void test_busy(void **state)
{
	struct device *restored = device_of_size(SIZE);
	struct writer writer = {.device = device_of_size(SIZE), .seed = test_seed(0)};
	uint64_t least[BUSY_PAGES], n = test_ops(100);
	struct device_restored result;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, keep_writing, &writer), 0);
	for (uint64_t i = 0; i < n; i++) {
		struct sink image = {0};

		for (uint64_t page = 0; page < BUSY_PAGES; page++)
			least[page] = __atomic_load_n(&writer.written[page], __ATOMIC_ACQUIRE);
		save(writer.device, &image);
		assert_int_equal(restore(restored, true, &image, &result), 0);
		check_pages(restored, least);
		sink_free(&image);
	}
	__atomic_store_n(&writer.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	device_end(writer.device);
	device_end(restored);
}

static uint64_t count_tried(struct device *device)
{
	uint64_t tried = 0;

	for (uint64_t page = 0; page < PAGES; page++)
		tried += leaf_ready(device, page) && slot_tried(slot_peek(&device->slots[page]));
	return tried;
}

/*
 * Pages that recompression is done with are saved as any others, and keep their marks and ages; what is
 * restored of them is as if just written.
 */
static void test_tried(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct device_recompress order = {.has_method = true};
	struct device_recompressed done;
	struct device_restored restored;
	struct rng rng = rng_make(test_seed(0));
	struct reference reference;
	struct sink image = {0};
	uint64_t tried, idle;
	int level = 6;

	(void)state;
	fill(first, &rng, &reference);
	assert_int_equal(codec_method_init(&order.method, "zstd", &level), 0);
	assert_int_equal(device_recompress(first, &order, &done), 0);
	tried = count_tried(first);
	assert_true(tried > 0 && done.saved > 0);
	assert_int_equal(device_idle(first, 0, &idle), 0);
	assert_int_equal(idle, stats_of(first).pages_pool);

	assert_int_equal(save(first, &image).objects, stats_of(first).pages_pool);
	assert_int_equal(count_tried(first), tried);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	assert_alike(first, second);
	for (uint64_t page = 0; page < PAGES; page++) {
		slot_word word = slot_peek(&first->slots[page]);

		if (leaf_ready(first, page) && slot_state(word) == SLOT_POOL)
			assert_int_equal(slot_age(word), AGE_MAX);
		if (!leaf_ready(second, page))
			continue;
		word = slot_peek(&second->slots[page]);
		assert_false(slot_tried(word));
		if (slot_state(word) == SLOT_POOL)
			assert_int_equal(slot_age(word), 0);
	}
	assert_holds(second, &reference);
	assert_holds(first, &reference);
	assert_valid(second);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

/* Dictionaries for as few pages as there can be, and another as soon as WRITTEN times as many are. */
static void set_training(struct device *device, uint64_t written)
{
	device->background.training.least = DICT_PAGES_MIN;
	device->background.training.turnover = written;
}

static void recompress_by_zstd(struct device *device)
{
	struct device_recompress order = {.has_method = true};
	struct device_recompressed done;
	int level = 3;

	assert_int_equal(codec_method_init(&order.method, "zstd", &level), 0);
	assert_int_equal(device_recompress(device, &order, &done), 0);
}

/* An image has no dictionaries, and none of its pages needs one. */
static void test_dictionaries(void **state)
{
	struct device *first = device_of_size(SIZE), *second = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct device_restored restored;
	struct reference reference;
	struct image_counts counts;
	struct sink image = {0};

	(void)state;
	fill(first, &rng, &reference);
	set_training(first, 1);
	recompress_by_zstd(first);
	assert_true(stats_of(first).pages_dict > 0);
	counts = save(first, &image);
	assert_int_equal(counts.objects, stats_of(first).pages_pool);
	assert_int_equal(counts.damaged, stats_of(first).pages_damaged);
	assert_true(counts.payload > stats_of(first).payload);
	assert_sound(&image);
	assert_int_equal(restore(second, false, &image, &restored), 0);
	assert_int_equal(stats_of(second).pages_dict, 0);
	assert_holds(second, &reference);
	assert_valid(second);
	sink_free(&image);
	free(reference.bytes);
	device_end(first);
	device_end(second);
}

struct trainee {
	struct device *device;
	uint32_t stop;	  /* atomic */
	uint32_t trained; /* atomic */
};

static void *keep_training(void *opaque)
{
	struct trainee *t = opaque;

	while (__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE) == 0) {
		recompress_by_zstd(t->device);
		__atomic_store_n(&t->trained, dicts_newest(t->device), __ATOMIC_RELEASE);
	}
	return NULL;
}

/* They come and go while it is made. */
static void test_dictionaries_busy(void **state)
{
	struct trainee trainee = {.device = device_of_size(SIZE)};
	struct device *restored = device_of_size(SIZE);
	struct rng rng = rng_make(test_seed(0));
	struct reference reference;
	struct device_restored result;
	uint64_t n = test_ops(20);
	pthread_t thread;

	(void)state;
	fill(trainee.device, &rng, &reference);
	set_training(trainee.device, 0);
	assert_int_equal(pthread_create(&thread, NULL, keep_training, &trainee), 0);
	while (__atomic_load_n(&trainee.trained, __ATOMIC_ACQUIRE) == 0)
		usleep(1000);
	for (uint64_t i = 0; i < n; i++) {
		struct sink image = {0};

		assert_int_equal(save(trainee.device, &image).damaged,
				 stats_of(trainee.device).pages_damaged);
		assert_int_equal(restore(restored, true, &image, &result), 0);
		assert_holds(restored, &reference);
		sink_free(&image);
	}
	__atomic_store_n(&trainee.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_valid(trainee.device);
	free(reference.bytes);
	device_end(trainee.device);
	device_end(restored);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_force),
		cmocka_unit_test(test_another_size),
		cmocka_unit_test(test_unsound),
		cmocka_unit_test(test_callbacks),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_gone_bad),
		cmocka_unit_test(test_store),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_tried),
		cmocka_unit_test(test_dictionaries),
		cmocka_unit_test(test_dictionaries_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
