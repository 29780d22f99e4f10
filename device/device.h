/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device: a block device of 4096-byte pages, each of which one slot describes.
 *
 * All calls but device_new(), device_start(), device_stop() and device_free() may be made from any
 * number of threads at once. Return 0 or a negative errno; nothing here logs.
 */
#ifndef ZCRAM_DEVICE_H
#define ZCRAM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "allocator/zs.h"
#include "backing/backing.h"
#include "codec/codec.h"

#define DEVICE_PAGE_SIZE 4096

struct device;

/* Which pages are compressed again. */
enum device_cold_type {
	DEVICE_COLD_ALL,
	DEVICE_COLD_IDLE, /* in the background: those of the age; by hand: those that are idle */
	DEVICE_COLD_HUGE, /* those that are stored raw */
	DEVICE_COLD_HUGE_IDLE, /* those that are both */
};

#define DEVICE_COLD_METHODS 3
#define DEVICE_COLD_TYPES                          \
	{                                          \
		"all", "idle", "huge", "huge_idle" \
	}
#define DEVICE_COLD_AGE UINT64_C(900) /* seconds: the default */
#define DEVICE_COLD_CPU 10	      /* percent of one CPU: the default */

/* What becomes of pages that nobody touches; all zeros: nothing. */
struct device_cold {
	unsigned int methods_count;			  /* 0: they stay as they are */
	struct codec_method methods[DEVICE_COLD_METHODS]; /* tried in order until one is worth it */
	enum device_cold_type type;
	uint64_t threshold; /* bytes: what is stored in less is left alone */
	uint64_t age;	    /* seconds, at most device_idle_max() */
	unsigned int cpu;   /* percent of one CPU, 1 to 100 */
};

#define DEVICE_WRITEBACK_AT  90		   /* percent of mem_limit: the default */
#define DEVICE_WRITEBACK_AGE UINT64_C(900) /* seconds: the default */

/* When pages are written to the backing store by themselves (policy.h); all zeros: only at the limit. */
struct device_policy {
	unsigned int at; /* percent of mem_limit that the pool takes, 1 to 100; 0: only at it */
	uint64_t age;	 /* seconds that pages have not been touched, at most device_idle_max() */
	uint64_t limit;	 /* bytes within 24 hours; 0: no limit */
};

struct device_options {
	uint64_t size;	    /* bytes; any number > 0: the last page may be part of one */
	uint64_t mem_limit; /* bytes of pool at most; 0: none but what the device could ever need */
	uint64_t reserve;   /* bytes of pool memory kept committed and free */
	enum zs_kind allocator;
	bool auto_compact;    /* compact when it would free something worth having */
	unsigned int streams; /* requests (de)compressed at a time; 0: by the number of CPUs */
	struct codec_method method;
	struct device_cold cold;
	struct device_policy writeback;
	/*
	 * Memory that outlives the process: shared, page aligned, of device_store_size(size) bytes. All
	 * zeros: a new device is made in it; else the one that is there is recovered. NULL: private
	 * memory. It stays the caller's, and has to be there until device_free().
	 */
	void *store;
	uint64_t store_size;
	/*
	 * Another process still serves from the store: nothing of it is changed. Nothing but
	 * device_prefault_ahead() and device_free() may be called before device_take_over().
	 */
	bool ahead;
};

/* Of the options, those that device_set() can change while requests go on. */
struct device_settings {
	uint64_t mem_limit; /* bytes of pool at most; 0: none but what the device could ever need */
	bool auto_compact;
	struct codec_method method; /* of what is written from now on */
	struct device_cold cold;    /* another list of methods: what was tried is tried again */
	struct device_policy writeback;
};

/*
 * Counters. Each is exact: what has been acknowledged before the call is in it, once. While other
 * threads are at work they are read one after the other, not at one instant.
 */
struct device_stats {
	/* requests, also those that failed; bytes, of those that did not */
	uint64_t reads, writes, trims, zeroes, flushes;
	uint64_t bytes_read, bytes_written;
	uint64_t failed_reads, failed_writes; /* also of trims and zeroes; not the invalid ones */
	uint64_t invalid_io;		      /* outside the device */
	uint64_t notify_free;	  /* pages whose content a trim or zero dropped, zeros too */
	uint64_t pages_raw_since; /* pages that were written and stored raw */
	/* content, in pages of the device */
	uint64_t pages_same;	/* one repeated word, written zeros too: no object */
	uint64_t pages_pool;	/* objects in the pool */
	uint64_t pages_raw;	/* of these: stored raw */
	uint64_t pages_filter;	/* of these: shuffled before they were compressed */
	uint64_t pages_dict;	/* of these: compressed with a dictionary */
	uint64_t pages_damaged; /* found untrustworthy by recovery, and not written since */
	uint64_t pages_backing; /* objects in the backing store, and not in the pool */
	/* memory, in bytes */
	uint64_t payload;   /* sum of the payloads' lengths, of those in the pool */
	uint64_t pool;	    /* pages of zspages that are committed */
	uint64_t pool_max;  /* highest pool so far */
	uint64_t mem_limit; /* 0: none */
	uint64_t reserve;   /* committed and free */
	uint64_t reserve_target;
	uint64_t metadata; /* touched: slot table, zspage descriptors, page map, bitmaps */
	uint64_t streams;  /* memory of the streams */
	uint64_t dicts;	   /* memory of the dictionaries */
	/* background work, in objects moved, pages freed by it, and times it was needed at once */
	uint64_t objects_compacted, pages_compacted;
	uint64_t objects_migrated, extents_migrated;
	uint64_t refills; /* a write had to wait for memory to be committed */
	/* where requests spend their time: in the codec, in ns, estimated from every so many-th
	   page, which is timed; and times that one had to sleep until there was a stream, or until
	   a page was no longer busy */
	uint64_t compress_ns, decompress_ns;
	uint64_t stream_waits, slot_waits;
	/* near the limit and at it (device/limit.h): requests that had to wait, for how long in all,
	   and those that failed with -ENOSPC */
	uint64_t writes_slowed, slowed_ns, writes_refused;
	/* recompression: pages that take a smaller cell by it, pages that would not, bytes of cells
	   that were saved, and CPU time in ns */
	uint64_t recompressed, recompress_failed, recompress_saved, recompress_ns;
	/* the backing store, in bytes: payloads in it; all of it, what is free and what is live of it,
	   with records; written to it, with records, rounding and what cleaning moves */
	uint64_t payload_backing;
	uint64_t backing_size, backing_free, backing_live, backing_written;
	uint64_t backing_moved; /* objects, by cleaning */
	uint64_t backing_reads; /* objects */
	uint64_t backing_read_bytes;
	uint64_t
		backing_read_errors; /* objects that could not be read, or were not what was written */
	uint64_t
		backing_write_errors; /* segments that could not be written: they stay in the pool */
	/* pages written to it, the bytes of their payloads; and such as came back to the pool */
	uint64_t written_back, written_back_payload, brought_back;
	/* with a store: pages that recovery found whole; times that the store was recovered */
	uint64_t pages_recovered, generation;
};

/*
 * A device with all its slots empty. Reserves address space and allocates the streams; starts no
 * thread. -EINVAL: an option is out of range; -E2BIG: size beyond device_max_size(); -ENOMEM.
 */
int device_new(const struct device_options *options, struct device **ret_device);
void device_free(struct device *device);

/* The largest size in bytes that a slot's location bits can serve. */
uint64_t device_max_size(void);

/* The least mem_limit in bytes: one zspage of every length must fit. */
uint64_t device_min_limit(void);

/*
 * Start the background threads and commit the reserve. After a fork, never before.
 * Without it the device works all the same: memory is committed on the I/O path, nothing is
 * compacted but by device_compact(). -EAGAIN, -ENOMEM: a thread or the reserve could not be had.
 */
int device_start(struct device *device);

/* How many threads that begins; and how many more with a backing store, that store's with io_uring too. */
#define DEVICE_THREADS	       5
#define DEVICE_BACKING_THREADS 2

void device_stop(struct device *device);

/*
 * For a server of swap, whose requests may not touch memory first: have memory for the slot table,
 * 2 MiB for each GiB of the device, and for all else that requests write to and that was made
 * before, of which a fork has left nothing but promises. After a fork; requests may go on. Blocks.
 * -ENOMEM: there is not enough; what was had is kept, and all of it may be tried again.
 */
int device_prefault(struct device *device);

/*
 * Of one that was made ahead: have what can be had before it is taken over, so that what is left to do
 * takes little time and no memory: that of the streams, tables for what is stored now, and the page
 * tables of what is in memory of the store. Blocks. -ENOMEM.
 */
int device_prefault_ahead(struct device *device);

/*
 * The store is ours now: recover what is in it. Blocks. As device_new() does with a store, and what
 * device_store_inspect() has said of it has to be so still.
 */
int device_take_over(struct device *device);

uint64_t device_size(const struct device *device);

/* How many requests are (de)compressed at a time at most. */
unsigned int device_streams(const struct device *device);

/* How its pool places objects. */
enum zs_kind device_allocator(const struct device *device);

/*
 * Read, write: any offset, any length inside the device. A write that fails leaves each of its
 * pages either old or new, whole. Never allocate. May block: for a stream, for a busy slot, and a
 * write, when the reserve has run out, for the kernel to give memory, and near the limit and at it for
 * room, for a bounded time (limit.h).
 * -EINVAL: outside the device; -ENOSPC: mem_limit; -ENOMEM: the kernel gave no memory;
 * -EIO: a stored payload could not be decompressed.
 */
int device_read(struct device *device, void *buf, uint64_t offset, size_t count);
int device_write(struct device *device, const void *buf, uint64_t offset, size_t count);

/*
 * Would a read wait for the backing store, as things stand? A hint, of any bytes; takes no lock.
 */
bool device_is_away(struct device *device, uint64_t offset, uint64_t count);

/*
 * Trim, zero: whole pages lose their objects and read as zeros; part pages are zeroed (zero) or
 * left as they are (trim, whose content is then the old one). Errors as for a write.
 */
int device_trim(struct device *device, uint64_t offset, uint64_t count);
int device_zero(struct device *device, uint64_t offset, uint64_t count);

/* Wait until all that was acknowledged would survive what the device survives: at once. */
int device_flush(struct device *device);

/*
 * Call FN for runs of pages that are alike, in order, until count is covered or FN returns non-zero
 * (which is returned). hole: reads as zeros and takes no object.
 */
int device_extents(struct device *device, uint64_t offset, uint64_t count,
		   int (*fn)(void *opaque, uint64_t offset, uint64_t length, bool hole),
		   void *opaque);

/* Compact and migrate all that can be, and give what is free beyond the reserve back. Blocks. */
int device_compact(struct device *device);

/*
 * What is in force; and change it, while requests go on, which wait no longer than for a stream.
 * What is stored stays as it is and readable. A mem_limit below the memory that is held: while the device
 * is started, compaction and writeback bring that down as far as they can, and writes that need more are
 * as at the limit until it has fallen (limit.h). auto_compact: has its effect while the device is
 * started; a compaction under way is not broken off.
 * All or nothing: -EINVAL: mem_limit is below device_min_limit(), or the method is none; -ENOMEM.
 * Setting allocates, for a moment the memory of all streams once more, and blocks.
 */
void device_get_settings(struct device *device, struct device_settings *ret_settings);
int device_set(struct device *device, const struct device_settings *settings);

void device_get_stats(struct device *device, struct device_stats *ret_stats);

/*
 * End what the device does by itself beside making room: ages, recompression, and the writeback that its
 * policy asks for. Requests may go on: device_stop(), which does it too, waits for nothing of it then.
 * Waits some 100 ms, but longer where idle threads hardly run, and for what is being written to the
 * backing store. No device_recompress() may be under way, nor come.
 */
void device_stop_background(struct device *device);

/*
 * Compress pages again, by hand, in the order of the table: with the methods in force, and then only
 * pages that have not been tried before, or with one that is given. As fast as the background thread's
 * idle priority allows, without regard to its budget; it stops when MAX_PAGES have been tried (0: no
 * such bound). When the device is not started it is done by the caller, and takes memory as a write does.
 * Pages are left alone that are busy, touched meanwhile, or for which there is no memory at hand.
 * Blocks; one call at a time. -ENOENT: there is no method; -EBUSY: another call; -ECANCELED: by
 * device_cancel(), and *ret is what was done until then; -EINVAL, -ENOMEM.
 */
struct device_recompress {
	enum device_cold_type type;
	uint64_t threshold; /* bytes, as above */
	uint64_t max_pages;
	bool has_method;
	struct codec_method method;
};

struct device_recompressed {
	uint64_t pages; /* that were tried */
	uint64_t saved; /* of these: that take a smaller cell now */
	uint64_t bytes; /* of cells, that were saved */
};

int device_recompress(struct device *device, const struct device_recompress *order,
		      struct device_recompressed *ret);

/* End such a call that is under way, or of device_writeback(), and refuse those to come. Any thread;
 * does not wait. */
void device_cancel(struct device *device);

/*
 * Have a backing store, to which pages of the pool can be written, and from which they are read then.
 * Of the options WHERE and what follows it up to DEPTH matter, and begin_thread; the rest is the
 * device's. A store (DEVICE_STORE) names it by its UUID, and has what is in it again: pages that cannot
 * be there are damaged then. Where nothing is in it, another may take its place.
 *
 * Once, after device_new() or device_take_over() and the fork, before device_start() and before any
 * request. A device that has pages there (pages_backing) reads them as -EIO without it. Blocks,
 * allocates. Errors of backing_open(), RET_WHY too; nothing has changed then.
 */
int device_open_backing(struct device *device, const struct backing_options *options,
			char ret_why[BACKING_WHY]);

/* Are its pages, by what its store says, in the backing store that was last found at WHERE? */
bool device_knows_backing(const struct device *device, const char *where);

/*
 * Instead of device_open_backing(), which has failed with ERROR: begin without, and look for it again and
 * again, from device_start() to device_stop(). Reads of the pages that are there are -EIO until FOUND is
 * called, from another thread. -ENOMEM.
 */
int device_seek_backing(struct device *device, const struct backing_options *options, int error,
			void (*found)(void *opaque), void *opaque);

/*
 * Of one that was made ahead, while another process still serves from the store and may have the backing
 * store open: could device_open_backing() open it, as far as can be seen from outside? And have the
 * memory that it would allocate. Changes nothing that the other one uses; a file that is to be made is
 * made. Blocks. Errors as there.
 */
int device_expect_backing(struct device *device, const struct backing_options *options,
			  char ret_why[BACKING_WHY]);

/*
 * Before device_take_over(): does the store say that there are pages in a backing store? At some moment
 * of the call.
 */
bool device_expects_backing(struct device *device);

/* Whether it works: false: there is none. One that is looked for is gone. */
bool device_get_backing(struct device *device, struct backing_stats *ret_stats);

/*
 * Write pages to the backing store, in the order of the table, or of the ranges, by hand: of their
 * objects there is nothing in the pool afterwards. Pages are left alone that are busy, or touched
 * meanwhile. Blocks; one call at a time. *ret is what was done also after an error: -ENOENT: there is no
 * backing store; -EINVAL: a range is none; -EBUSY: another call; -ECANCELED: by device_cancel();
 * -ENOSPC: the store is full; -EIO and what the kernel says: it has failed; -ENOTCONN: it is gone.
 * What could not be written stays in the pool.
 */
enum device_writeback_type {
	DEVICE_WRITEBACK_ALL,
	DEVICE_WRITEBACK_IDLE,
	DEVICE_WRITEBACK_HUGE, /* those that are stored raw */
	DEVICE_WRITEBACK_HUGE_IDLE,
	DEVICE_WRITEBACK_INCOMPRESSIBLE, /* those that recompression could do nothing for, either */
};

#define DEVICE_WRITEBACK_TYPES                                       \
	{                                                            \
		"all", "idle", "huge", "huge_idle", "incompressible" \
	}

/* Pages, both included. What is beyond the device is left out. */
struct device_range {
	uint64_t first, last;
};

#define DEVICE_RANGES 32

struct device_writeback {
	enum device_writeback_type type;
	uint64_t threshold;	   /* bytes: what is stored in less is left alone */
	uint64_t max_pages;	   /* 0: no bound */
	unsigned int ranges_count; /* 0: all of the device */
	struct device_range ranges[DEVICE_RANGES];
};

struct device_written_back {
	uint64_t pages;
	uint64_t bytes; /* of their payloads; both with what was written by itself meanwhile */
};

int device_writeback(struct device *device, const struct device_writeback *order,
		     struct device_written_back *ret);

/*
 * How long the pages in the pool have not been touched, in classes: of each the seconds that it is at
 * least, and the pages in it, as they were when all were last looked at: at most half a minute ago
 * while the device is started, or by device_idle(). Pages of the last class are *idle*. The bounds are
 * rough; age.h has them.
 */
#define DEVICE_AGES 16

struct device_age {
	uint64_t seconds, pages;
};

void device_get_ages(struct device *device, struct device_age ret_ages[DEVICE_AGES]);

/*
 * Mark pages in the pool idle until they are touched: those that have surely not been for SECONDS; 0:
 * all. How many are idle then. Goes over the slot table, some 10 ms for each 4 GiB of the device
 * that were ever in use; waits for no request, and none for it.
 * -ERANGE: SECONDS is more than device_idle_max(): a page that old is idle by itself.
 */
int device_idle(struct device *device, uint64_t seconds, uint64_t *ret_pages);
uint64_t device_idle_max(void);

/*
 * A picture of the arena: the extents that were ever used, in at most CELLS buckets of equally many
 * pages, lowest addresses first. ret_held, ret_live: CELLS bytes each, of every bucket the share, in
 * 255ths and rounded up, of its pages that have memory, and of its bytes that are in cells in use.
 * Other threads are at work meanwhile: it is not of one instant. Returns the number of buckets,
 * fewer than CELLS when there are not so many pages, 0 when none was ever used. Allocates.
 * -EINVAL: CELLS is 0; -ENOMEM.
 */
int device_get_map(struct device *device, unsigned int cells, uint8_t *ret_live, uint8_t *ret_held);

/*
 * What each page is, COUNT of them at most from *FROM on, which is moved behind what was never in use.
 * Returns how many, 0 at the end of the device, where *FROM then stands. Each is as it was at some
 * moment of the call. Takes no lock of a request's; allocates nothing.
 */
enum device_block_state {
	DEVICE_BLOCK_EMPTY,
	DEVICE_BLOCK_SAME, /* of one repeated word */
	DEVICE_BLOCK_POOL,
	DEVICE_BLOCK_RAW, /* in the pool, stored raw */
	DEVICE_BLOCK_BACKED,
	DEVICE_BLOCK_DAMAGED,
	DEVICE_BLOCK_STATES
};

enum device_block_mark {
	DEVICE_BLOCK_UNTRIED,
	DEVICE_BLOCK_RECOMPRESSED, /* tried, and compressed as recompression does it */
	DEVICE_BLOCK_UNSHRINKABLE, /* tried, and left as it was */
	DEVICE_BLOCK_MARKS
};

struct device_block {
	uint8_t state;	   /* enum device_block_state */
	uint8_t mark, age; /* in the pool: enum device_block_mark; its class, below DEVICE_AGES */
};

size_t device_get_blocks(struct device *device, uint64_t *from, struct device_block *ret_blocks,
			 size_t count);

/*
 * Check every invariant of slots and pool. No request may be under way; background threads may.
 * 0, or -EUCLEAN with what is wrong in ret_error (a constant).
 */
int device_validate(struct device *device, const char **ret_error);

/* What the bytes of a store mean: another number, another meaning. */
#define DEVICE_STORE_LAYOUT 2

/* Bytes of a store for a device of SIZE bytes, a multiple of the page size; 0: there is none. */
uint64_t device_store_size(uint64_t size);

/* What device_new() found in the store. */
struct device_recovery {
	bool in_store;	     /* false: private memory, and all that follows is zero */
	bool recovered;	     /* false: or the store is a new one */
	uint32_t generation; /* times that the store was recovered */
	uint8_t uuid[16];
	uint64_t pages;	      /* that hold an object, and were found whole */
	uint64_t damaged;     /* that cannot be read any more */
	uint64_t cells_freed; /* that no slot named */
	uint64_t ns;
};

/* A UUID as it is written, lower case, with its NUL. */
#define DEVICE_UUID_TEXT 37

void device_uuid_text(const uint8_t uuid[16], char text[DEVICE_UUID_TEXT]);

void device_get_recovery(const struct device *device, struct device_recovery *ret);

/*
 * Call FN for each damaged page, in order, until it returns non-zero (which is returned). Reads of
 * a damaged page are -EIO until it is wholly written, trimmed or zeroed.
 */
int device_damaged(struct device *device, int (*fn)(void *opaque, uint64_t page), void *opaque);

struct device_store_info {
	uint32_t layout;
	uint8_t uuid[16];
	uint64_t device_size, store_size;
	enum zs_kind allocator;
	uint32_t generation;
	bool complete;
};

/*
 * What is in a store. Reads its header only; changes nothing. -ENODATA: nothing, or what was never
 * completed; -EPROTO: it is no store, or another program's, version's or codecs'; -EINVAL: its header
 * is damaged, or its size is not that of its device: and *ret_why is a constant text that says what
 * does not match and what is expected.
 */
int device_store_inspect(const void *store, uint64_t store_size, struct device_store_info *ret_info,
			 const char **ret_why);

#endif
