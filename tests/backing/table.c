/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/backing/table.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "common/util.h"
#include "tests/lib/check.h"

#define LOCK	       UINT64_C(1)
#define VERSION_SHIFT  3
#define VERSION_MASK   ((UINT64_C(1) << 18) - 1)
#define LOCATION_SHIFT 21

static uint64_t word_make(enum page_state state, uint64_t version, backing_location location)
{
	return (uint64_t)state << 1 | (version & VERSION_MASK) << VERSION_SHIFT |
	       location << LOCATION_SHIFT;
}

static enum page_state word_state(uint64_t word)
{
	return (enum page_state)(word >> 1 & 3);
}

static uint64_t word_version(uint64_t word)
{
	return word >> VERSION_SHIFT & VERSION_MASK;
}

static uint64_t slot_lock(struct table *t, uint32_t page)
{
	for (;;) {
		uint64_t word = __atomic_fetch_or(&t->slots[page], LOCK, __ATOMIC_SEQ_CST);

		if (!(word & LOCK))
			return word;
		sched_yield();
	}
}

static void slot_unlock(struct table *t, uint32_t page, uint64_t word)
{
	__atomic_store_n(&t->slots[page], word, __ATOMIC_SEQ_CST);
}

/* Some are raw, most are between, a few are very small. */
static uint16_t payload_len(uint32_t page, uint64_t version)
{
	uint64_t draw = rng_mix((uint64_t)page << 20 ^ version);

	if (draw % 8 == 0)
		return BACKING_OBJECT_MAX;
	return (uint16_t)(1 + (draw >> 8) % (draw % 8 == 1 ? 64 : 2400));
}

static void payload_fill(uint32_t page, uint64_t version, uint8_t *payload, size_t len)
{
	struct rng rng = rng_make((uint64_t)page << 20 ^ version);

	rng_bytes(&rng, payload, len);
}

static struct backing_object object_of(uint32_t page, uint64_t word)
{
	uint64_t version = word_version(word);

	return (struct backing_object){
		.location = word >> LOCATION_SHIFT,
		.owner = page,
		.len = payload_len(page, version),
		.encoding = rng_mix(version) & ((1U << BACKING_ENCODING_BITS) - 1),
	};
}

static bool same_object(const struct backing_object *a, const struct backing_object *b)
{
	return a->location == b->location && a->len == b->len && a->encoding == b->encoding;
}

static bool names(void *opaque, const struct backing_object *object)
{
	const struct table *t = opaque;
	struct backing_object own;
	uint64_t word;

	if (object->owner >= t->pages)
		return false; /* damaged */
	word = __atomic_load_n(&t->slots[object->owner], __ATOMIC_SEQ_CST);
	own = object_of(object->owner, word);
	return word_state(word) == PAGE_STORED && same_object(&own, object);
}

/* What the slot is to say now that OBJECT was written; WORD itself: that is nothing to it. */
static uint64_t after_writing(uint64_t word, const struct backing_object *object,
			      backing_location from, int error)
{
	enum page_state state = word_state(word);
	bool waits = from == BACKING_NONE ? state == PAGE_MARKED
					  : state == PAGE_STORED && word >> LOCATION_SHIFT == from;

	if (!waits)
		return word;
	if (error == 0)
		return word_make(PAGE_STORED, word_version(word), object->location);
	/* It stays where it is. */
	return from == BACKING_NONE ? word_make(PAGE_POOL, word_version(word), 0) : word;
}

static bool written(void *opaque, const struct backing_object *object, const void *payload,
		    const struct backing_origin *origin, int error)
{
	backing_location from = origin->from;
	struct table *t = opaque;
	uint64_t word = slot_lock(t, object->owner);
	uint64_t new = after_writing(word, object, from, error);
	bool named = error == 0 && new != word;

	/* The mark is this object's, or it would not be there. */
	CHECK(from != BACKING_NONE || new == word || origin->cookie == word, "cookie");

	slot_unlock(t, object->owner, new);
	if (error < 0) {
		CHECK(t->errors_expected, "written: %s", strerror(-error));
		t->error = error;
		add_relaxed(&t->failed, 1);
	} else if (!named) {
		add_relaxed(&t->refused, 1);
	} else {
		add_relaxed(from == BACKING_NONE ? &t->stored : &t->moved, 1);
	}
	return named;
}

struct backing_ops table_ops(struct table *t)
{
	return (struct backing_ops){.written = written, .names = names, .opaque = t};
}

enum page_state table_state(const struct table *t, uint32_t page)
{
	return word_state(__atomic_load_n(&t->slots[page], __ATOMIC_SEQ_CST));
}

static void replace(struct table *t, uint32_t page, enum page_state state)
{
	uint64_t word = slot_lock(t, page);
	struct backing_object old = object_of(page, word);

	slot_unlock(t, page, word_make(state, word_version(word) + 1, 0));
	if (word_state(word) == PAGE_STORED)
		backing_free(t->backing, &old);
}

void table_write(struct table *t, uint32_t page)
{
	replace(t, page, PAGE_POOL);
}

void table_drop(struct table *t, uint32_t page)
{
	replace(t, page, PAGE_EMPTY);
}

int table_evict(struct table *t, uint32_t page)
{
	uint8_t payload[BACKING_OBJECT_MAX];
	uint64_t word = slot_lock(t, page), marked;
	struct backing_object object = object_of(page, word);
	bool in_pool = word_state(word) == PAGE_POOL;
	int r;

	marked = word_make(PAGE_MARKED, word_version(word), 0);
	slot_unlock(t, page, in_pool ? marked : word);
	if (!in_pool)
		return -ENOENT;
	payload_fill(page, word_version(word), payload, object.len);
	r = backing_append(t->backing, page, object.encoding, payload, object.len, marked, NULL);
	if (r < 0) {
		uint64_t now = slot_lock(t, page);

		slot_unlock(t, page, now == marked ? word : now);
	}
	return r;
}

/* Lock the slot and pin what it names. False: it names nothing. */
static bool begin_fetch(struct table *t, uint32_t page, struct backing_fetch *fetch,
			uint64_t *ret_word)
{
	uint64_t word = slot_lock(t, page);
	bool stored = word_state(word) == PAGE_STORED;

	if (stored) {
		fetch->object = object_of(page, word);
		backing_pin(t->backing, fetch->object.location);
	}
	slot_unlock(t, page, word);
	*ret_word = word;
	return stored;
}

/* True: it could be read. */
static bool end_fetch(struct table *t, const struct backing_fetch *fetch, uint64_t word, bool back)
{
	uint8_t expected[BACKING_OBJECT_MAX];
	uint32_t page = fetch->object.owner;
	bool brought = false;

	if (fetch->error == 0) {
		payload_fill(page, word_version(word), expected, fetch->object.len);
		CHECK(memcmp(fetch->payload, expected, fetch->object.len) == 0, "page %u", page);
	}
	if (back && fetch->error == 0) {
		uint64_t now = slot_lock(t, page);

		brought = now == word;
		slot_unlock(t, page, brought ? word_make(PAGE_POOL, word_version(word), 0) : now);
	}
	backing_unpin(t->backing, fetch->object.location);
	if (brought)
		backing_free(t->backing, &fetch->object);
	return fetch->error == 0;
}

unsigned int table_read(struct table *t, uint32_t page, uint32_t count, bool back)
{
	static _Thread_local uint8_t payload[TABLE_READ_MAX][BACKING_OBJECT_MAX];
	struct backing_fetch fetch[TABLE_READ_MAX];
	uint64_t word[TABLE_READ_MAX];
	unsigned int n = 0, bad = 0;

	CHECK(count <= TABLE_READ_MAX && page + count <= t->pages, "range");
	for (uint32_t i = 0; i < count; i++) {
		fetch[n].payload = payload[n];
		n += begin_fetch(t, page + i, &fetch[n], &word[n]);
	}
	backing_read(t->backing, fetch, n);
	for (unsigned int i = 0; i < n; i++)
		bad += !end_fetch(t, &fetch[i], word[i], back);
	return bad;
}

void table_recover(struct table *t)
{
	for (uint32_t page = 0; page < t->pages; page++) {
		uint64_t word = t->slots[page] & ~LOCK;
		struct backing_object object = object_of(page, word);

		if (word_state(word) == PAGE_MARKED)
			word = word_make(PAGE_POOL, word_version(word), 0);
		if (word_state(word) == PAGE_STORED)
			CHECK(backing_claim(t->backing, &object) == 0, "page %u", page);
		t->slots[page] = word;
	}
}

uint64_t table_live(const struct table *t)
{
	uint64_t live = 0;

	for (uint32_t page = 0; page < t->pages; page++)
		if (table_state(t, page) == PAGE_STORED)
			live += backing_record_size(table_object(t, page).len);
	return live;
}

struct backing_object table_object(const struct table *t, uint32_t page)
{
	return object_of(page, __atomic_load_n(&t->slots[page], __ATOMIC_SEQ_CST));
}

void table_validate(const struct table *t)
{
	const char *why = "";

	CHECK(backing_validate(t->backing, table_live(t), &why) == 0, "%s", why);
}
