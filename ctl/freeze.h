/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * freeze: keep file systems from being written to, so that what is below them is of one instant.
 *
 * A process of its own freezes them, and thaws them when it is told to, when this one is gone,
 * however it ended, or when it has not been heard of for a while: a machine whose file system stays
 * frozen is worse off than one whose work was broken off.
 */
#ifndef ZCRAM_CTL_FREEZE_H
#define ZCRAM_CTL_FREEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct freeze {
	pid_t keeper; /* 0: nothing is frozen */
	int pipe;     /* to it */
};

/*
 * Freeze what is mounted at POINTS. One that is frozen already, by an earlier mount of these or by
 * somebody else, is left to whoever did it. PATIENCE: milliseconds until it is thawed unheard. Forks,
 * so call it before there are threads, and with SIGPIPE ignored. Blocks until all is written that was to
 * be. All or nothing: -EOPNOTSUPP: a file system cannot be frozen; -EPERM; -E2BIG: too many; -EMFILE,
 * -ENOMEM, -EAGAIN.
 */
int freeze_begin(struct freeze *freeze, char *const *points, size_t count, int patience);

/* Be heard of. Does not block. */
void freeze_stir(struct freeze *freeze);

/* Thaw. False: it was thawed before. All zeros: nothing, and true. */
bool freeze_end(struct freeze *freeze);

#endif
