/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nbd: the transmission phase served from a loop of our own, for the kernel's nbd client, which a
 * SIGKILL of the server does not cut off.
 *
 * A *keeper of descriptors*, another process, makes a region of shared memory and a ring for each
 * connection (nbd_loop_prepare), and holds the ring and the server's end of the socket, so that the
 * client never sees a dead connection. Any server that has the three goes on where the last one
 * stopped, whether that was killed (region.h, ring.h) or asked to hand over. docs/loop.md.
 *
 * One loop serves one connection: one thread, that of nbd_loop_run(), receives, parses and replies;
 * workers execute. Work that does not block for long, the loop's thread may do itself, when asked
 * to (options). A read never waits for a write: one worker never takes any, where there are two.
 *
 * Locks: struct work's lock (work.h), which is held for a few instructions; no op but is_slow is
 * called with it. All else of a loop is its thread's, but for an entry while a worker has it.
 *
 * Returns are 0 or a negative errno; nothing here logs. Nothing allocates after nbd_loop_new(), but
 * the kernel for what it sends; all memory has been touched by then.
 */
#ifndef ZCRAM_NBD_LOOP_H
#define ZCRAM_NBD_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nbd_loop;

#define NBD_WORKERS_MAX 64

/*
 * The device served. All are called from several threads at once, and may block. They return 0 or
 * a negative errno, which the client is told as the nearest that NBD has.
 */
struct nbd_ops {
	int (*read)(void *opaque, void *buf, uint64_t offset, uint32_t count);
	int (*write)(void *opaque, const void *buf, uint64_t offset, uint32_t count);
	int (*trim)(void *opaque, uint64_t offset, uint32_t count);
	int (*zero)(void *opaque, uint64_t offset, uint32_t count);
	int (*flush)(void *opaque);
	/*
	 * Unless NULL: would a read wait for something as slow as a disk? Then a worker does it, however
	 * short it is. A hint; does not block.
	 */
	bool (*is_slow)(void *opaque, uint64_t offset, uint32_t count);
	/* Unless NULL: called first of all in each worker, such as to touch its stack. */
	void (*begin_thread)(void *opaque);
};

struct nbd_loop_options {
	void *region; /* page aligned; shared, and prefaulted by the caller */
	size_t region_size;
	int ring, socket; /* stay the caller's, open until nbd_loop_free() */
	uint64_t size;	  /* of the device, bytes */
	const struct nbd_ops *ops;
	void *opaque;
	unsigned int workers; /* 0: nbd_loop_default_workers(); at most NBD_WORKERS_MAX */
	/* Bytes of a request at most that the loop's thread may execute; 0: none. While it does,
	   nothing else is received or answered. */
	uint32_t inline_read, inline_write;
	/*
	 * Milliseconds that pass before each answer that refuses a write with -ENOSPC; 0: none. A kernel
	 * that swaps would send the next one at once, thousands in a second. Meanwhile such a write takes
	 * no worker, and no room for data.
	 */
	unsigned int refusal_pace_ms;
};

/*
 * Bytes of a region with room for DATA bytes of requests under way, of which each may have as many
 * as are given here. The connection is not read further while there is none free.
 */
size_t nbd_loop_region_size(size_t data);

/*
 * What a request should not have more bytes than: larger ones would leave room for fewer writes, which is slower
 * where they are short, and swap makes them of 32 KiB on the average.
 */
#define NBD_LOOP_REQUEST (64u << 10)

/*
 * How many writes, of NBD_LOOP_REQUEST bytes at most, always find room in such a region: a device may hold
 * writes for long, and a client that has no more of them under way at a time is read on meanwhile, so that
 * a read waits for none of them. 0: the region is too small for that.
 */
unsigned int nbd_loop_writes(size_t data);

/*
 * For the keeper: make a new region of SIZE bytes at REGION, for a connection that nothing has been
 * read from, and its ring, close-on-exec. A ring cannot be sent over a socket (the kernel refuses
 * it since 6.7, 6.6.7 and 6.1.68): it is inherited, or taken by pidfd_getfd(2).
 * -EINVAL: SIZE is not what nbd_loop_region_size() gave; -EPERM, -ENOSYS: no io_uring here; -ENOMEM.
 */
int nbd_loop_prepare(void *region, size_t size, int *ret_ring);

/* Workers that a loop starts when none are asked for. */
unsigned int nbd_loop_default_workers(void);

/*
 * A loop on a region, fresh or another server's, who is dead or has returned from nbd_loop_run().
 * Starts the workers, which wait. Allocates. -EINVAL: an option is out of range; -EUCLEAN: the
 * region is not one that can be gone on with, in ret_why (a constant) why not: begin a new
 * connection; -EBUSY: its last server is at work; -EAGAIN, -ENOMEM.
 */
int nbd_loop_new(const struct nbd_loop_options *options, struct nbd_loop **ret_loop,
		 const char **ret_why);

/* NULL is fine. Not while nbd_loop_run() runs. */
void nbd_loop_free(struct nbd_loop *loop);

enum nbd_loop_end {
	NBD_LOOP_STOPPED, /* by nbd_loop_stop(): a successor can go on */
	NBD_LOOP_CLOSED,  /* the client has disconnected */
};

/*
 * Serve until the end, of which there are the two kinds above. -EPROTO: the client has said what is
 * no NBD; another negative errno: the socket or the ring is out of order. After an error, shut the
 * socket down and begin a new connection.
 */
int nbd_loop_run(struct nbd_loop *loop);

/*
 * For a planned handover: receive no more, finish what has been received wholly, send what the
 * socket takes without waiting, and return from nbd_loop_run(). Replies that it does not take, and
 * a request of which a part has come, are the successor's. May be called from any thread and from
 * a signal handler.
 */
void nbd_loop_stop(struct nbd_loop *loop);

/* Of the connection, whoever served it. Exact only while nobody serves. */
struct nbd_loop_stats {
	uint64_t requests;	 /* received; a kill may have one counted twice */
	uint64_t takeovers;	 /* servers after the first */
	uint64_t repeated;	 /* requests that a successor executed, perhaps not the first to */
	uint64_t stalls;	 /* times that there was no room for a request */
	uint64_t longest_gap_ns; /* between the last sign of a server and its successor's start */
};

/* REGION: as prepared, and mapped by whoever asks. */
void nbd_loop_get_stats(const void *region, struct nbd_loop_stats *ret_stats);

#endif
