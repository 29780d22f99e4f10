/* SPDX-License-Identifier: BSD-3-Clause */
/* What each page is, for whoever asks: by the slots' words alone, which are looked at unlocked. */
#include "device/device-types.h"

/*
 * A slot does not say whether trying it has saved anything (slot.h). What is compressed as pages are
 * compressed again, and not as they are written, has become so by it; where the two differ by nothing
 * but the level, that is taken for granted.
 */
static enum device_block_mark mark_of(slot_word word, const struct device_settings *settings)
{
	enum codec_id id = codec_encoding_id(slot_encoding(word));
	bool again =
		codec_encoding_generation(slot_encoding(word)) > 0 || id != settings->method.id;

	if (!slot_tried(word))
		return DEVICE_BLOCK_UNTRIED;
	for (unsigned int i = 0; i < settings->cold.methods_count; i++)
		again |= id == settings->cold.methods[i].id;
	return again && id != CODEC_RAW ? DEVICE_BLOCK_RECOMPRESSED : DEVICE_BLOCK_UNSHRINKABLE;
}

static struct device_block block_of(slot_word word, const struct device_settings *settings)
{
	struct device_block block = {.state = DEVICE_BLOCK_EMPTY};

	switch (slot_state(word)) {
	case SLOT_EMPTY:
		break;
	case SLOT_SAME:
		block.state = DEVICE_BLOCK_SAME;
		break;
	case SLOT_POOL:
		block.state = codec_encoding_id(slot_encoding(word)) == CODEC_RAW
				      ? DEVICE_BLOCK_RAW
				      : DEVICE_BLOCK_POOL;
		block.mark = mark_of(word, settings);
		block.age = (uint8_t)slot_age(word);
		break;
	case SLOT_BACKING:
		block.state = slot_is_backed(word) ? DEVICE_BLOCK_BACKED : DEVICE_BLOCK_DAMAGED;
		break;
	}
	return block;
}

size_t device_get_blocks(struct device *d, uint64_t *from, struct device_block *ret_blocks,
			 size_t count)
{
	struct device_settings settings;
	uint64_t page = *from, end;

	device_get_settings(d, &settings);
	while (page < d->pages && !leaf_ready(d, page))
		page = (page / SLOTS_PER_LEAF + 1) * SLOTS_PER_LEAF;
	*from = min_u64(page, d->pages);
	end = *from + min_u64(count, d->pages - *from);
	for (page = *from; page < end; page++)
		ret_blocks[page - *from] =
			block_of(leaf_ready(d, page) ? slot_peek(&d->slots[page]) : 0, &settings);
	return (size_t)(end - *from);
}
