/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sample: pages drawn at random from processes' memory or from a file, each with the same chance.
 *
 * Sources are added one after the other: each is looked through, and of all the pages seen so far
 * up to CAPACITY are chosen. Then the chosen ones are read. Pages of a process that are gone by
 * then are left out.
 */
#ifndef ZCRAM_CTL_SAMPLE_H
#define ZCRAM_CTL_SAMPLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ctl/progress.h"

struct sample;

struct sample_counts {
	uint64_t processes;  /* that had pages */
	uint64_t unreadable; /* processes that the caller may not read */
	uint64_t seen;	     /* pages there are */
	uint64_t swapped;    /* and others that are swapped out, and left alone */
};

/* A sample of at most CAPACITY pages, at least 1. -ENOMEM. */
int sample_new(size_t capacity, struct progress *progress, struct sample **ret_sample);
void sample_free(struct sample *sample);

/* -ESRCH, -EACCES, ... as procmem_open(), and -ENOMEM. */
int sample_add_process(struct sample *sample, pid_t pid);

/* All processes but the caller; those that cannot be read are counted. */
int sample_add_system(struct sample *sample);

/* The whole pages of a file or block device, kept open. What open() says; -ESPIPE: it is no file. */
int sample_add_file(struct sample *sample, const char *path);

/*
 * Read what was chosen. Returns 0, or -EIO when a file cannot be read; *ret_pages stay the sample's,
 * *ret_count of them, which is 0 where there is nothing.
 */
int sample_read(struct sample *sample, const unsigned char **ret_pages, size_t *ret_count);

void sample_get_counts(const struct sample *sample, struct sample_counts *ret_counts);

#endif
