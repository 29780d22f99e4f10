/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * segment: memory with a name that outlives processes: System V shared memory, until it is removed or
 * the machine stops. Unlike a file in /dev/shm it can be kept from being swapped out with nobody
 * attached (SHM_LOCK), and unlike a file descriptor nobody has to hold it.
 *
 * A name makes a key; keys are 32 bits and everybody's, so each segment has a head that says whose it
 * is. A process *claims* a name before it uses its segment: a semaphore of the same key, which the
 * kernel gives back when the process dies however it dies. One process has the claim at a time.
 *
 * Return 0 or a negative errno. A struct segment is one thread's.
 */
#ifndef ZCRAM_SEGMENT_H
#define ZCRAM_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SEGMENT_NAME_SIZE 48 /* with its NUL */

struct segment {
	char name[SEGMENT_NAME_SIZE];
	int key, semaphore, id;
	pid_t claimant; /* the process that has the claim */
	void *head;	/* NULL: not attached */
	void *memory;	/* what is behind it, page aligned */
	uint64_t size;	/* of the memory; a multiple of the page size, at most what is there */
};

/* Is it 1 to 47 of A-Z a-z 0-9 _ . - ? */
bool segment_name_valid(const char *name);

/*
 * Claim a name, waiting MILLISECONDS at most for who has it. -EINVAL: it is none; -EBUSY: another
 * process has it; -EACCES: it is another user's.
 */
int segment_claim(const char *name, int milliseconds, struct segment *ret_segment);

/*
 * After a fork, which the claim does not survive: claim it again for the calling process, once the
 * parent is gone, for which MILLISECONDS are waited. Nothing to do in the process that has it.
 * -EBUSY.
 */
int segment_reclaim(struct segment *segment, int milliseconds);

/*
 * Attach the segment of a name that is to be claimed later, by segment_reclaim(), while another process
 * has it: to be looked at, and not to be changed before that. -EINVAL: it is no name; -ENOENT: there
 * is none; and as segment_attach().
 */
int segment_expect(const char *name, struct segment *ret_segment);

/* Has any process the claim of one that is expected? */
bool segment_is_claimed(const struct segment *segment);

/*
 * Attach the segment of a claimed name. If there is none, make it, all zeros, of SIZE bytes, rounded up
 * to pages; SIZE 0: do not. Its size is the one that it was made with, whatever SIZE is. Mode 0600,
 * left out of core dumps, no huge pages; takes memory only where it is touched.
 * Of one that was attached before it was claimed: see to it that it is still the name's, -ENOENT.
 * -ENOENT: there is none; -EADDRINUSE: the key is used by something else, another name's segment
 * perhaps; -EACCES; -EPROTO: it is shorter than its head; -ENOMEM, -ENOSPC: the kernel allows no more.
 */
int segment_attach(struct segment *segment, uint64_t size, bool *ret_made);

/*
 * Keep it in memory from now on, whether anybody is attached or not. Pages still come as they are
 * touched. -EPERM: it takes CAP_IPC_LOCK; -ENOMEM: or a larger RLIMIT_MEMLOCK.
 */
int segment_lock(const struct segment *segment);

/* Detach, and give the claim back; the segment stays. Also of one that was not attached. */
void segment_close(struct segment *segment);

/* Remove the segment of a claimed name and its memory, and close. -ENOENT: there is none. */
int segment_remove(struct segment *segment);

/* One that is there. */
struct segment_info {
	char name[SEGMENT_NAME_SIZE];
	uint64_t size;	   /* bytes behind the head */
	uint64_t resident; /* bytes of memory it takes, head and all */
	uint64_t swapped;
	uint64_t attached; /* processes */
	uid_t uid;
	pid_t claimant;	    /* 0: nobody */
	const void *memory; /* its content, to be read, until the call returns */
};

/*
 * Call FN for each segment that the caller may read, in no order, until it returns non-zero, which is
 * returned. -ENOENT: the kernel has no System V shared memory, or /proc is not there.
 */
int segment_list(int (*fn)(void *opaque, const struct segment_info *info), void *opaque);

#endif
