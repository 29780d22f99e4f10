#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: swap as zcramd makes it is used for 2.5 times the machine's memory: no byte is wrong,
# nothing of the server is read in or swapped meanwhile, and it stops as ever.
# Memory: 256
# Limit: 590
# shellcheck source=SCRIPTDIR/../lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=SCRIPTDIR/../zcramd.sh
. "$(dirname "$0")/zcramd.sh"

conf '[zcram0]' 'zram-size = 1024'
start
faults=$(major_faults)
swapload 640 4 1
equal "major faults of the server" $(($(major_faults) - faults)) 0
equal "VmSwap of the server" "$(status VmSwap)" 0
equal "VmSwap of zcramd" "$(awk '$1 == "VmSwap:" { print $2 }' "/proc/$zcramd/status")" 0
stop_zcramd
nothing_left
