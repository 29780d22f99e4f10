#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: bash completes commands, options, devices, columns and keys; what it knows of them is
# what zcramctl itself knows.
. "$(dirname "$0")/lib.sh"
: "${ZCRAM_COMPLETION:?the path of the completion that is to be tested}"
set +E # compgen fails where it finds nothing
# shellcheck disable=SC1090 # the file under test
. "$ZCRAM_COMPLETION"

mkdir -p "$run/zcram0" "$run/other" "$run/empty" "$run/away"
touch "$run/zcram0/control" "$run/other/control" "$run/away/zcramd"

# completed EXPECTED WORD...: the words that the last one is completed to, sorted
completed() {
	local expected=$1

	shift
	COMP_WORDS=(zcramctl "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_zcramctl
	equal "completion of $*" "$(printf '%s\n' "${COMPREPLY[@]}" | sort | xargs)" "$expected"
}

completed "save set stat" s
completed "zcram0" zc
completed "--bytes" --b
completed "--json" stat --j
completed "away other zcram0" stat ''
completed "mm_stat" stat --zram m
completed "other" compact o
completed "algorithm= compact= filter= mem-limit= recompress-age= recompress-cpu= writeback-age= writeback-at= writeback-limit=" 'set' zcram0 ''
completed "filter=" 'set' zcram0 f
completed "auto none" 'set' zcram0 filter =
completed "none" 'set' zcram0 filter = n
completed "auto off" 'set' zcram0 mem-limit = 1G compact = ''
completed "algo= max_pages= threshold= type=" recompress zcram0 ''
completed "huge huge_idle" recompress zcram0 type = h
completed "max_pages= page_index= page_indexes= threshold= type=" writeback zcram0 ''
completed "huge huge_idle" writeback zcram0 type = h
completed "all" idle zcram0 ''
completed "MEM-LIMIT MEM-USED" list -o mem
completed "NAME,MEM-USED" list -o NAME,mem-u
completed "NAME,MIGRATED" list --output NAME,MI
completed "+STATE,DATA" -o +STATE,DA
completed "MEM-USED,MEM-LIMIT" list -o MEM-USED,MEM
completed "estimate" help e
completed "--count" top --c
completed "" list -o NOTHING

# Nothing is missing, and nothing is there that zcramctl does not have.
words() {
	COMP_WORDS=(zcramctl "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_zcramctl
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

equal "columns" "$(words list -o '')" \
	"$(ctl list --help | sed -n '/^Columns:/,$p' | awk 'NR > 1 { print $1 }' | sort)"
equal "commands" "$(words help '')" \
	"$(ctl help | awk '/^  [a-z]/ { print $1 }' | sort)"
for command in $(words help ''); do
	equal "options of $command" "$(words "$command" --)" \
		"$(ctl help "$command" | grep -oE -- '^ +(-.,)? +--[a-z-]+' | grep -o -- '--.*' | sort)"
done
