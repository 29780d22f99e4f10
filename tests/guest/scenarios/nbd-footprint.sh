#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: the NBD test of what an idle server holds, all of it locked.
# Memory: 512
# Kernels: 6.12
export ZCRAM_HOLD=/usr/lib/zcram-tests/hold
ZCRAM_PLUGIN=$(nbdkit --dump-config | sed -n 's/^plugindir=//p')/nbdkit-zcram-plugin.so
export ZCRAM_PLUGIN
nbdkit -f -U - zcram size=4M lock=on --run true || exit 1
exec bash nbd/footprint.sh
