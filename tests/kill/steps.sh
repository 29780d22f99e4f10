#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# steps.sh PROGRAM SOURCES KILLS SEED: find the labels of all steps in the sources, and have the
# program kill at each. So a new one that no load reaches makes the test fail.
set -euo pipefail
program=$(realpath "$1") sources=$2 kills=$3 seed=$4
cd "$sources"

rooms=(common allocator codec device)
calls=$(grep -rho --include='*.c' --include='*.h' --exclude=step.h '\bSTEP(' "${rooms[@]}" | wc -l)
mapfile -t labels < <(grep -rhoP --include='*.c' --include='*.h' --exclude=step.h '\bSTEP\("\K[^"]+(?="\))' "${rooms[@]}" | sort)

if [ "${#labels[@]}" -ne "$calls" ]; then
	echo "steps.sh: a step whose label is no literal: $calls steps, ${#labels[@]} labels" >&2
	exit 1
fi
twice=$(printf '%s\n' "${labels[@]}" | uniq -d)
if [ -n "$twice" ]; then
	printf 'steps.sh: a label that stands in two places: %s\n' "$twice" >&2
	exit 1
fi
exec "$program" "$kills" "$seed" "${labels[@]}"
