/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a store that does not match, in whatever part of its header, is refused with a reason
 * and left as it is; one that was never completed is made anew.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/fnv1a.h"
#include "device/store.h"
#include "tests/device/store.h"

#define SIZE   (4 * MIB)
#define COPIED (5 * PAGE) /* header, leaves, table, some words */

struct world {
	struct plain_store store;
	struct store_header *header;
	uint8_t *copy; /* of what may not change */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	uint8_t page[PAGE];
	struct device *device;

	if (!w)
		return -1;
	w->store = store_make(SIZE);
	w->header = w->store.memory;
	device = store_device(&w->store, SIZE);
	memset(page, 0x11, sizeof(page));
	write_page(device, 3, page);
	device_free(device);
	w->copy = malloc(COPIED);
	*state = w;
	return w->copy ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	store_end(&w->store);
	free(w->copy);
	free(w);
	return 0;
}

/* The checksum is right again: it is not by it that the store is to be refused. */
static void seal(struct store_header *h)
{
	uint64_t hash = fnv1a(FNV1A_START, h, offsetof(struct store_header, complete));

	h->checksum = fnv1a(hash, &h->page_size,
			    offsetof(struct store_header, checksum) -
				    offsetof(struct store_header, page_size));
}

static void assert_refused_as(struct world *w, uint64_t store_size, uint64_t size, int expected)
{
	struct device_options options = store_options(&w->store, size);
	struct device_store_info info;
	struct device *device = NULL;
	const char *why = NULL;

	options.store_size = store_size;
	memcpy(w->copy, w->store.memory, COPIED);
	assert_int_equal(device_store_inspect(w->store.memory, store_size, &info, &why), expected);
	assert_non_null(why);
	assert_true(*why != '\0');
	assert_int_equal(device_new(&options, &device), expected);
	assert_null(device);
	assert_memory_equal(w->copy, w->store.memory, COPIED);
}

static void assert_refused(struct world *w, int expected)
{
	assert_refused_as(w, w->store.size, SIZE, expected);
}

static void test_matches(void **state)
{
	struct world *w = *state;
	struct device_store_info info;
	struct device *device;
	const char *why;

	assert_int_equal(device_store_inspect(w->store.memory, w->store.size, &info, &why), 0);
	assert_null(why);
	assert_true(info.complete);
	assert_int_equal(info.layout, DEVICE_STORE_LAYOUT);
	assert_int_equal(info.device_size, SIZE);
	assert_int_equal(info.store_size, w->store.size);
	assert_int_equal(info.generation, 0);
	assert_int_equal(info.uuid[6] >> 4, 4);
	assert_int_equal(info.uuid[8] >> 6, 2);
	device = store_device(&w->store, SIZE);
	assert_int_equal(device_store_inspect(w->store.memory, w->store.size, &info, &why), 0);
	assert_int_equal(info.generation, 1);
	device_end(device);
}

static void test_sizes(void **state)
{
	assert_int_equal(device_store_size(0), 0);
	assert_int_equal(device_store_size(device_max_size() + 1), 0);
	assert_true(device_store_size(device_max_size()) > device_max_size());
	for (uint64_t size = 1; size < device_max_size() / 2; size = 2 * size + 1)
		assert_true(device_store_size(2 * size) >= device_store_size(size) &&
			    device_store_size(size) % PAGE == 0);
}

static void test_other_device_size(void **state)
{
	struct world *w = *state;
	struct device_options options = store_options(&w->store, SIZE - 1);
	struct device *device = NULL;

	assert_int_equal(device_new(&options, &device), -EINVAL);
	options.size = 2 * SIZE;
	assert_int_equal(device_new(&options, &device), -EINVAL);
	assert_null(device);
	device_end(store_device(&w->store, SIZE));
}

static void test_other_allocator(void **state)
{
	struct world *w = *state;
	struct device_options options = store_options(&w->store, SIZE);
	struct device_store_info info;
	struct device *device = NULL;
	const char *why;

	assert_int_equal(device_store_inspect(w->store.memory, w->store.size, &info, &why), 0);
	assert_int_equal(info.allocator, options.allocator);
	memcpy(w->copy, w->store.memory, COPIED);
	options.allocator = (options.allocator + 1) % ZS_KINDS;
	assert_int_equal(device_new(&options, &device), -EINVAL);
	assert_null(device);
	assert_memory_equal(w->copy, w->store.memory, COPIED);
	options.allocator = ZS_KINDS;
	assert_int_equal(device_new(&options, &device), -EINVAL);
	device_end(store_device(&w->store, SIZE));
}

static void test_truncated(void **state)
{
	struct world *w = *state;

	assert_refused_as(w, w->store.size - PAGE, SIZE, -EINVAL);
	assert_refused_as(w, PAGE, SIZE, -EINVAL);
	assert_refused_as(w, 100, SIZE, -EINVAL);
	assert_refused_as(w, 0, SIZE, -EINVAL);
	assert_refused_as(w, w->store.size + PAGE, SIZE, -EINVAL);
}

static void test_other_magic(void **state)
{
	struct world *w = *state;

	w->header->magic = __builtin_bswap64(w->header->magic);
	assert_refused(w, -EPROTO);
}

static void test_other_version(void **state)
{
	struct world *w = *state;

	w->header->version++;
	seal(w->header);
	assert_refused(w, -EPROTO);
}

static void test_other_classes(void **state)
{
	struct world *w = *state;

	w->header->classes++;
	seal(w->header);
	assert_refused(w, -EPROTO);
}

static void test_unknown_allocator(void **state)
{
	struct world *w = *state;

	w->header->allocator = ZS_KINDS;
	seal(w->header);
	assert_refused(w, -EPROTO);
}

static void test_other_places(void **state)
{
	struct world *w = *state;

	w->header->layout.arena += PAGE;
	seal(w->header);
	assert_refused(w, -EPROTO);
}

static void test_impossible_size(void **state)
{
	struct world *w = *state;

	w->header->layout.device_size = UINT64_MAX;
	seal(w->header);
	assert_refused(w, -EINVAL);
}

static void test_other_codecs(void **state)
{
	struct world *w = *state;

	w->header->encodings |= UINT32_C(1) << 31;
	assert_refused(w, -EPROTO);
}

/* Any byte of the constant part. */
static void test_checksum(void **state)
{
	struct world *w = *state;
	uint8_t *bytes = w->store.memory;

	for (size_t i = sizeof(w->header->magic) + sizeof(w->header->version);
	     i < offsetof(struct store_header, generation); i++) {
		if (bytes + i == (uint8_t *)&w->header->complete) {
			i += sizeof(w->header->complete) - 1;
			continue;
		}
		bytes[i] ^= 0x40;
		assert_refused(w, -EINVAL);
		bytes[i] ^= 0x40;
	}
	device_end(store_device(&w->store, SIZE));
}

/* Complete is 0 or 1; and what holds something was complete once. */
static void test_complete(void **state)
{
	struct world *w = *state;
	struct device *device;
	uint8_t page[PAGE];

	w->header->complete = 2;
	assert_refused(w, -EINVAL);
	w->header->complete = 1;
	device = store_device(&w->store, SIZE);
	for (size_t i = 0; i < sizeof(page); i++)
		page[i] = (uint8_t)(i % 251);
	write_page(device, 5, page);
	device_free(device);
	w->header->complete = 0;
	assert_refused(w, -EINVAL);
}

static void assert_made_anew(struct world *w)
{
	struct device_store_info info;
	struct device *device;
	const char *why = NULL;

	assert_int_equal(device_store_inspect(w->store.memory, w->store.size, &info, &why),
			 -ENODATA);
	assert_non_null(why);
	assert_false(info.complete);
	device = store_device(&w->store, SIZE);
	assert_false(recovery_of(device).recovered);
	assert_zeros(device, 3 * PAGE, PAGE);
	device_end(device);
}

/* At whatever step the process was killed that made it. */
static void test_never_completed(void **state)
{
	struct world *w = *state;
	struct store_header made = *w->header;

	made.complete = 0;
	memset(w->header, 0, sizeof(made));
	w->header->magic = made.magic;
	assert_made_anew(w);
	for (size_t n = sizeof(made.magic); n <= sizeof(made); n += 4) {
		memset(w->header, 0, sizeof(made));
		memcpy(w->header, &made, n);
		assert_made_anew(w);
	}
	memset(w->header, 0, sizeof(made));
	assert_made_anew(w);
}

/* What is private cannot be given back as what is shared is: a store has to be shared. */
static void test_private_memory(void **state)
{
	struct world *w = *state;
	void *memory = mmap(NULL, w->store.size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct device_options options = store_options(&w->store, SIZE);
	struct device *device = NULL;

	assert_ptr_not_equal(memory, MAP_FAILED);
	options.store = memory;
	assert_int_equal(device_new(&options, &device), -EINVAL);
	munmap(memory, w->store.size);
}

static void test_uuids_differ(void **state)
{
	struct world *w = *state;
	struct plain_store other = store_make(SIZE);
	struct device *a = store_device(&w->store, SIZE), *b = store_device(&other, SIZE);
	char text[DEVICE_UUID_TEXT];

	assert_memory_not_equal(recovery_of(a).uuid, recovery_of(b).uuid, 16);
	device_uuid_text(recovery_of(a).uuid, text);
	assert_int_equal(strlen(text), DEVICE_UUID_TEXT - 1);
	assert_int_equal(strspn(text, "0123456789abcdef-"), DEVICE_UUID_TEXT - 1);
	device_end(a);
	device_end(b);
	store_end(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_matches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_device_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_allocator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_magic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_classes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_allocator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_places, setup, teardown),
		cmocka_unit_test_setup_teardown(test_impossible_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_codecs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checksum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_complete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_completed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_private_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_uuids_differ, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
