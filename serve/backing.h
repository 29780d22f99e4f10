/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * backing: with writeback=WHERE, the backing store of the device.
 *
 * What is refused is said in one line (say.h). Without writeback= there is none.
 */
#ifndef ZCRAM_SERVE_BACKING_H
#define ZCRAM_SERVE_BACKING_H

#include "serve/params.h"

/*
 * The device has been made: can it do without a backing store, if none is given? Before the fork. 0 or
 * -1.
 */
int backing_check(const struct params *params, struct device *device);

/*
 * Ahead of backing_start(), before a fork, or while another server has the store open: is it the one that
 * is wanted, and could it be opened, as far as that can be known? And have its memory. Changes nothing for
 * another server. Blocks. 0 or -1.
 */
int backing_await(const struct params *params, struct device *device);

/*
 * In the process that serves: open it, with threads that are as urgent as the caller's. Blocks. 0 or
 * -1, and nothing is lost of what is there.
 */
int backing_start(const struct params *params, struct device *device);

#endif
