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
 * The device was made ahead of taking over from another server, which may have the store open: is it the
 * one that is wanted, and could it be opened, as far as that can be known? And have its memory. Changes
 * nothing for the other one. Blocks. 0 or -1.
 */
int backing_await(const struct params *params, struct device *device);

/*
 * The same before a fork, of a device that has nothing in a store; of one that has, backing_start() knows
 * better.
 */
int backing_try(const struct params *params, struct device *device);

/*
 * In the process that serves: open it, with threads that are as urgent as the caller's; or, where it is not
 * to be had, but was the last server's, and pages are in it, go on without (device_seek_backing()). PARAMS
 * stay. Blocks. 0 or -1, and nothing is lost of what is there.
 */
int backing_start(struct params *params, struct device *device);

#endif
