/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lock: what keeps a server of swap from waiting for itself.
 *
 * Locked memory is never swapped out onto the very device that it serves; a thread marked with
 * PR_SET_IO_FLUSHER never waits, when the kernel looks for memory, for pages that the device would
 * have to write. What it cannot do without is memory in the kernel for its replies: a thread of a
 * real-time policy may take of what the kernel holds back from others, and that is what it is for.
 * Mark and policy are a thread's own and are inherited by the threads that it creates; the lock is
 * the process's, and is not inherited by fork.
 */
#ifndef ZCRAM_LOCK_H
#define ZCRAM_LOCK_H

#include <stdbool.h>
#include <stddef.h>

struct lock_result {
	int memory;	/* 0, or a negative errno: why memory is not locked */
	int io_flusher; /* 0, or a negative errno: why the calling thread is not marked */
	int urgent;	/* 0, or a negative errno: why it has no real-time policy */
};

/*
 * Lock all memory, now and to come, as it is touched; mark the calling thread, and give it the lowest
 * priority of a real-time policy. Each is done where it can be, whatever becomes of the others.
 */
struct lock_result lock_apply(void);

/* Undo lock_apply(). */
void lock_undo(void);

bool lock_is_complete(const struct lock_result *result);
bool lock_result_equal(const struct lock_result *a, const struct lock_result *b);

#define LOCK_TEXT_SIZE 384

/* Write to TEXT, SIZE bytes, what an incomplete result lacks, why, and what would help. */
void lock_describe(const struct lock_result *result, char *text, size_t size);

/*
 * See to it that malloc() never asks the kernel for less than much at a time, nor gives anything back:
 * both would take the lock of the address space, and wait behind whoever has it.
 */
void lock_prepare_heap(void);

/*
 * The same, and have memory ahead for the threads that are created from now on, where memory is locked:
 * give them small stacks.
 */
void lock_prepare_threads(void);

/*
 * Touch all code, and constants, that requests run through, so that with memory locked none of it
 * is ever read from a disk again: not in the middle of a request, and not for the first time then.
 */
void lock_touch_code(void);

/*
 * Touch the calling thread's stack as deep as a request goes, once a thread: a page fault on the
 * I/O path asks for memory when there may be none.
 */
void lock_touch_stack(void);

#endif
