/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of recovery share: stores, and devices in them beside a plain array. */
#ifndef ZCRAM_TESTS_STORE_H
#define ZCRAM_TESTS_STORE_H

#include <stdlib.h>
#include <sys/mman.h>

#include "tests/device/fixture.h"

struct plain_store {
	void *memory;
	uint64_t size;
};

static inline struct plain_store store_make(uint64_t device_size)
{
	struct plain_store store = {.size = device_store_size(device_size)};

	assert_true(store.size > 0 && store.size % PAGE == 0);
	store.memory = mmap(NULL, store.size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(store.memory, MAP_FAILED);
	return store;
}

static inline void store_end(struct plain_store *store)
{
	assert_int_equal(munmap(store->memory, store->size), 0);
}

static inline struct device_options store_options(const struct plain_store *store, uint64_t size)
{
	struct device_options options = options_make(size);

	options.store = store->memory;
	options.store_size = store->size;
	return options;
}

static inline struct device *store_device(const struct plain_store *store, uint64_t size)
{
	struct device_options options = store_options(store, size);

	return device_make(&options);
}

static inline struct device_recovery recovery_of(const struct device *device)
{
	struct device_recovery recovery;

	device_get_recovery(device, &recovery);
	return recovery;
}

#endif
