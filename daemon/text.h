/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * text: what a server is made of, kept in memory for the next one: its program and its libraries.
 *
 * A server has locked what it has touched of them. That ends with it, and on a starved machine the kernel has it
 * back at once. The next one would have to read it from a disk; and a page that is being read is locked, by whoever
 * asked for it first. That one may well have been made to swap out, for the next page that it reads ahead, and wait
 * for the very server that needs the first.
 *
 * So zcramd, all of whose memory is locked (protect.h), maps the same parts of the same files. They are the same
 * pages: while a server lives this takes no memory but page tables and what the server has not touched.
 * A file that is mapped is not forgotten either: its inode and the directories above it stay in the kernel's caches.
 * Symbolic links that lead to it need not.
 */
#ifndef ZCRAM_DAEMON_TEXT_H
#define ZCRAM_DAEMON_TEXT_H

#include <stddef.h>
#include <sys/types.h>

/* More is not kept: files; bytes of them all, such as a library's tables that a start hardly looks at. */
#define TEXT_FILES 48
#define TEXT_MAX   ((size_t)16 << 20)

struct text_file {
	dev_t device;
	ino_t inode;
	size_t start, size; /* bytes, whole pages */
	void *memory;
};

/* All zeros: nothing is kept. */
struct text {
	struct text_file files[TEXT_FILES];
	size_t count;
	size_t size; /* of all */
};

/*
 * Keep what is in memory of the files that process PID has mapped privately, as they stand by their names now, and
 * of the cache that the dynamic linker finds libraries by; and no longer what was kept before and is not among
 * them. What cannot be had is not kept; what was kept before stays if the process has ended. Allocates, and waits
 * for a disk only where what was in memory has just ceased to be.
 */
void text_keep(struct text *text, pid_t pid);

/* Keep nothing. */
void text_drop(struct text *text);

#endif
