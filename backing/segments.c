/* SPDX-License-Identifier: BSD-3-Clause */
/* Which segments are in use, by how many bytes, and by whom. */
#include <errno.h>

#include "backing/types.h"

static void map_set(struct backing *b, uint32_t segment, bool free)
{
	uint64_t bit = UINT64_C(1) << (segment % 64);

	if (free)
		b->free_map[segment / 64] |= bit;
	else
		b->free_map[segment / 64] &= ~bit;
	bump(&b->nr_free, free ? 1U : -1U);
}

/* Under the lock. */
static void free_if_unused(struct backing *b, uint32_t segment)
{
	struct segment *s = &b->segments[segment];

	if (s->state != SEGMENT_SEALED || s->live > 0 || s->pins > 0)
		return;
	store_relaxed(&s->state, SEGMENT_FREE);
	store_relaxed(&s->tried, false);
	map_set(b, segment, true);
}

/* Under the lock. From where the last was found on, so that writes go through the store in order.
 */
static uint32_t find_free(const struct backing *b)
{
	uint32_t words = (b->nr_segments + 63) / 64, start = b->next_segment / 64;

	for (uint32_t i = 0; i <= words; i++) {
		uint32_t word = (start + i) % words;
		uint64_t bits = b->free_map[word];

		/* The bits before the start are looked at last. */
		if (i == 0)
			bits &= ~UINT64_C(0) << (b->next_segment % 64);
		if (bits)
			return word * 64 + (uint32_t)__builtin_ctzll(bits);
	}
	return 0;
}

int segment_take(struct backing *b, bool cleaning, uint32_t *ret_segment)
{
	struct segment *s;
	uint32_t found;

	pthread_mutex_lock(&b->lock);
	if (b->nr_free <= (cleaning ? 0 : SEGMENTS_RESERVED)) {
		pthread_mutex_unlock(&b->lock);
		return -ENOSPC;
	}
	found = find_free(b);
	s = &b->segments[found];
	map_set(b, found, false);
	store_relaxed(&s->state, SEGMENT_BUSY);
	s->open = true;
	bump(&b->taken, 1U);
	store_relaxed(&s->taken, b->taken);
	s->use = (s->use + 1) & RECORD_USE_MASK;
	pthread_mutex_unlock(&b->lock);
	b->next_segment = found + 1 < b->nr_segments ? found + 1 : 0;
	*ret_segment = found;
	return 0;
}

void segment_add(struct backing *b, uint32_t segment, uint32_t bytes)
{
	pthread_mutex_lock(&b->lock);
	bump(&b->segments[segment].live, bytes);
	bump(&b->live, bytes);
	pthread_mutex_unlock(&b->lock);
}

/* Under the lock. */
static void seal_if_done(struct backing *b, uint32_t segment)
{
	struct segment *s = &b->segments[segment];

	if (s->open || s->batches > 0)
		return;
	store_relaxed(&s->state, SEGMENT_SEALED);
	free_if_unused(b, segment);
}

void segment_begin(struct backing *b, uint32_t segment)
{
	pthread_mutex_lock(&b->lock);
	b->segments[segment].batches++;
	pthread_mutex_unlock(&b->lock);
}

void segment_settle(struct backing *b, uint32_t segment)
{
	pthread_mutex_lock(&b->lock);
	b->segments[segment].batches--;
	seal_if_done(b, segment);
	pthread_mutex_unlock(&b->lock);
}

void segment_end(struct backing *b, uint32_t segment)
{
	pthread_mutex_lock(&b->lock);
	b->segments[segment].open = false;
	seal_if_done(b, segment);
	pthread_mutex_unlock(&b->lock);
}

void backing_free(struct backing *b, const struct backing_object *object)
{
	uint32_t segment = segment_of(b, object->location), size = record_size(object->len);

	pthread_mutex_lock(&b->lock);
	bump(&b->segments[segment].live, -size);
	bump(&b->live, -(uint64_t)size);
	free_if_unused(b, segment);
	pthread_mutex_unlock(&b->lock);
}

void backing_pin(struct backing *b, backing_location location)
{
	pthread_mutex_lock(&b->lock);
	bump(&b->segments[segment_of(b, location)].pins, 1U);
	pthread_mutex_unlock(&b->lock);
}

void segment_unpin(struct backing *b, uint32_t segment)
{
	pthread_mutex_lock(&b->lock);
	bump(&b->segments[segment].pins, -1U);
	free_if_unused(b, segment);
	pthread_mutex_unlock(&b->lock);
}

void backing_unpin(struct backing *b, backing_location location)
{
	segment_unpin(b, segment_of(b, location));
}

int backing_claim(struct backing *b, const struct backing_object *object)
{
	uint64_t offset = location_offset(object->location);
	uint32_t segment = segment_of(b, object->location), size = record_size(object->len);
	struct segment *s;
	int r = -EUCLEAN;

	if (segment == 0 || segment >= b->nr_segments || object->len == 0 ||
	    object->len > BACKING_OBJECT_MAX || object->location >> BACKING_LOCATION_BITS ||
	    offset % b->segment_size + size > b->segment_size)
		return -EUCLEAN;
	pthread_mutex_lock(&b->lock);
	s = &b->segments[segment];
	if (s->state == SEGMENT_FREE) {
		store_relaxed(&s->state, SEGMENT_SEALED);
		s->use = (uint8_t)location_use(object->location);
		map_set(b, segment, false);
	}
	/* All objects in a segment are of one use of it, and do not overlap. */
	if (s->use == location_use(object->location) && s->live + size <= b->segment_size) {
		bump(&s->live, size);
		bump(&b->live, size);
		r = 0;
	}
	pthread_mutex_unlock(&b->lock);
	return r;
}

/* How many of its bytes a segment may have live, and be worth cleaning. */
static uint32_t worth_cleaning(const struct backing *b)
{
	bool scarce = load_relaxed(&b->nr_free) <= 2 * SEGMENTS_RESERVED;

	return scarce ? b->segment_size / 8 * 7 : b->segment_size / 2;
}

/*
 * What cleaning wins for what it costs, as in "The Design and Implementation of a Log-Structured File System"
 * (Rosenblum and Ousterhout, 1992), 3.5: with the share u of it that is live, 1 - u comes free, 1 + u is read and
 * written, and it stays free the longer, the older what is live is. Its age is the number of segments that were
 * taken after it; after a recovery all are old.
 */
static double benefit(const struct backing *b, const struct segment *s, uint32_t live)
{
	double age = (double)(load_relaxed(&b->taken) - load_relaxed(&s->taken)) + 1;

	return ((double)b->segment_size - live) * age / ((double)b->segment_size + live);
}

/* Without the lock, as it may be a long walk: what it finds is to be looked at again. 0: none. */
static uint32_t find_best(const struct backing *b)
{
	uint32_t most = worth_cleaning(b), found = 0;
	double best = 0;

	for (uint32_t i = 1; i < b->nr_segments; i++) {
		const struct segment *s = &b->segments[i];
		uint32_t live = load_relaxed(&s->live);

		if (live > most || load_relaxed(&s->state) != SEGMENT_SEALED ||
		    load_relaxed(&s->tried) || load_relaxed(&s->pins) > 0)
			continue;
		if (found == 0 || benefit(b, s, live) > best) {
			best = benefit(b, s, live);
			found = i;
		}
	}
	return found;
}

bool backing_wants_cleaning(struct backing *b)
{
	return find_best(b) > 0;
}

bool backing_has_room(struct backing *b)
{
	return load_relaxed(&b->nr_free) > SEGMENTS_RESERVED || find_best(b) > 0;
}

bool segment_pick(struct backing *b, uint32_t *ret_segment)
{
	for (;;) {
		uint32_t found = find_best(b);
		bool sealed;

		if (found == 0)
			return false;
		pthread_mutex_lock(&b->lock);
		sealed = b->segments[found].state == SEGMENT_SEALED;
		if (sealed)
			bump(&b->segments[found].pins, 1U);
		pthread_mutex_unlock(&b->lock);
		*ret_segment = found;
		if (sealed)
			return true;
	}
}

void segment_set_tried(struct backing *b, uint32_t segment, bool tried)
{
	pthread_mutex_lock(&b->lock);
	store_relaxed(&b->segments[segment].tried, tried);
	pthread_mutex_unlock(&b->lock);
}

void segments_retry(struct backing *b)
{
	for (uint32_t i = 0; i < b->nr_segments; i++) {
		pthread_mutex_lock(&b->lock);
		store_relaxed(&b->segments[i].tried, false);
		pthread_mutex_unlock(&b->lock);
	}
}

static const char *validate(const struct backing *b, uint64_t named)
{
	uint64_t live = 0;
	uint32_t nr_free = 0;

	for (uint32_t i = 1; i < b->nr_segments; i++) {
		const struct segment *s = &b->segments[i];
		bool free = b->free_map[i / 64] >> (i % 64) & 1;

		live += s->live;
		nr_free += free;
		if (free != (s->state == SEGMENT_FREE))
			return "the map of free segments";
		if (free && (s->live > 0 || s->pins > 0))
			return "a free segment is in use";
		if (s->state == SEGMENT_SEALED && s->live == 0 && s->pins == 0)
			return "a segment nobody uses is not free";
		if (s->live > b->segment_size)
			return "a segment has more live bytes than bytes";
	}
	if (live != b->live || nr_free != b->nr_free)
		return "the sums over all segments";
	return named != UINT64_MAX && named != live ? "live bytes that no slot names" : NULL;
}

int backing_validate(struct backing *b, uint64_t live, const char **ret_error)
{
	pthread_mutex_lock(&b->lock);
	*ret_error = validate(b, live);
	pthread_mutex_unlock(&b->lock);
	return *ret_error ? -EUCLEAN : 0;
}

size_t backing_record_size(size_t len)
{
	return record_size(len);
}
