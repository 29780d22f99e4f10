#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# zcramd-kill.sh PROGRAM SOURCES KILLS SEED: find the labels of all steps in zcramd's sources, and have the
# program kill it at each. So a new one that is not reached makes the test fail.
set -euo pipefail
program=$(realpath "$1") sources=$2 kills=$3 seed=$4
cd "$sources"

mapfile -t labels < <(grep -rhoP --include='*.c' '\bSTEP\("\K[^"]+(?="\))' daemon | sort)
exec "$program" "$kills" "$seed" "${labels[@]}"
