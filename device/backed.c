/* SPDX-License-Identifier: BSD-3-Clause */
/* What is in the backing store, and that the slots say so. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/fnv1a.h"
#include "common/os.h"
#include "common/step.h"
#include "device/store.h"
#include "device/writeback-types.h"

struct backing *writeback_backing(const struct writeback *w)
{
	return w->backing;
}

bool writeback_is_read_again(struct writeback *w, uint64_t page)
{
	uint32_t *recent = &w->recent[page % RECENT];
	bool again = load_relaxed(recent) == (uint32_t)page + 1;

	store_relaxed(recent, again ? 0 : (uint32_t)page + 1);
	return again;
}

void writeback_free(struct device *d, uint64_t page, slot_word word)
{
	const struct backing_object object = slot_object(word, page);

	struct writeback *w = device_writeback_of(d);

	if (w)
		backing_free(w->backing, &object);
}

/* What the store asks. */

/* Is the page, whose locked slot says WORD, what was copied when it said COOKIE? */
static bool is_same(struct device *d, slot_word word, const struct backing_object *object,
		    const void *payload, slot_word cookie)
{
	return slot_state(word) == SLOT_POOL && slot_len(word) == object->len &&
	       slot_encoding(word) == object->encoding && slot_age(word) >= slot_age(cookie) &&
	       memcmp(zs_payload(d->pool, slot_ref(word), object->len), payload, object->len) == 0;
}

/* Does WORD say that OBJECT is where it was before it was cleaned? */
static bool is_at(slot_word word, const struct backing_object *object, backing_location from)
{
	struct backing_object old = *object;

	old.location = from;
	return word == slot_backed(&old);
}

static void count_written(struct writeback *w, const struct backing_object *object, uint64_t cookie)
{
	counter_add(&w->counters.written_back, 1);
	counter_add(&w->counters.written_back_payload, object->len);
	if (!(cookie & COOKIE_ORDERED))
		return;
	w->done.pages++;
	w->done.bytes += object->len;
}

static bool written(void *opaque, const struct backing_object *object, const void *payload,
		    const struct backing_origin *origin, int error)
{
	struct device *d = opaque;
	struct writeback *w = d->writeback;
	slot_word *slot = &d->slots[object->owner], word, new = slot_backed(object);
	bool leaves = origin->from == BACKING_NONE, ours;

	if (error < 0)
		return false;
	word = slot_lock(slot, slot_parking(d, object->owner), &w->counters.slot_waits);
	ours = leaves ? is_same(d, word, object, payload, origin->cookie)
		      : is_at(word, object, origin->from);
	if (ours)
		page_account(&w->counters, new, 1);
	slot_unlock(slot, slot_parking(d, object->owner), ours ? new : word);
	if (!ours)
		return false;
	STEP("writeback: slot swapped");
	page_account(&w->counters, word, -1);
	if (!leaves) {
		STEP("writeback: object moved");
		return true;
	}
	zs_free(d->pool, slot_ref(word));
	STEP("writeback: cell freed");
	w->relieved += zs_cell_bytes(d->pool, object->len);
	count_written(w, object, origin->cookie);
	return true;
}

static bool names(void *opaque, const struct backing_object *object)
{
	struct device *d = opaque;

	/* It may be damaged. */
	return object->owner < d->pages && leaf_ready(d, object->owner) &&
	       slot_peek(&d->slots[object->owner]) == slot_backed(object);
}

/* Opening. */

static uint64_t where_hash(const char *where)
{
	return fnv1a(FNV1A_START, where, strlen(where));
}

/* Slots may name what is in it from when the store says so. */
static void note_uuid(struct store_header *h, const uint8_t uuid[16])
{
	__atomic_store_n(&h->backed, 0, __ATOMIC_SEQ_CST);
	STEP("backing: forgotten");
	memcpy(h->backing_uuid, uuid, sizeof(h->backing_uuid));
	STEP("backing: uuid written");
	__atomic_store_n(&h->backed, 1, __ATOMIC_SEQ_CST);
	STEP("backing: known");
}

static void note_store(struct device *d, const struct writeback *w)
{
	struct store_header *h = d->header;
	uint8_t uuid[16];

	if (!h)
		return;
	backing_get_uuid(w->backing, uuid);
	if (!h->backed || memcmp(uuid, h->backing_uuid, sizeof(uuid)) != 0)
		note_uuid(h, uuid);
	__atomic_store_n(&h->backing_where, w->where, __ATOMIC_SEQ_CST);
	STEP("backing: place written");
}

/* Whose slots say that they have something there, but what cannot be. */
static void claim_all(struct device *d, struct backing *backing)
{
	for (uint64_t page = 0; page < d->pages; page++) {
		struct backing_object object;
		slot_word word;

		if (!leaf_ready(d, page)) {
			page |= SLOTS_PER_LEAF - 1;
			continue;
		}
		word = slot_peek(&d->slots[page]);
		object = slot_object(word, page);
		if (!slot_is_backed(word) || backing_claim(backing, &object) == 0)
			continue;
		store_relaxed(&d->slots[page], SLOT_DAMAGED);
		page_account(&d->streams[0].counters, word, -1);
		page_account(&d->streams[0].counters, SLOT_DAMAGED, 1);
		d->recovery.damaged++;
	}
}

/* What is not the caller's to say. BACKED: there are pages in the store. */
static struct backing_options complete(struct device *d, const struct backing_options *given,
				       bool backed)
{
	struct backing_options options = *given;

	options.ops.written = written;
	options.ops.names = names;
	options.ops.opaque = d;
	options.recover = d->header && d->header->backed ? d->header->backing_uuid : NULL;
	/* What is there is missed: another is not to be made in its place. */
	if (backed)
		options.file_size = 0;
	return options;
}

/* W->backing: what was made of it ahead, and in the end the store; or NULL. */
static int open_store(struct device *d, const struct backing_options *given, struct writeback *w,
		      char *why)
{
	struct backing_options options;
	struct device_stats stats;
	int r;

	device_get_stats(d, &stats);
	options = complete(d, given, stats.pages_backing > 0);
	options.ahead = w->backing;
	w->backing = NULL;
	r = backing_open(&options, &w->backing, why);
	if (r != -ESTALE || stats.pages_backing > 0)
		return r;
	options.ahead = NULL;
	options.recover = NULL;
	return backing_open(&options, &w->backing, why);
}

static struct writeback *allocate(void)
{
	struct writeback *w = aligned_alloc(CACHE_LINE, align_up(sizeof(*w), CACHE_LINE));

	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	/* Requests write to it. */
	if (os_prefault(w, sizeof(*w)) < 0) {
		free(w);
		return NULL;
	}
	return w;
}

int writeback_open(struct device *d, const struct backing_options *options,
		   struct writeback **ret_writeback, char *why)
{
	struct writeback *w = d->writeback_ahead ? d->writeback_ahead : allocate();
	int r;

	d->writeback_ahead = NULL;
	if (!w) {
		strcpy(why, "no memory");
		return -ENOMEM;
	}
	r = open_store(d, options, w, why);
	if (r < 0) {
		writeback_close(w);
		return r;
	}
	w->where = where_hash(options->where);
	*ret_writeback = w;
	return 0;
}

void writeback_begin(struct device *d, struct writeback *w)
{
	note_store(d, w);
	claim_all(d, w->backing);
	STEP("backing: claimed");
	__atomic_store_n(&d->writeback, w, __ATOMIC_RELEASE);
}

int device_open_backing(struct device *d, const struct backing_options *options,
			char ret_why[BACKING_WHY])
{
	struct writeback *w;
	int r = writeback_open(d, options, &w, ret_why);

	if (r == 0)
		writeback_begin(d, w);
	return r;
}

bool device_knows_backing(const struct device *d, const char *where)
{
	return d->header && d->header->backed && d->header->backing_where == where_hash(where);
}

bool device_expects_backing(struct device *d)
{
	for (uint64_t page = 0; page < d->pages; page++) {
		if (!leaf_ready(d, page))
			page |= SLOTS_PER_LEAF - 1;
		else if (slot_is_backed(slot_peek(&d->slots[page])))
			return true;
	}
	return false;
}

static int expect(struct device *d, const struct backing_options *given, struct backing **ret,
		  char *why)
{
	bool backed = device_expects_backing(d);
	struct backing_options options = complete(d, given, backed);
	int r = backing_expect(&options, ret, why);

	/* As in open_store(), but that a file may not be there yet. */
	if (!options.recover || backed || (r != -ESTALE && r != -ENOENT))
		return r;
	options.recover = NULL;
	return backing_expect(&options, ret, why);
}

int device_expect_backing(struct device *d, const struct backing_options *options,
			  char ret_why[BACKING_WHY])
{
	struct writeback *w = allocate();
	int r;

	if (!w) {
		strcpy(ret_why, "no memory");
		return -ENOMEM;
	}
	r = expect(d, options, &w->backing, ret_why);
	if (r < 0)
		writeback_close(w);
	else
		d->writeback_ahead = w;
	return r;
}

void writeback_close(struct writeback *w)
{
	if (!w)
		return;
	backing_close(w->backing);
	free(w);
}

/* What there is. */

const struct counters *writeback_counters(const struct writeback *w)
{
	return w ? &w->counters : NULL;
}

bool device_get_backing(struct device *d, struct backing_stats *ret_stats)
{
	struct writeback *w = device_writeback_of(d);

	if (w)
		backing_get_stats(w->backing, ret_stats);
	else if (d->seek)
		*ret_stats =
			(struct backing_stats){.state = BACKING_GONE, .error = seek_error(d->seek)};
	return w || d->seek;
}

void writeback_get_stats(struct writeback *w, struct device_stats *ret)
{
	struct backing_stats s;

	if (!w)
		return;
	backing_get_stats(w->backing, &s);
	ret->backing_size = s.segments * s.segment_size;
	ret->backing_free = s.free * s.segment_size;
	ret->backing_live = s.live;
	ret->backing_written = s.bytes_written;
	ret->backing_write_errors = s.failed_writes;
	ret->backing_moved = s.moved;
	ret->backing_reads = s.reads;
	ret->backing_read_bytes = s.bytes_read;
	ret->backing_read_errors = s.failed_reads + s.damaged;
}

void writeback_quiesce(struct writeback *w)
{
	if (!w)
		return;
	writer_take(w, NULL);
	backing_flush(w->backing);
}

void writeback_resume(struct writeback *w)
{
	if (w)
		writer_put(w);
}

int writeback_validate(struct writeback *w, uint64_t live, const char **ret_error)
{
	return w ? backing_validate(w->backing, live, ret_error) : 0;
}
