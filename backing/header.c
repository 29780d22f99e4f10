/* SPDX-License-Identifier: BSD-3-Clause */
/* The header of a store, by which it is recognised. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "backing/header.h"
#include "backing/types.h"

static const char magic[8] = "zcrambs";

static uint64_t checksum(const struct header *h)
{
	return XXH3_64bits(h, offsetof(struct header, checksum));
}

static bool is_ours(const struct header *h)
{
	return memcmp(h->magic, magic, sizeof(magic)) == 0 && h->checksum == checksum(h);
}

int header_check_recovered(const struct backing *b, const uint8_t uuid[16], char *why)
{
	const struct header *h = b->header;

	if (!is_ours(h))
		return engine_why(why, -ESTALE, "it is no backing store any more");
	if (h->layout != HEADER_LAYOUT)
		return engine_why(why, -ESTALE, "its layout is %u, not %u", h->layout,
				  HEADER_LAYOUT);
	if (memcmp(h->uuid, uuid, sizeof(h->uuid)) != 0)
		return engine_why(why, -ESTALE, "it is the backing store of another pool");
	if (h->segment_size != b->segment_size)
		return engine_why(why, -ESTALE, "its segments have %u bytes, not %u",
				  h->segment_size, b->segment_size);
	if (h->segments > b->nr_segments)
		return engine_why(why, -ESTALE, "it has become smaller");
	return 0;
}

/* May it be written over? Of our own stores nobody misses the content, if it is not in use. A lock
 * says so of a file; of an export only the name of who had it last. */
static int check_foreign(struct backing *b, const char *name, char *why)
{
	const struct header *h = b->header;

	if (!is_ours(h))
		return probe_foreign(b->engine, b->batches[0].buf, b->segment_size, why);
	if (b->engine->remote && strncmp(h->name, name, sizeof(h->name)) != 0)
		return engine_why(why, -EBUSY, "it belongs to \"%.*s\"", (int)sizeof(h->name),
				  h->name);
	return 0;
}

static int make(struct backing *b, const char *name, char *why)
{
	struct header *h = b->header;
	int r;

	memset(h, 0, ENGINE_BLOCK_MAX);
	memcpy(h->magic, magic, sizeof(magic));
	h->layout = HEADER_LAYOUT;
	h->segment_size = b->segment_size;
	h->segments = b->nr_segments;
	snprintf(h->name, sizeof(h->name), "%s", name);
	if (getrandom(h->uuid, sizeof(h->uuid), 0) != (ssize_t)sizeof(h->uuid))
		return engine_why(why, -EIO, "no random numbers");
	h->checksum = checksum(h);
	r = engine_do(b->engine, ENGINE_WRITE, h, ENGINE_BLOCK_MAX, 0);
	if (r == 0)
		r = engine_do(b->engine, ENGINE_FLUSH, h, 0, 0);
	return r < 0 ? engine_why(why, r, "cannot be written: %s", strerror(-r)) : 0;
}

static int read_header(struct backing *b, char *why)
{
	int r = engine_do(b->engine, ENGINE_READ, b->header, ENGINE_BLOCK_MAX, 0);

	return r < 0 ? engine_why(why, r, "cannot be read: %s", strerror(-r)) : 0;
}

static const char *name_of(const struct backing_options *options)
{
	return options->name ? options->name : "";
}

int header_check_new(struct backing *b, const struct backing_options *options, char *why)
{
	int r = read_header(b, why);

	return r < 0 || options->overwrite ? r : check_foreign(b, name_of(options), why);
}

static int recover(struct backing *b, const uint8_t uuid[16], char *why)
{
	int r = read_header(b, why);

	return r < 0 ? r : header_check_recovered(b, uuid, why);
}

static int begin_anew(struct backing *b, const struct backing_options *options, char *why)
{
	int r = header_check_new(b, options, why);

	return r < 0 ? r : make(b, name_of(options), why);
}

int header_open(struct backing *b, const struct backing_options *options, char *why)
{
	int r = options->recover ? recover(b, options->recover, why) : begin_anew(b, options, why);

	if (r < 0)
		return r;
	memcpy(&b->key, b->header->uuid, sizeof(b->key));
	engine_identify(b->engine, b->header);
	return 0;
}

void backing_get_uuid(const struct backing *b, uint8_t ret_uuid[16])
{
	memcpy(ret_uuid, b->header->uuid, sizeof(b->header->uuid));
}
