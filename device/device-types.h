/* SPDX-License-Identifier: BSD-3-Clause */
/* The device from inside. */
#ifndef ZCRAM_DEVICE_TYPES_H
#define ZCRAM_DEVICE_TYPES_H

#include "allocator/zs.h"
#include "common/util.h"
#include "device/age.h"
#include "device/background.h"
#include "device/device.h"
#include "device/dicts.h"
#include "device/fetch.h"
#include "device/limit.h"
#include "device/policy.h"
#include "device/seek.h"
#include "device/slot.h"
#include "device/words.h"
#include "device/writeback.h"

/* Slots in one page of the table: memory for them is had together. */
#define SLOTS_PER_LEAF (DEVICE_PAGE_SIZE / sizeof(slot_word))

#define SLOT_PARKINGS  64

/*
 * One part of the counters. Only the holder of the stream it belongs to writes it, so adding is a
 * load and a store; the gauges are what this part has added less what it has taken away, and only
 * their sum over all parts means something.
 */
struct counters {
	uint64_t reads, writes, trims, zeroes, flushes;
	uint64_t bytes_read, bytes_written;
	uint64_t failed_reads, failed_writes, notify_free, raw_since;
	uint64_t compress_ns, decompress_ns;
	uint64_t stream_waits, slot_waits;
	uint64_t writes_slowed, slowed_ns, writes_refused;
	uint64_t recompressed, recompress_failed, recompress_saved;
	uint64_t written_back, written_back_payload, brought_back;
	int64_t same, pool, raw, filter, payload, damaged;
	int64_t backed, backed_payload;
	int64_t dict[DICT_GENERATIONS];
};

static inline void counter_add(uint64_t *counter, uint64_t n)
{
	bump(counter, n);
}

static inline void gauge_add(int64_t *counter, int64_t n)
{
	bump(counter, n);
}

/*
 * States of a stream, either or both: somebody works with it; device_set() has it, or waits for it.
 * A request takes a stream that is in neither.
 */
#define STREAM_TAKEN  1U
#define STREAM_WANTED 2U

/*
 * What a request works with: a codec stream, and a part of the counters. One holder at a time, who has it for as
 * long as pages take, and waits with it for nothing but a slot: reads need one too.
 */
struct stream {
	uint32_t state;			   /* of the bits above; atomic; futex, of who wants it */
	uint32_t compressed, decompressed; /* pages, since one was timed */
	struct codec_stream *codec;
	size_t wanted;	 /* length of the payload that there was no room or memory for last */
	uint64_t memory; /* of the codec stream; atomic */
	struct counters counters;
} __attribute__((aligned(CACHE_LINE)));

struct device {
	/* Constant. */
	uint64_t size;	/* bytes */
	uint64_t pages; /* div_round_up(size, 4096) */
	slot_word *slots;
	uint64_t slots_bytes;
	struct zs_pool *pool;
	enum zs_kind allocator;
	unsigned int nr_streams;
	struct stream *streams;

	pthread_mutex_t settings_lock; /* outermost: one device_set() at a time */
	struct device_settings settings;
	uint64_t mem_limit; /* that of the settings; atomic */

	/* Bit i: leaf i of the table has memory and is in use; atomic. In the store, if there is one. */
	uint64_t *leaves;
	uint64_t nr_leaves;
	uint64_t leaves_ready; /* number of bits set; atomic */
	uint32_t prefaulted;   /* all leaves have memory, in use or not; atomic */
	uint64_t invalid_io;   /* atomic */

	struct store_header *header;	 /* of the store; NULL: private memory. Constant */
	struct device_recovery recovery; /* constant */

	struct parking streams_parking;
	struct parking parkings[SLOT_PARKINGS];
	struct words words;
	struct ages ages;
	struct limit limit;
	struct background background;
	struct counters background_counters; /* under the place lock */
	struct dicts dicts;
	struct policy policy;
	struct writeback *
		writeback; /* NULL: there is no backing store; atomic; set once, before requests come or by seek.h */
	struct writeback
		*writeback_ahead; /* what device_expect_backing() has made of it; or NULL */
	struct seek *seek;	  /* of a backing store that is missing; or NULL. Constant */
};

/* NULL: there is no backing store. */
static inline struct writeback *device_writeback_of(const struct device *device)
{
	return __atomic_load_n(&device->writeback, __ATOMIC_ACQUIRE);
}

/* Take a stream; waits while all are taken. Give it back. */
struct stream *stream_get(struct device *device);
void stream_put(struct device *device, struct stream *stream);

/*
 * A codec stream by METHOD, as the device's are; it reads the device's dictionaries, and is freed before
 * the device. Allocates. -ENOMEM; -EINVAL: the method is none.
 */
int stream_codec_new(struct device *device, const struct codec_method *method,
		     struct codec_stream **ret_codec);

int streams_new(struct device *device, const struct device_options *options);
void streams_free(struct device *device);

/*
 * Have all streams compress by METHOD, each from when it is next free; when this returns, all do.
 * Settings lock. Allocates and blocks. -ENOMEM, -EINVAL: and nothing has changed.
 */
int streams_set_method(struct device *device, const struct codec_method *method);

/*
 * Wait until each stream has been free: whatever a request has looked up before, it has done with.
 * Settings lock. Blocks.
 */
void streams_pass(struct device *device);

/*
 * Have all streams at once: no request is at work on a page until they are released. Settings lock. Blocks.
 */
void streams_hold(struct device *device);
void streams_release(struct device *device);

/* As device_prefault(), for the streams. Settings lock. */
int streams_prefault(struct device *device);

/* Is this all there is of the page? The last page of the device may be shorter than others. */
static inline bool is_whole(const struct device *device, uint64_t page, size_t from, size_t n)
{
	return from == 0 && (n == DEVICE_PAGE_SIZE || page * DEVICE_PAGE_SIZE + n == device->size);
}

/*
 * Count what WORD describes in (1) or out (-1).
 */
void page_account(struct counters *counters, slot_word word, int sign);

/* Check a request's range. -EINVAL, counted. */
int device_check(struct device *device, uint64_t offset, uint64_t count);

static inline struct parking *slot_parking(struct device *device, uint64_t page)
{
	return &device->parkings[page % SLOT_PARKINGS];
}

/* Has the leaf of a page's slot been in use? If not, it is empty, and so are all of its leaf. */
static inline bool leaf_ready(const struct device *device, uint64_t page)
{
	uint64_t leaf = page / SLOTS_PER_LEAF;

	return __atomic_load_n(&device->leaves[leaf / 64], __ATOMIC_ACQUIRE) >> (leaf % 64) & 1;
}

/*
 * Content of a page that WORD describes, to BUF (a page). Slot locked, unless WORD needs none.
 * -EIO: the payload is damaged, or could not be fetched. PAGE_AWAY: see fetch.h.
 */
int page_load(struct device *device, struct stream *stream, uint64_t page, slot_word word,
	      void *buf, struct fetch *fetch);

/*
 * Read N bytes of a page from FROM on into BUF. May block for the slot. A payload may be fetched into
 * BUF, if that is a page. -EIO, PAGE_AWAY.
 */
int page_read(struct device *device, struct stream *stream, uint64_t page, size_t from, size_t n,
	      void *buf, struct fetch *fetch);

/*
 * Write a whole page. May block: for the slot, and for memory, with the stream given back meanwhile, so that
 * *STREAM may be another one then; *WAITED: as of zs_refill(), of all pages of a request. -ENOSPC, for which
 * limit_hold() may help; -ENOMEM. The old content stands whenever it fails.
 */
int page_write(struct device *device, struct stream **stream, uint64_t page, const void *buf,
	       uint64_t *waited);

/*
 * Write N bytes of a page from FROM on. May block for the slot. -EAGAIN: give the stream back, have memory by
 * zs_refill() for what was wanted, and try again; -ENOMEM, -EIO, PAGE_AWAY. The old content stands.
 */
int page_write_part(struct device *device, struct stream *stream, uint64_t page, size_t from,
		    size_t n, const void *buf, struct fetch *fetch);

/*
 * Have a page hold a payload that was compressed before, or be one that cannot be read. As page_write().
 */
int page_put(struct device *device, struct stream **stream, uint64_t page, uint8_t encoding,
	     const void *payload, size_t len, uint64_t *waited);
int page_damage(struct device *device, struct stream *stream, uint64_t page);

/* Make a page empty. May block for the slot. Returns whether there was anything. */
bool page_clear(struct device *device, struct stream *stream, uint64_t page);

#endif
