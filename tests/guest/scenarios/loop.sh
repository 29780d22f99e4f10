#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: what survival stands on holds for this kernel too: completions of a dead server's
# io_uring, holes in shared memory and mincore, System V memory and semaphores that are undone.
# Memory: 512
# Limit: 300
set -e
/usr/lib/zcram-tests/loop-kill 20
/usr/lib/zcram-tests/kill 20 2 0 8
ZCRAM_PLUGIN=$(nbdkit --dump-config | sed -n 's/^plugindir=//p')/nbdkit-zcram-plugin.so
export ZCRAM_PLUGIN ZCRAM_ASK=/usr/lib/zcram-tests/ask
exec bash nbd/pool.sh
