/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backing: where cold objects go: a file, a block device, or an export of an NBD server.
 *
 * Objects are packed as they are stored, each behind a *record* of 12 bytes (record.h), back to
 * back, into *segments*, which are written whole, in order, several at a time. A segment is used
 * again when all its objects are dead, or were moved (backing_clean).
 *
 * What is in a backing store belongs to one pool, and is nothing without the slots that name it. So
 * only a header is durable, by which another's store, or what is no store at all, is recognised;
 * what each segment holds is known from the slots (backing_claim).
 *
 * An object's *location* has 43 bits: offset in the store in units of 8 bytes (40), and the number
 * of times that its segment was used, modulo 8 (3). With the length and the encoding that makes 60
 * bits: what a slot has beside lock, state, and bit 3.
 *
 * The slot is the only truth here too:
 *
 * - *Writing.* An object that backing_append() took is nobody's until `written` is called for it,
 *   which is after its segment was written. Then the owner's slot is made to name it, if it still
 *   says what it said, and the pool's cell is freed after that. A kill in between leaves the slot,
 *   and the object in the pool. `written` is told once of each object, success or not. What the
 *   slot said is the cookie's to remember, or a mark's in the slot, that goes with whatever happens
 *   to the page: of one owner only one object at a time is on its way from the pool, so that no
 *   mark is taken for another's.
 * - *Reading.* Under the slot's lock: backing_pin(); unlock; backing_read(); backing_unpin(). A
 *   pinned segment is not used again, whatever becomes of the slot meanwhile: what is read is what
 *   the slot named when it was locked. To bring the object back to the pool, lock the slot again
 *   before backing_unpin() and compare the word: as the segment was pinned all the time, and a
 *   location names other content only when its segment has been used again, the same word means
 *   that nothing has happened to the page: there is no ABA.
 * - *Freeing.* First the slot ceases to name the object, then backing_free(). A segment is free
 *   when none of its bytes is live and nobody has it pinned.
 * - *Cleaning* appends the live objects of a segment again; `written` then swaps one location for
 *   the other, if the slot still names the first. That one stays pinned until `written` has
 *   returned.
 *
 * Threads. One at a time, the *writer*, may call backing_claim, _append, _reap, _flush, _clean and
 * _retry: the caller sees to that. `written` and `names` are called in these calls, on the writer's
 * thread, with no lock held. All else may be called by any number of threads at once. A store has
 * threads of its own, which complete what is under way and call nothing but `begin_thread`: one
 * with io_uring, eight where that is forbidden, one for an export.
 *
 * Locks, outermost first; below all slot locks and beside class locks, of which none is ever taken
 * here:
 *
 *	store lock	the table of segments, the idle read buffers	struct backing
 *	engine lock	what was submitted, and not taken yet		each engine
 *
 * Neither is held while anything blocks, but the engine lock of io_uring for the call that submits.
 *
 * Memory: what reading takes, and to write a segment at a time, is had and touched by backing_open(), and
 * does not move. The writer takes more, for more at a time, when the kernel has some at hand, and for cleaning. Reading
 * allocates nothing, but what the kernel needs for the request, and of an export what libnbd and the
 * socket do.
 *
 * Returns are 0 or a negative errno; nothing here logs.
 */
#ifndef ZCRAM_BACKING_H
#define ZCRAM_BACKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backing;

typedef uint64_t backing_location;

#define BACKING_LOCATION_BITS 43
#define BACKING_NONE	      UINT64_C(0) /* no object stands there: it is the header's place */
#define BACKING_OBJECT_MAX    4096
#define BACKING_ENCODING_BITS 5
#define BACKING_WHY	      160 /* bytes for a reason, with its NUL */
#define BACKING_NAME	      64  /* bytes of a name, with its NUL */

/* All that a slot says of its object. */
struct backing_object {
	backing_location location;
	uint32_t owner;
	uint16_t len; /* of the payload: 1..BACKING_OBJECT_MAX */
	uint8_t encoding;
};

/* Where an object comes from. */
struct backing_origin {
	backing_location from; /* of one that was cleaned: where it was; else BACKING_NONE */
	uint64_t cookie;       /* of one from the pool: what backing_append() was given; else 0 */
};

struct backing_ops {
	/*
	 * OBJECT, with this payload, has been written (error 0), or could not be. True: its owner's
	 * slot names it now.
	 * False: it does not, and never will; OBJECT is dead. The room does all accounts of OBJECT,
	 * and of where it was before: no backing_free(). May wait for a slot. Must not call the
	 * room.
	 */
	bool (*written)(void *opaque, const struct backing_object *object, const void *payload,
			const struct backing_origin *origin, int error);
	/* Does its owner's slot name this object now? Asked when its segment is cleaned, of what
	   stands there: the owner may be any number. Must not wait. */
	bool (*names)(void *opaque, const struct backing_object *object);
	/* Unless NULL: called first of all in each thread of the store's, such as to make it as
	   urgent as those who wait for it. */
	void (*begin_thread)(void *opaque);
	void *opaque;
};

enum backing_engine {
	BACKING_AUTO,	/* io_uring, or threads where that is forbidden */
	BACKING_THREADS /* threads, for files and block devices */
};

struct backing_options {
	const char *where; /* a path, or nbd://, nbds://, nbd+unix://, nbds+unix:// */
	/* Whose it is, such as a host's and a device's name: an export that belongs to another is
	   refused. All strings are borrowed for the call. */
	const char *name;
	uint64_t file_size;	/* bytes that a regular file is made to have; 0: as it is */
	uint32_t segment_size;	/* bytes: a power of two, 64 KiB..16 MiB; 0: 1 MiB */
	unsigned int depth;	/* segments that are written at a time: 1..16; 0: 4 */
	unsigned int readers;	/* reads under way at a time: 1..1024; 0: 32 */
	unsigned int patience;	/* ms that a request waits for an export; 0: 30 s */
	bool overwrite;		/* whatever stands there */
	const uint8_t *recover; /* the UUID of the store that the slots are about; NULL: anew */
	struct backing *ahead;	/* of backing_expect(), with the same options; or NULL */
	enum backing_engine engine;
	struct backing_ops ops;
};

/*
 * Open. Begins anew, or with RECOVER goes on with what another process has left: then call
 * backing_claim() for each slot that names an object, before all else.
 *
 * After the fork. Blocks: the file is locked (flock), and who was killed keeps it so until all that
 * it asked of the kernel is done, which is waited for, for some seconds. Allocates.
 *
 * Anew: what libblkid has a name for, a file system or the like, is not written over, nor an export
 * with the name of another owner; what is nothing known, or was ours, is.
 *
 * -EINVAL: an option is out of range, or the store too small; -EEXIST: something else stands there;
 * -ESTALE: it is not the one to recover; -EBUSY: somebody has it; -EOPNOTSUPP: not built in; or
 * what the kernel, or connecting, says. RET_WHY: a few words on it, without a full stop.
 */
int backing_open(const struct backing_options *options, struct backing **ret_backing,
		 char ret_why[BACKING_WHY]);

/*
 * Could it be opened? And have its memory, which backing_open() takes then (options->ahead), also if it
 * fails. With RECOVER the store may be in use by another process: it is not asked for, but looked
 * at; of an export nothing is to be seen from outside, and all is well. Anew nobody may have it: it is
 * opened and closed, but no header is written. For backing_close(), and nothing else, if it is not
 * opened. Errors as above; also -ENOENT.
 */
int backing_expect(const struct backing_options *options, struct backing **ret_backing,
		   char ret_why[BACKING_WHY]);

/*
 * Calls nothing: backing_flush() first, if slots are to have what is being written. Waits for that, as the
 * disk does; of an export it is given up. Nobody may be at work. NULL is fine.
 */
void backing_close(struct backing *backing);

void backing_get_uuid(const struct backing *backing, uint8_t ret_uuid[16]);

/* OBJECT is live: a slot names it. -EUCLEAN: it cannot be, and must not be read. Never blocks. */
int backing_claim(struct backing *backing, const struct backing_object *object);

/*
 * Take an object from the pool: copies the payload, LEN bytes. `written` will be called for it,
 * with the cookie, by a later call; RET_LOCATION (unless NULL): where it will be. Blocks while as
 * many segments as may be are being written. Takes memory for another when the kernel has some at hand.
 *
 * -EINVAL: LEN, ENCODING; -ENOSPC: the store is full, and backing_clean() may make room; -EIO: it
 * has failed; -ENOTCONN: the export is gone; -EALREADY: one of this owner's, or of another with the
 * same low 18 bits, is on its way: try it later, or after backing_flush(). Then `written` will not
 * be called for it, and after an error other than -ENOSPC and -EALREADY backing_flush() ends what
 * is under way.
 */
int backing_append(struct backing *backing, uint32_t owner, uint8_t encoding, const void *payload,
		   size_t len, uint64_t cookie, backing_location *ret_location);

/*
 * Of the writer: from now on its waits end with -ECANCELED when STOP (atomic; NULL: never) is not 0. What it
 * waited for goes on, and `written` is called by a later call. Whoever sets STOP calls backing_wake() then;
 * any thread.
 */
void backing_set_stop(struct backing *backing, const uint32_t *stop);
void backing_wake(struct backing *backing);

/* Call `written` for what has been written meanwhile. Does not wait. */
void backing_reap(struct backing *backing);

/*
 * Write what was appended, wait for it, and call `written` for all of it. What is appended next goes
 * behind it, from the next 4 KiB on. 0, or the first error since the last flush; -ECANCELED: see backing_set_stop().
 */
int backing_flush(struct backing *backing);

/* Is there a segment worth cleaning: half dead, or when the store is nearly full, an eighth? */
bool backing_wants_cleaning(struct backing *backing);

/* Is there room for another object, or can any be made? Any thread. */
bool backing_has_room(struct backing *backing);

/*
 * Append the live objects of the segment again for which that wins most, if any is worth it. What it frees is free
 * when they have been written. Blocks, allocates. -EAGAIN: none is worth it; -ENOMEM; or as backing_append(); -EIO
 * also: the segment, or an object in it, could not be read, and stays where it is. No segment is
 * tried again before it was free, or backing_retry().
 */
int backing_clean(struct backing *backing);

/* Pin the segment of an object that a slot names, with that slot locked. Never fails or blocks. */
void backing_pin(struct backing *backing, backing_location location);
void backing_unpin(struct backing *backing, backing_location location);

struct backing_fetch {
	struct backing_object object; /* pinned */
	void *payload;		      /* object.len bytes, any alignment */
	int error; /* out: 0, or -EIO: it could not be read, or is not what it was */
};

/*
 * Read objects, several at once, and in one piece those that stand in a row; in any order. PAYLOAD is
 * undefined where ERROR is not 0. Blocks; does not allocate. Only sectors are read that one of them stands in.
 * Each has the error of its own sectors and its own bytes: if a piece cannot be read, its objects are read one
 * by one. Works in any state of the store. Returns 0 or -EIO: at least one could not be read.
 */
int backing_read(struct backing *backing, struct backing_fetch *fetches, unsigned int count);

/* No slot names the object any more. Never fails or blocks. */
void backing_free(struct backing *backing, const struct backing_object *object);

enum backing_state {
	BACKING_READY,
	BACKING_GONE,	/* the export is, and will be looked for */
	BACKING_FAILED, /* a write failed: no more until backing_retry() */
	BACKING_FOREIGN /* the export came back with other content: it is not written to any more */
};

enum backing_state backing_get_state(const struct backing *backing);

/* Begin to write again after a failure, and to clean. */
void backing_retry(struct backing *backing);

/* Bytes and numbers since it was opened, but for those of now. Each is exact by itself. */
struct backing_stats {
	enum backing_state state;
	int error;			/* of the write that failed last; 0: none did */
	bool direct;			/* past the page cache */
	bool io_uring;			/* else threads, or an export */
	uint64_t segment_size;		/* bytes */
	uint64_t segments, free;	/* now */
	uint64_t live;			/* bytes of objects with their records, now */
	uint64_t objects, payload;	/* written, also by cleaning; bytes of their payloads */
	uint64_t bytes_written;		/* for them: records, rounding, all of it */
	uint64_t reads, bytes_read;	/* objects; bytes of sectors; not those of cleaning */
	uint64_t read_requests;		/* for them, of the disk or export; also such as failed */
	uint64_t cleaned, moved;	/* segments; objects */
	uint64_t failed_writes;		/* segments */
	uint64_t failed_reads, damaged; /* objects that could not be read; wrong checksums */
	uint64_t reconnects;
};

void backing_get_stats(struct backing *backing, struct backing_stats *ret_stats);

/*
 * Check the invariants of types.h. LIVE bytes: what all slots name, records included, or
 * UINT64_MAX: not known. Nobody may be at work. 0, or -EUCLEAN and a constant that says what is
 * wrong.
 */
int backing_validate(struct backing *backing, uint64_t live, const char **ret_error);

/* Bytes of the store that an object of LEN bytes takes. */
size_t backing_record_size(size_t len);

#endif
