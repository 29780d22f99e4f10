/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: whatever an image is made of, it is refused with a line that says why, or restored to a
 * device that can be read, validated and saved again; and what is refused leaves the device empty, or
 * as it was.
 *
 * The first byte says what the others are: changes to an image that is sound, eight bytes each, or
 * records. Mostly the checksums are made right behind them, for no fuzzer would.
 */
#include <errno.h>

#include "device/device-types.h"
#include "device/save.h"
#include "tests/image/sink.h"
#include "tests/lib/check.h"
#include "tests/lib/content.h"
#include "tests/lib/replay.h"

#define PAGE  ((size_t)DEVICE_PAGE_SIZE)
#define PAGES 60
#define SIZE  (PAGES * PAGE - 273)

/* So that something is left that can be restored. */
#define MAX_CHANGES 4

struct change {
	uint8_t offset[3], how;
	uint8_t value[4];
};

static struct {
	struct device *device; /* that images are restored to */
	struct sink sound;
	uint8_t content[PAGE]; /* of its page 1 before */
} world;

static struct device *device_make(void)
{
	struct device_options options = {.size = SIZE, .streams = 1};
	struct device *device = NULL;

	CHECK(codec_method_init(&options.method, "zstd", NULL) == 0, "codec");
	CHECK(device_new(&options, &device) == 0, "device");
	return device;
}

static void setup(void)
{
	struct device *device = device_make();
	struct rng rng = rng_make(1);
	struct image_counts counts;
	uint8_t content[PAGE];

	for (uint64_t page = 0; page < PAGES - 1; page++) {
		content_fill(&rng, page % CONTENT_KINDS, content, PAGE);
		if (page % 7)
			CHECK(device_write(device, content, page * PAGE, PAGE) == 0, "write");
	}
	CHECK(device_save(device, sink_write, &world.sound, &counts) == 0, "save");
	device_free(device);
	content_fill(&rng, CONTENT_TEXT, world.content, PAGE);
	world.device = device_make();
}

/* Bytes that most changes are made to stand where numbers are: headers, and the first records. */
static void apply(struct sink *image, const struct change *c)
{
	uint32_t offset = c->offset[0] | (uint32_t)c->offset[1] << 8 | (uint32_t)c->offset[2] << 16;
	size_t n = 1U << c->how % 3;

	offset %= c->how & 0x80 ? (uint32_t)image->size : 256;
	if (offset + n > image->size)
		return;
	if (c->how & 0x40)
		memcpy(image->bytes + offset, c->value, n);
	else
		for (size_t i = 0; i < n; i++)
			image->bytes[offset + i] ^= c->value[i];
}

static struct sink changed(const uint8_t *data, size_t size, bool cut)
{
	struct sink image = {0};
	struct change change;

	sink_write(&image, world.sound.bytes, world.sound.size);
	for (unsigned int i = 0; i < MAX_CHANGES && size >= sizeof(change);
	     i++, data += sizeof(change), size -= sizeof(change)) {
		memcpy(&change, data, sizeof(change));
		apply(&image, &change);
	}
	if (cut && size > 0)
		image.size -= image.size * data[0] / 256;
	return image;
}

/* The header of the sound image, the records, and the sound one's end. */
static struct sink recorded(const uint8_t *data, size_t size)
{
	const struct image_block block = {.kind = IMAGE_BLOCK_RECORDS, .length = (uint32_t)size};
	size_t end = sizeof(struct image_block) + sizeof(struct image_counts);
	struct sink image = {0};

	sink_write(&image, world.sound.bytes, sizeof(struct image_header));
	sink_write(&image, &block, sizeof(block));
	sink_write(&image, data, size);
	sink_write(&image, world.sound.bytes + world.sound.size - end, end);
	return image;
}

static void validate(void)
{
	const char *why = "";

	CHECK(device_validate(world.device, &why) == 0, "not valid: %s", why);
}

static int verify(struct sink *image)
{
	struct image_reader *reader;
	int r;

	image->at = 0;
	r = image_reader_new(sink_read, image, &reader);
	if (r == 0)
		r = image_verify(reader);
	CHECK(r == 0 || image_reader_why(reader) != NULL, "%d, and no reason", r);
	image_reader_free(reader);
	return r;
}

/* All of it can be read, unless it is damaged, and be saved again. */
static void check_restored(bool sound, const struct image_counts *counts)
{
	struct image_counts again;
	struct sink image = {0};
	uint8_t found[PAGE];
	uint64_t unreadable = 0;

	for (uint64_t page = 0; page < PAGES; page++) {
		int r = device_read(world.device, found, page * PAGE,
				    page == PAGES - 1 ? SIZE % PAGE : PAGE);

		CHECK(r == 0 || r == -EIO, "read: %d", r);
		unreadable += r < 0;
	}
	CHECK(device_save(world.device, sink_write, &image, &again) == 0, "save");
	CHECK(verify(&image) == 0, "what was restored cannot be restored again");
	CHECK(unreadable == again.damaged, "of %u pages %u are saved as damaged",
	      (unsigned int)unreadable, (unsigned int)again.damaged);
	CHECK(!sound || (counts->objects == again.objects && counts->same == again.same &&
			 counts->payload == again.payload && counts->damaged == again.damaged),
	      "other counts");
	sink_free(&image);
}

static void check_refused(const struct device_restored *restored)
{
	struct device_stats stats;
	uint8_t found[PAGE];

	CHECK(restored->why != NULL, "no reason");
	device_get_stats(world.device, &stats);
	if (restored->emptied) {
		CHECK(stats.pages_pool + stats.pages_same + stats.pages_damaged == 0, "not empty");
		return;
	}
	CHECK(device_read(world.device, found, PAGE, PAGE) == 0, "read");
	CHECK(memcmp(found, world.content, PAGE) == 0, "it has changed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct device_restored restored;
	struct sink image;
	bool sound;
	int r;

	if (size == 0)
		return 0;
	if (!world.device)
		setup();
	CHECK(device_write(world.device, world.content, PAGE, PAGE) == 0, "write");
	if (data[0] % 4 == 3)
		image = recorded(data + 1, size - 1);
	else
		image = changed(data + 1, size - 1, data[0] & 4);
	if (data[0] % 4 != 2)
		sink_seal(&image);
	sound = verify(&image) == 0;
	image.at = 0;
	image.piece = data[0] & 8 ? 1000 : 0;
	r = device_restore(world.device, true, sink_read, &image, &restored);
	CHECK(!sound || r == 0 || r == -EINVAL, "it is sound, and refused: %d", r);
	if (r == 0)
		check_restored(sound, &restored.counts);
	else
		check_refused(&restored);
	validate();
	sink_free(&image);
	return 0;
}
