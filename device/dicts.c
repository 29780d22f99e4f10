/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/dicts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/fnv1a.h"
#include "common/os.h"
#include "common/step.h"
#include "device/store.h"

/* The pages chosen, and what they hold. */
struct sample {
	uint64_t page[DICT_PAGES_MAX];
	uint64_t seen, chosen, random;
	uint8_t bytes[DICT_SIZE_MAX]; /* of the dictionary to be */
	uint8_t content[DICT_PAGES_MAX][DEVICE_PAGE_SIZE];
};

/* xorshift (Marsaglia 2003): a sample need not be unpredictable. */
static uint64_t next_random(struct sample *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

/*
 * A reservoir (algorithm R: Vitter 1985), which is filled in random order, so that no part of it is
 * of one part of the device.
 */
static void offer(struct sample *s, uint64_t page)
{
	uint64_t at = next_random(s) % ++s->seen;

	if (s->chosen < DICT_PAGES_MAX) {
		s->page[s->chosen++] = s->page[at];
		s->page[at] = page;
	} else if (at < DICT_PAGES_MAX) {
		s->page[at] = page;
	}
}

static bool is_stopped(const struct dicts_source *source)
{
	return source->stop && source->stop(source->opaque);
}

static int choose(struct device *d, const struct dicts_source *source, struct sample *s)
{
	for (uint64_t page = 0; page < d->pages; page++) {
		if (page % SLOTS_PER_LEAF == 0 && is_stopped(source))
			return -EINTR;
		if (!leaf_ready(d, page))
			page |= SLOTS_PER_LEAF - 1;
		else if (slot_state(slot_peek(&d->slots[page])) == SLOT_POOL)
			offer(s, page);
	}
	return 0;
}

/* Returns how many pages could be read. */
static int collect(struct device *d, const struct dicts_source *source, struct sample *s)
{
	int n = 0, r = choose(d, source, s);

	for (uint64_t i = 0; r == 0 && i < s->chosen; i++) {
		if (is_stopped(source))
			return -EINTR;
		n += source->read(source->opaque, s->page[i], s->content[n]) >= 0;
	}
	return r < 0 ? r : n;
}

static unsigned int unused(const struct dicts *dicts)
{
	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++)
		if (!dicts->own[generation - 1])
			return generation;
	return 0;
}

unsigned int dicts_newest(const struct device *d)
{
	const struct dicts *dicts = &d->dicts;
	unsigned int newest = 0;

	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++)
		if (load_relaxed(&dicts->own[generation - 1]) &&
		    (newest == 0 || load_relaxed(&dicts->sequence[generation - 1]) >
					    load_relaxed(&dicts->sequence[newest - 1])))
			newest = generation;
	return newest;
}

unsigned int dicts_oldest(const struct device *d)
{
	const struct dicts *dicts = &d->dicts;
	unsigned int oldest = 0;

	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++)
		if (dicts->own[generation - 1] &&
		    (oldest == 0 || dicts->sequence[generation - 1] < dicts->sequence[oldest - 1]))
			oldest = generation;
	return oldest;
}

static uint64_t checksum(const struct store_dict *stored, uint32_t len)
{
	uint64_t hash = fnv1a_u64(fnv1a_u64(FNV1A_START, len), stored->sequence);

	return fnv1a(hash, stored->bytes, len);
}

/* Its bytes before it is live: a kill between leaves what nobody looks at. */
static void put_in_store(struct device *d, unsigned int generation, uint64_t sequence,
			 const void *bytes, size_t len)
{
	struct store_dict *stored;

	if (!d->header)
		return;
	stored = &store_dicts(d->header)[generation - 1];
	stored->len = (uint32_t)len;
	stored->sequence = sequence;
	memcpy(stored->bytes, bytes, len);
	stored->checksum = checksum(stored, (uint32_t)len);
	STEP("dict: bytes written");
	__atomic_store_n(&stored->state, STORE_DICT_LIVE, __ATOMIC_SEQ_CST);
	STEP("dict: live");
}

static void take_from_store(struct device *d, unsigned int generation)
{
	if (d->header)
		__atomic_store_n(&store_dicts(d->header)[generation - 1].state, STORE_DICT_NONE,
				 __ATOMIC_SEQ_CST);
	STEP("dict: retired");
}

static void publish(struct device *d, unsigned int generation, uint64_t sequence, struct dict *dict)
{
	struct dicts *dicts = &d->dicts;

	store_relaxed(&dicts->own[generation - 1], dict);
	store_relaxed(&dicts->sequence[generation - 1], sequence);
	add_relaxed(&dicts->memory, dict_memory(dict));
	dict_table_set(&dicts->table, generation, dict);
}

int dicts_add(struct device *d, const void *bytes, size_t len)
{
	unsigned int generation = unused(&d->dicts), newest = dicts_newest(d);
	uint64_t sequence = newest ? d->dicts.sequence[newest - 1] + 1 : 1;
	struct dict *dict;
	int r;

	if (generation == 0)
		return -EBUSY;
	r = dict_new(bytes, len, &dict);
	if (r < 0)
		return r;
	put_in_store(d, generation, sequence, bytes, len);
	pthread_mutex_lock(&d->settings_lock);
	publish(d, generation, sequence, dict);
	pthread_mutex_unlock(&d->settings_lock);
	return (int)generation;
}

static int train(struct device *d, int level, const struct dicts_source *source, struct sample *s)
{
	size_t len;
	int r = collect(d, source, s);

	if (r >= 0)
		r = dict_train(s->content, (size_t)r, level, s->bytes, sizeof(s->bytes), &len);
	return r < 0 ? r : dicts_add(d, s->bytes, len);
}

/* Bytes that training allocates at most: the sample, the library's tables, the dictionary, streams. */
#define TRAINING_MEMORY (sizeof(struct sample) + (UINT64_C(3) << 20))

int dicts_train(struct device *d, int level, const struct dicts_source *source)
{
	struct sample *s;
	int r;

	if (unused(&d->dicts) == 0)
		return -EBUSY;
	if (!zs_has_headroom(d->pool, TRAINING_MEMORY))
		return -ENOMEM;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	if (getrandom(&s->random, sizeof(s->random), 0) < 0 || s->random == 0)
		s->random = os_now() | 1;
	r = train(d, level, source, s);
	free(s);
	return r;
}

int dicts_use(struct device *d, struct codec_stream *stream)
{
	codec_stream_set_dicts(stream, &d->dicts.table);
	return codec_stream_use_dict(stream, dicts_newest(d));
}

uint64_t dicts_objects(struct device *d, unsigned int generation)
{
	const struct writeback *w = device_writeback_of(d);
	int64_t sum = 0;

	for (unsigned int i = 0; i < d->nr_streams; i++)
		sum += load_relaxed(&d->streams[i].counters.dict[generation - 1]);
	sum += load_relaxed(&d->background_counters.dict[generation - 1]);
	if (w)
		sum += load_relaxed(&writeback_counters(w)->dict[generation - 1]);
	return (uint64_t)sum;
}

static bool is_retirable(struct device *d, unsigned int generation)
{
	return d->dicts.own[generation - 1] && generation != dicts_newest(d) &&
	       dict_table_users(&d->dicts.table, generation) == 0 &&
	       dicts_objects(d, generation) == 0;
}

unsigned int dicts_retire(struct device *d)
{
	struct dict *retired[DICT_GENERATIONS];
	unsigned int n = 0;

	pthread_mutex_lock(&d->settings_lock);
	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++) {
		if (!is_retirable(d, generation))
			continue;
		retired[n++] = d->dicts.own[generation - 1];
		store_relaxed(&d->dicts.own[generation - 1], NULL);
		dict_table_set(&d->dicts.table, generation, NULL);
		take_from_store(d, generation);
	}
	if (n > 0)
		streams_pass(d);
	pthread_mutex_unlock(&d->settings_lock);
	for (unsigned int i = 0; i < n; i++) {
		add_relaxed(&d->dicts.memory, -(uint64_t)dict_memory(retired[i]));
		dict_free(retired[i]);
	}
	return n;
}

int dicts_recover(struct device *d)
{
	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++) {
		const struct store_dict *stored = &store_dicts(d->header)[generation - 1];
		uint32_t len = load_relaxed(&stored->len);
		struct dict *dict;
		int r;

		if (load_relaxed(&stored->state) != STORE_DICT_LIVE || len > DICT_SIZE_MAX ||
		    stored->checksum != checksum(stored, len))
			continue;
		r = dict_new(stored->bytes, len, &dict);
		if (r == -ENOMEM)
			return r;
		if (r == 0)
			publish(d, generation, stored->sequence, dict);
	}
	return 0;
}

void dicts_recovered(struct device *d)
{
	for (unsigned int generation = 1; generation <= DICT_GENERATIONS; generation++) {
		struct store_dict *stored = &store_dicts(d->header)[generation - 1];

		if (!d->dicts.own[generation - 1] &&
		    load_relaxed(&stored->state) != STORE_DICT_NONE)
			__atomic_store_n(&stored->state, STORE_DICT_NONE, __ATOMIC_SEQ_CST);
	}
}

int dicts_prefault(struct device *d)
{
	int r = 0;

	for (unsigned int i = 0; i < DICT_GENERATIONS && r == 0; i++)
		if (d->dicts.own[i])
			r = os_prefault(d->dicts.own[i], dict_memory(d->dicts.own[i]));
	return r;
}

void dicts_free(struct device *d)
{
	for (unsigned int i = 0; i < DICT_GENERATIONS; i++)
		dict_free(d->dicts.own[i]);
}
