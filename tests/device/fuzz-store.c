/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: any bytes are changes to a store with some content. The device that is recovered from
 * it, if it is, can be read, written and validated; and no page ever has the content of another.
 *
 * The first byte says what is changed: header, leaves, slots, words and dictionaries; or header, tags and arena,
 * where the owners are; or all. A slot and the owner in a cell that are forged together are believed,
 * so only where one of the two is left alone is content looked at. Each change takes twelve bytes
 * more: where, how, and a value.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/os.h"
#include "device/store.h"
#include "tests/lib/allocator.h"
#include "tests/lib/check.h"
#include "tests/lib/content.h"
#include "tests/lib/replay.h"
#include "tests/lib/rng.h"
#include "tests/lib/trainer.h"

#define PAGE  ((size_t)DEVICE_PAGE_SIZE)
#define PAGES 700 /* two leaves */
#define SIZE  (PAGES * PAGE - 273)

/* Where in a page there is what no other page has. */
#define STAMP_AT 128

/* Bytes of the arena that the content made here is in; the rest is a hole. */
#define USED_ARENA ((size_t)2 << 20)

/* So that something is left that can be believed. */
#define MAX_CHANGES 40

struct change {
	uint8_t part, how;
	uint8_t offset[2];
	uint8_t value[8];
};

static struct {
	uint8_t *store, *saved; /* the one that is changed, and what it was */
	uint64_t size;
	struct store_layout layout;
	uint8_t content[PAGES][DEVICE_PAGE_SIZE]; /* that the store was made with */
	uint8_t after[PAGES][DEVICE_PAGE_SIZE];	  /* that is written to what is recovered */
} world;

static struct device *device_try(int *ret_error)
{
	struct device_options options = {.size = SIZE,
					 .allocator = test_allocator(),
					 .streams = 1,
					 .store = world.store,
					 .store_size = world.size};
	struct device *device = NULL;

	CHECK(codec_method_init(&options.method, "lz4", NULL) == 0, "codec");
	*ret_error = device_new(&options, &device);
	return device;
}

static size_t page_size(uint64_t page)
{
	return page == PAGES - 1 ? SIZE % PAGE : PAGE;
}

/* Content that no other page has, and no page of zeros; PASS makes another. */
static void make_content(struct rng *rng, uint64_t page, uint64_t pass, uint8_t *ret)
{
	static const enum content_kind kinds[] = {CONTENT_TEXT, CONTENT_POINTERS, CONTENT_SAME,
						  CONTENT_TEXT, CONTENT_RANDOM};
	enum content_kind kind = kinds[(page + pass) % ARRAY_SIZE(kinds)];
	uint64_t stamp = rng_mix(page + pass * PAGES + 1);

	content_fill(rng, kind, ret, PAGE);
	if (kind == CONTENT_SAME)
		codec_fill_word(ret, stamp);
	else
		memcpy(ret + STAMP_AT, &stamp, sizeof(stamp));
}

/* Do these two pages start alike? Most do not have the same stamp. */
static bool is_alike(const uint8_t *a, const uint8_t *b, size_t n)
{
	return memcmp(a + STAMP_AT, b + STAMP_AT, sizeof(uint64_t)) == 0 && memcmp(a, b, n) == 0;
}

static void write_all(struct device *device, uint64_t pass, uint8_t content[][DEVICE_PAGE_SIZE])
{
	struct rng rng = rng_make(pass + 1);

	for (uint64_t page = 0; page < PAGES; page++) {
		make_content(&rng, page, pass, content[page]);
		CHECK(device_write(device, content[page], page * PAGE, page_size(page)) == 0,
		      "page %u cannot be written", (unsigned int)page);
	}
}

/* Every page is read; where it can be, it is not what another page was. */
static void read_all(struct device *device, bool trusted)
{
	uint8_t found[DEVICE_PAGE_SIZE];

	for (uint64_t page = 0; page < PAGES; page++) {
		size_t n = page_size(page);
		int r = device_read(device, found, page * PAGE, n);

		CHECK(r == 0 || r == -EIO, "reading page %u: %d", (unsigned int)page, r);
		for (uint64_t other = 0; r == 0 && trusted && other < PAGES; other++)
			CHECK(other == page || !is_alike(found, world.content[other],
							 min_u64(page_size(other), n)),
			      "page %u has the content of page %u", (unsigned int)page,
			      (unsigned int)other);
	}
}

static void check_all(struct device *device)
{
	uint8_t found[DEVICE_PAGE_SIZE];

	for (uint64_t page = 0; page < PAGES; page++) {
		size_t n = page_size(page);

		CHECK(device_read(device, found, page * PAGE, n) == 0 &&
			      memcmp(found, world.after[page], n) == 0,
		      "page %u does not hold what was written", (unsigned int)page);
	}
}

static void validate(struct device *device)
{
	const char *why = "";

	CHECK(device_validate(device, &why) == 0, "not valid: %s", why);
}

/* Two generations: of some pages the first, of others the second. */
static void recompress(struct device *device)
{
	struct trainer trainer;

	trainer_init(&trainer, device, "zstd", 1);
	for (int generation = 1; generation <= 2; generation++) {
		CHECK(trainer_add(&trainer) == generation, "a dictionary");
		for (uint64_t page = 0; page < PAGES; page += 2 * (uint64_t)generation)
			CHECK(trainer_recompress(&trainer, page) == 0, "recompress");
	}
	trainer_fini(&trainer);
}

static void setup(void)
{
	struct device *device;
	int r;

	world.size = device_store_size(SIZE);
	world.store = mmap(NULL, world.size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(world.store != MAP_FAILED, "mmap");
	device = device_try(&r);
	CHECK(r == 0, "device_new: %d", r);
	world.layout = ((struct store_header *)(void *)world.store)->layout;
	write_all(device, 7, world.content);
	write_all(device, 0, world.content);
	for (uint64_t page = 5; page < PAGES; page += 9) {
		CHECK(device_trim(device, page * PAGE, PAGE) == 0, "trim");
		memset(world.content[page], 0xee, PAGE);
	}
	recompress(device);
	device_free(device);
	world.saved = malloc(world.layout.arena + USED_ARENA);
	CHECK(world.saved != NULL, "no memory");
	memcpy(world.saved, world.store, world.layout.arena + USED_ARENA);
}

static void restore(void)
{
	CHECK(os_release_shared(world.store, world.size) == 0, "release");
	memcpy(world.store, world.saved, world.layout.slots + PAGES * sizeof(slot_word));
	memcpy(world.store + world.layout.words, world.saved + world.layout.words,
	       world.layout.tags - world.layout.words);
	memcpy(world.store + world.layout.tags, world.saved + world.layout.tags,
	       USED_ARENA / PAGE * sizeof(uint32_t));
	memcpy(world.store + world.layout.arena, world.saved + world.layout.arena, USED_ARENA);
}

/* A part of the store, and how much of it is of interest. */
struct part {
	uint64_t offset, size;
	unsigned int groups; /* bits: in which group of parts it is */
};

/* Most changes of the header are refused, so they are few. */
static struct part part_of(uint8_t choice)
{
	const struct store_layout *at = &world.layout;
	const struct part parts[] = {
		{offsetof(struct store_header, top), 8, 3},
		{at->leaves, 16, 1},
		{at->slots, PAGES * sizeof(slot_word), 1},
		{at->slots, PAGES * sizeof(slot_word), 1},
		{at->words, WORDS_ENTRIES * sizeof(uint64_t), 1},
		{at->dicts, offsetof(struct store_dict, bytes) + 64, 1},
		{at->dicts, DICT_GENERATIONS * sizeof(struct store_dict), 1},
		{at->tags, USED_ARENA / PAGE * sizeof(uint32_t), 2},
		{at->arena, USED_ARENA, 2},
		{at->arena, USED_ARENA, 2},
	};

	if (choice == 0)
		return (struct part){0, sizeof(struct store_header), 3};
	return parts[choice % ARRAY_SIZE(parts)];
}

/*
 * May N bytes be taken from there for another place in the same part? Of a slot only one that names
 * a cell, for the others say all there is to know.
 */
static bool is_copied(const struct part *part, const uint8_t *from, unsigned int n)
{
	slot_word word;

	if (part->offset != world.layout.slots)
		return true;
	memcpy(&word, from, sizeof(word));
	return n == sizeof(word) && slot_state(word) == SLOT_POOL;
}

static void apply(const struct change *c, unsigned int what)
{
	static const unsigned int sizes[] = {1, 2, 4, 8};
	unsigned int n = sizes[c->how % 4];
	uint64_t offset = (c->offset[0] | (uint64_t)c->offset[1] << 8) * 32 + c->value[7] % 32;
	struct part part = part_of(c->part);
	uint8_t *at = world.store + part.offset, *from;

	if (!(part.groups & what))
		return;
	from = at + (c->value[0] | (uint64_t)c->value[1] << 8) * 8 % part.size / n * n;
	at += offset % part.size / n * n;
	if (c->how & 16) {
		if (is_copied(&part, from, n))
			memmove(at, from, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		at[i] = c->how & 4 ? c->value[i] : at[i] ^ c->value[i];
	if ((c->how & 0xe0) == 0xe0)
		CHECK(os_release_shared((uint8_t *)((uintptr_t)at / PAGE * PAGE), PAGE) == 0,
		      "release");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int what = size > 0 ? 1 + data[0] % 3 : 0, changes = 0;
	struct change change;
	struct device *device;
	int r;

	if (size == 0)
		return 0;
	if (!world.store)
		setup();
	restore();
	for (size_t at = 1; size - at >= sizeof(change) && changes++ < MAX_CHANGES;
	     at += sizeof(change)) {
		memcpy(&change, data + at, sizeof(change));
		apply(&change, what);
	}
	device = device_try(&r);
	if (!device)
		return 0;
	validate(device);
	read_all(device, what != 3);
	device_free(device);
	device = device_try(&r);
	CHECK(r == 0, "a second recovery: %d", r);
	CHECK(device_compact(device) == 0, "compact");
	write_all(device, 1, world.after);
	validate(device);
	check_all(device);
	device_free(device);
	device = device_try(&r);
	CHECK(r == 0, "a third recovery: %d", r);
	check_all(device);
	validate(device);
	device_free(device);
	return 0;
}
