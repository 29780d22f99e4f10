/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * procmem: the memory of running processes: their resident, writable, private anonymous pages,
 * which are the ones that a system swaps out.
 *
 * Works on whatever /proc lets the caller read: as root on all processes, else on one's own. The
 * processes run on: what was resident at the walk may be gone, or other, when it is read.
 */
#ifndef ZCRAM_PROCMEM_H
#define ZCRAM_PROCMEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCMEM_PAGE 4096
/* The longest run of pages that a walk reports at a time. */
#define PROCMEM_RUN 64

struct procmem {
	pid_t pid;
	int pagemap, mem; /* descriptors */
};

/*
 * -ESRCH: no such process; -EACCES, -EPERM: not the caller's to read; -EOPNOTSUPP: pages
 * are not of 4096 bytes here; and what open() says.
 */
int procmem_open(pid_t pid, struct procmem *ret_process);
void procmem_close(struct procmem *process);

/* Called for each run of resident pages, in order of addresses; not 0 ends the walk. */
typedef int procmem_run_fn(void *opaque, uint64_t address, size_t pages);

/*
 * Walk over the process's pages. Returns what FN returned last, 0 also when the process has ended
 * meanwhile, or why /proc/PID/maps cannot be opened. Pages that are swapped out are not reported,
 * but counted in *ret_swapped, unless that is NULL; written in any case.
 */
int procmem_walk(const struct procmem *process, procmem_run_fn *fn, void *opaque,
		 uint64_t *ret_swapped);

/*
 * Read PAGES pages at ADDRESS. Returns the number read, from the first on, which is less, down to
 * 0, where some are gone.
 */
size_t procmem_read(const struct procmem *process, uint64_t address, void *buf, size_t pages);

#endif
