/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backing store from inside.
 *
 * Invariants, with the store lock held and nobody at work:
 *
 *	sum of segments' live				== live
 *	bits set in free_map				== nr_free
 *	segment is SEGMENT_FREE				<=> its bit in free_map is set
 *	segment is SEGMENT_FREE				=> live == 0 and pins == 0
 *	segment is SEGMENT_SEALED			=> live > 0 or pins > 0
 */
#ifndef ZCRAM_BACKING_TYPES_H
#define ZCRAM_BACKING_TYPES_H

#include <pthread.h>

#include "backing/backing.h"
#include "backing/engine.h"
#include "backing/record.h"
#include "common/headroom.h"
#include "common/parking.h"
#include "common/util.h"

#define SEGMENT_SIZE_DEFAULT (UINT32_C(1) << 20)
#define SEGMENT_SIZE_MIN     (UINT32_C(64) << 10)
#define SEGMENT_SIZE_MAX     (UINT32_C(16) << 20)
#define DEPTH_DEFAULT	     4U
#define DEPTH_MAX	     16U
#define READERS_DEFAULT	     32U
#define READERS_MAX	     1024U
#define PATIENCE_DEFAULT     30000U /* ms */

/* Segments that only cleaning may take, so that there is a way out of a full store: one for what it
 * moves, and one more as what was moved has to be written before anything comes free. */
#define SEGMENTS_RESERVED 2U
#define SEGMENTS_MIN	  (SEGMENTS_RESERVED + 2U)

/* Writes end at a multiple of it: flash is not asked to change a part of its page. */
#define WRITE_UNIT 4096U

/* Of a reader's buffer, which is had and locked as long as the store: some twenty objects in a row, at a third of a
 * page each; more would make few reads of them fewer. The longest record from anywhere, widened to the largest
 * sectors, must fit in. */
#define READ_SIZE (8 * ENGINE_BLOCK_MAX)

_Static_assert(ENGINE_BLOCK_MAX - RECORD_UNIT + sizeof(struct record) + BACKING_OBJECT_MAX <=
		       READ_SIZE,
	       "the last unit of one sector, and two more");

/* So many bytes of a segment for each object at least: a bound for a batch's memory. */
#define RECORD_MEAN_MIN 128U

/* So many owners are told apart, of whose objects only one at a time may be on its way. */
#define ON_THE_WAY (1U << 18)

enum segment_state {
	SEGMENT_FREE,
	SEGMENT_BUSY,  /* it is open, or a batch fills or writes it */
	SEGMENT_SEALED /* it has been written */
};

/* Number 0 is the header's place, and BUSY for ever. */
struct segment {
	/* all by the store lock; also peeked at */
	uint32_t
		live; /* bytes of records that slots name, or will; of a batch not before it is full */
	uint32_t pins;
	uint32_t taken;	 /* the number of segments that were taken before it was */
	uint8_t state;	 /* enum segment_state */
	uint8_t use;	 /* 0..7: counted up whenever it is taken */
	uint8_t batches; /* that fill or write it */
	bool open;	 /* more of them may come */
	/*
	 * Cleaning has gone through it, and does not again before it is free, which it will be, if no
	 * object was damaged, and what was moved can be written. Else it would be picked, being the
	 * deadest, over and over.
	 */
	bool tried;
};

enum batch_state {
	BATCH_IDLE,
	BATCH_FILLING, /* at most one is */
	BATCH_WRITING  /* or written, and not settled */
};

/* An object of a batch. */
struct batch_entry {
	struct backing_origin origin;
	uint32_t at; /* its record: bytes from the start of the batch */
};

/*
 * A segment on its way to the store, or a part of one: a flush writes what there is, and the next batch begins
 * behind it. All but `done` and `error` is the writer's.
 */
struct batch {
	struct engine_io io;
	struct backing *backing;
	enum batch_state state;
	struct outlet *outlet;	     /* that it fills, or has */
	uint32_t segment;	     /* number */
	uint32_t start;		     /* where in it; a multiple of WRITE_UNIT */
	uint32_t used;		     /* bytes of this batch */
	uint32_t count;		     /* objects */
	uint8_t *buf;		     /* segment_size bytes; NULL: there is no memory for it yet */
	struct batch_entry *entries; /* behind that, batch_objects_max */
	int error;		     /* set before done */
	uint32_t done;		     /* atomic: the engine has finished */
};

/* A segment that is read to be cleaned. The writer's, but for `done` and `error`. */
struct cleaning {
	struct engine_io io;
	struct backing *backing;
	uint8_t *buf;	 /* segment_size bytes, or NULL */
	bool is_reading; /* or was, and nobody has waited for it */
	int error;	 /* set before done */
	uint32_t done;	 /* atomic: the engine has finished */
};

/* A buffer to read objects into that stand in a row. Its user's, but for `done` and `error`. */
struct reader {
	struct engine_io io;
	struct reader *next;	    /* of those nobody uses; store lock */
	struct backing_fetch **run; /* COUNT of them, by their places */
	unsigned int count;
	uint64_t start; /* of the buffer, in the store */
	int error;	/* set before done */
	uint32_t done;	/* atomic: the engine has finished */
	struct parking parking;
};

/*
 * Where objects go: a segment that is open, and what is on its way there. Those that are cleaned have one of
 * their own: what has lived long lives on, and beside what dies soon would be moved again and again.
 */
enum outlet_of { OUTLET_POOL, OUTLET_CLEANED, OUTLETS };

struct outlet {
	struct batch *filling; /* or NULL: it goes to the open segment */
	uint32_t open;	       /* segment; 0: none */
	uint32_t open_used;    /* bytes of it, a multiple of WRITE_UNIT */
};

struct header;

struct backing {
	/* constant */
	struct backing_options options; /* without the strings */
	struct engine *engine;
	uint64_t key; /* of the checksums */
	uint32_t segment_size, nr_segments, batch_objects_max;
	uint8_t *memory; /* the readers' buffers */
	size_t memory_size;
	struct header *header; /* in that memory */
	struct reader *readers;
	struct batch *batches;

	pthread_mutex_t lock; /* the store lock */
	/* lock protects these */
	struct segment *segments; /* nr_segments */
	uint64_t *free_map;
	uint32_t nr_free;
	uint32_t taken; /* segments, one after the other: the clock of their ages */
	uint64_t live;
	struct reader *idle_readers;

	/* the writer's */
	struct headroom headroom;
	struct outlet outlets[OUTLETS];
	struct cleaning cleaning;
	const uint32_t *stop;  /* what ends its waits; NULL: nothing */
	uint32_t next_segment; /* where to look for a free one */
	int flush_error;       /* the first since the last flush */
	/* By the owner's low bits: an object, not one that is cleaned, is on its way. */
	uint64_t on_the_way[ON_THE_WAY / 64];

	uint32_t failed;	       /* atomic, set by the writer: a write failed */
	struct parking writer_parking; /* a batch or `cleaning` is done, or the writer is to stop */
	struct parking readers_parking; /* a reader is idle */
	struct backing_stats stats;	/* counters; atomic */
};

static inline uint32_t segment_of(const struct backing *b, backing_location location)
{
	return (uint32_t)(location_offset(location) / b->segment_size);
}

/* memory.c */

/* Have the readers' buffers and the first batch's. -ENOMEM. Blocks. */
int memory_open(struct backing *backing);
void memory_close(struct backing *backing);

/* Has the kernel memory for another batch? */
bool memory_is_at_hand(struct backing *backing);

/* Have memory for it, if there is none yet. -ENOMEM. Blocks while the kernel looks for some. */
int memory_for_batch(struct backing *backing, struct batch *batch);
int memory_for_cleaning(struct backing *backing);

/* header.c */

/* Look at what stands in the store, and recognise it or write a new header. Blocks. */
int header_open(struct backing *backing, const struct backing_options *options, char *why);

/* Is the header in memory that of the store with this UUID, and large enough? -ESTALE. */
int header_check_recovered(const struct backing *backing, const uint8_t uuid[16], char *why);

/* Look whether a new header may be written. -EEXIST, -EBUSY. Blocks. */
int header_check_new(struct backing *backing, const struct backing_options *options, char *why);

/* probe.c */

/* Is there a file system, partition table, swap area or the like? -EEXIST: and WHY says which.
 * Blocks. */
int probe_foreign(struct engine *engine, void *buf, uint32_t size, char *why);

/* segments.c: all take the store lock. */

/* A free segment, BUSY and open from now on. Unless for cleaning, some are left. -ENOSPC. */
int segment_take(struct backing *backing, bool cleaning, uint32_t *ret_segment);

/* Bytes become live in a busy segment, or pinned. */
void segment_add(struct backing *backing, uint32_t segment, uint32_t bytes);

/* A batch goes to it; has been written, or has failed; there will be no more. */
void segment_begin(struct backing *backing, uint32_t segment);
void segment_settle(struct backing *backing, uint32_t segment);
void segment_end(struct backing *backing, uint32_t segment);

/* The sealed segment that it is best to clean, of those that nobody has pinned, pinned from now on, if it
 * is worth it. False: none is. */
bool segment_pick(struct backing *backing, uint32_t *ret_segment);
void segment_set_tried(struct backing *backing, uint32_t segment, bool tried);
void segment_unpin(struct backing *backing, uint32_t segment);

/* No segment was ever tried. */
void segments_retry(struct backing *backing);

/* write.c */

/* No batch goes to the open segments any more, but such as are being filled. */
void writer_end_segments(struct backing *backing);

/* Have the writer wait until DONE says so of ITEM. -ECANCELED: it is to stop. */
int writer_await(struct backing *backing, bool (*done)(const void *item), const void *item);

/*
 * As backing_append(): all but the location of OBJECT is given, and that is set. The segment that
 * one is cleaned from stays pinned until this is settled.
 */
int object_append(struct backing *backing, struct backing_object *object, const void *payload,
		  struct backing_origin origin);

/*
 * The first record at *AT or, where there is none, from the next WRITE_UNIT on, of the bytes of a segment; *AT is
 * moved to it. What was never written, or is damaged, may look like a record: only who names it knows. False:
 * there is none.
 */
bool record_next(const struct backing *backing, const uint8_t *bytes, uint32_t segment,
		 uint32_t *at, struct backing_object *ret_object);

/* May objects be written? 0, -EIO, -ENOTCONN. */
int backing_writable(const struct backing *backing);

#endif
