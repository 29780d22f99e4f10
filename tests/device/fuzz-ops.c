/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: any bytes are a list of operations on a small device, which must equal an array.
 *
 * The first byte chooses the device, each operation takes seven more: what to do, where, how much,
 * and with what content. An operation that the bytes do not suffice for ends the list.
 */
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "tests/lib/check.h"
#include "tests/lib/content.h"
#include "tests/lib/model.h"
#include "tests/lib/replay.h"
#include "tests/lib/rng.h"

#define PAGE	  DEVICE_PAGE_SIZE
#define PAGES	  600
#define MAX_COUNT (20 * PAGE)

struct operation {
	uint8_t what;
	uint8_t offset[2], count[2]; /* little-endian */
	uint8_t kind, seed;
};

static struct device *device_of(uint8_t choice)
{
	struct device_options options = {.size = PAGES * PAGE - (choice >> 4) * 273, .streams = 1};
	struct device *device;
	int err;

	CHECK(codec_method_init(&options.method, choice & 1 ? "zstd" : "lz4", NULL) == 0, "codec");
	options.method.filter = choice & 2 ? CODEC_FILTER_AUTO : CODEC_FILTER_NONE;
	options.allocator = choice & 8 ? ZS_ZBUD : ZS_ZSPAGE;
	if (choice & 4)
		options.mem_limit = device_min_limit();
	err = device_new(&options, &device);
	CHECK(err == 0, "device_new: %d", err);
	return device;
}

/* Scaled to the device: a quarter of the values are page borders, or lengths of whole pages. */
static uint64_t scaled(const uint8_t bytes[2], uint64_t bound)
{
	uint64_t value = bytes[0] | (uint64_t)bytes[1] << 8;

	if (value % 4 == 0)
		return value / 4 * PAGE % bound;
	return value * bound >> 16;
}

/* Some of the pages, or those that the operation before has left idle. */
static void recompress(struct device *device, const struct operation *op)
{
	struct device_recompress order = {
		.type = (enum device_cold_type)(op->seed % 4),
		.max_pages = op->count[0],
		.has_method = true,
	};
	struct device_recompressed done;
	uint64_t idle;
	int level = op->kind % 3;

	CHECK(codec_method_init(&order.method, op->seed & 4 ? "lz4" : "zstd",
				level ? &level : NULL) == 0,
	      "codec");
	CHECK(device_recompress(device, &order, &done) == 0, "recompress");
	CHECK(device_idle(device, op->offset[0] & 1, &idle) == 0, "idle");
}

static void run_operation(struct model *model, const struct operation *op)
{
	static uint8_t buf[MAX_COUNT];
	uint64_t offset = scaled(op->offset, model->size);
	uint64_t count = scaled(op->count, MAX_COUNT);
	struct rng rng = rng_make(op->seed);

	if (count > model->size - offset)
		count = model->size - offset;
	switch (op->what % 8) {
	case 0:
	case 1:
	case 2:
		content_fill(&rng, op->kind % CONTENT_KINDS, buf, count);
		model_write(model, buf, offset, count);
		break;
	case 3:
		model_read(model, offset, count);
		break;
	case 4:
		model_trim(model, offset, count);
		break;
	case 5:
		model_zero(model, offset, count);
		break;
	case 6:
		model_extents(model, offset, count);
		break;
	case 7:
		if (op->kind % 2)
			recompress(model->device, op);
		else
			CHECK(device_compact(model->device) == 0, "compact");
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct operation op;
	struct model model;

	if (size == 0)
		return 0;
	model_init(&model, device_of(data[0]));
	for (size_t at = 1; size - at >= sizeof(op); at += sizeof(op)) {
		memcpy(&op, data + at, sizeof(op));
		run_operation(&model, &op);
	}
	model_check(&model);
	model_fini(&model);
	return 0;
}
