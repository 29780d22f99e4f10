#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Description: --dump-plugin and --help tell all that there is to set, and the defaults.
. "$(dirname "$0")/lib.sh"

layout=$(sed -n 's/^#define DEVICE_STORE_LAYOUT //p' "$(dirname "$0")/../../device/device.h")
nbdkit "$ZCRAM_PLUGIN" --dump-plugin >"$dir/dump"
for key in name=zcram thread_model=parallel errno_is_preserved=1 magic_config_key=size \
	"zcram_version=[0-9.]+" zcram_page_size=4096 "zcram_max_size=[0-9]+" \
	"zcram_min_mem_limit=[0-9]+" "zcram_algorithms=lz4 zstd" \
	"zcram_lz4_levels=1 to [0-9]+" "zcram_zstd_levels=-[0-9]+ to [0-9]+" \
	"zcram_lz4_default_level=[0-9]+" "zcram_zstd_default_level=[0-9]+" \
	"zcram_filters=auto none" "zcram_allocators=zspage zbud" zcram_default_allocator=zspage "zcram_default_algorithm=zstd\(level=1\)" \
	zcram_default_reserve=4194304 zcram_default_filter=auto zcram_default_compact=auto \
	zcram_default_recompress_age=15m zcram_default_recompress_cpu=10 \
	zcram_default_lock=auto zcram_default_pool_at_exit=remove "zcram_pool_layout=$layout" \
	zcram_control_version=1; do
	grep -qxE "$key" "$dir/dump" || fail "--dump-plugin does not say $key: $(cat "$dir/dump")"
done

nbdkit "$ZCRAM_PLUGIN" --help >"$dir/help"
for parameter in size algorithm mem-limit reserve filter compact allocator recompress-age recompress-cpu writeback writeback-size writeback-at writeback-age writeback-limit lock control name pool pool-at-exit; do
	grep -q "^$parameter=" "$dir/help" || fail "--help does not say $parameter"
done
