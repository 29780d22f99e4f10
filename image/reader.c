/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A block is read whole and its checksum compared before a record of it is looked at; and since a
 * checksum is no proof of who wrote it, every number in it is checked all the same.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "common/util.h"
#include "image/format.h"
#include "image/internal.h"

struct image_reader {
	image_read_fn *fn;
	void *opaque;
	uint64_t bytes;
	const char *why;
	struct image_info info;
	struct image_counts counts;
	struct image_header header;
	uint64_t pages;	      /* of the device */
	uint64_t next_page;   /* the least that a record may have */
	uint64_t next_number; /* of the next block */
	size_t at;	      /* the next record in the content */
	struct image_block block;
	uint8_t content[IMAGE_BLOCK_MAX]; /* right behind the block */
};

_Static_assert(offsetof(struct image_reader, content) ==
		       offsetof(struct image_reader, block) + sizeof(struct image_block),
	       "the content follows the block");

static int refuse(struct image_reader *reader, int r, const char *why)
{
	reader->why = why;
	return r;
}

int image_damaged(struct image_reader *reader, const char *why)
{
	return refuse(reader, -EBADMSG, why);
}

static int read_all(struct image_reader *reader, void *data, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = reader->fn(reader->opaque, (uint8_t *)data + done, n - done);

		if (got < 0)
			return (int)got;
		if (got == 0)
			return refuse(reader, -ENODATA, "truncated: it ends too early");
		done += (size_t)got;
		reader->bytes += (size_t)got;
	}
	return 0;
}

static int check_header(struct image_reader *reader)
{
	const struct image_header *h = &reader->header;

	if (h->magic != IMAGE_MAGIC)
		return refuse(reader, -EPROTO, "not an image of zcram's");
	if (h->checksum != image_header_checksum(h))
		return image_damaged(reader, "damaged: the checksum of its header is wrong");
	if (h->version != IMAGE_VERSION)
		return refuse(reader, -EPROTO,
			      "of another version of the format than this zcram's, which is 1");
	if (h->page_size != CODEC_PAGE_SIZE || h->zero != 0)
		return refuse(reader, -EPROTO, "of another page size than this zcram's");
	if ((h->encodings & ~codec_plain_encodings()) != 0)
		return refuse(reader, -EPROTO,
			      "its pages may be encoded as this zcram cannot decode them");
	/* Pages have 32 bits. */
	if (h->size == 0 || h->size > (uint64_t)UINT32_MAX * CODEC_PAGE_SIZE)
		return refuse(reader, -EPROTO, "of a size that no device has");
	return 0;
}

int image_reader_new(image_read_fn *fn, void *opaque, struct image_reader **ret_reader)
{
	struct image_reader *reader = calloc(1, sizeof(*reader));
	int r;

	*ret_reader = reader;
	if (!reader)
		return -ENOMEM;
	reader->fn = fn;
	reader->opaque = opaque;
	r = read_all(reader, &reader->header, sizeof(reader->header));
	if (r == -ENODATA && reader->header.magic != IMAGE_MAGIC)
		return refuse(reader, -EPROTO, "not an image of zcram's");
	if (r == 0)
		r = check_header(reader);
	if (r < 0)
		return r;
	reader->pages = div_round_up(reader->header.size, CODEC_PAGE_SIZE);
	reader->info.size = reader->header.size;
	reader->info.encodings = reader->header.encodings;
	memcpy(reader->info.uuid, reader->header.uuid, sizeof(reader->info.uuid));
	return 0;
}

void image_reader_free(struct image_reader *reader)
{
	free(reader);
}

const struct image_info *image_reader_info(const struct image_reader *reader)
{
	return &reader->info;
}

const struct image_counts *image_reader_counts(const struct image_reader *reader)
{
	return &reader->counts;
}

uint64_t image_reader_bytes(const struct image_reader *reader)
{
	return reader->bytes;
}

const char *image_reader_why(const struct image_reader *reader)
{
	return reader->why;
}

static int read_block(struct image_reader *reader)
{
	struct image_block *block = &reader->block;
	int r = read_all(reader, block, sizeof(*block));

	reader->at = 0;
	if (r < 0)
		return r;
	/* Before it is read: there is no room for a longer one. */
	if (block->length == 0 || block->length > IMAGE_BLOCK_MAX)
		return image_damaged(reader, "damaged: a block has a length that none can have");
	r = read_all(reader, reader->content, block->length);
	if (r < 0)
		return r;
	if (block->checksum != image_block_checksum(&reader->header, block))
		return image_damaged(reader, "damaged: the checksum of a block is wrong");
	if (block->number != reader->next_number++)
		return image_damaged(reader, "damaged: blocks are missing, or not in order");
	return 0;
}

/* 0: it is the end, and all there is. */
static int check_end(struct image_reader *reader)
{
	uint8_t more;
	ssize_t n;

	if (reader->block.length != sizeof(reader->counts) ||
	    memcmp(reader->content, &reader->counts, sizeof(reader->counts)) != 0)
		return image_damaged(reader, "damaged: it has not as many pages as it says");
	n = reader->fn(reader->opaque, &more, 1);
	if (n > 0)
		return image_damaged(reader, "damaged: something follows its end");
	return (int)n;
}

static int check_object(struct image_reader *reader, struct image_record *record)
{
	bool raw = record->encoding == CODEC_RAW;

	if (record->encoding >= 32 || !(reader->header.encodings >> record->encoding & 1))
		return image_damaged(reader, "damaged: a page has an encoding that none can have");
	if (record->len == 0 || raw != (record->len == CODEC_PAGE_SIZE) ||
	    record->len > CODEC_PAGE_SIZE)
		return image_damaged(reader, "damaged: a page has a length that none can have");
	record->count = 1;
	reader->counts.objects++;
	reader->counts.payload += record->len;
	return 0;
}

static int check_run(struct image_reader *reader, struct image_record *record)
{
	struct image_run run;

	if (record->len != sizeof(run) || record->encoding != 0)
		return image_damaged(reader, "damaged: a record has a length that none can have");
	memcpy(&run, record->payload, sizeof(run));
	record->word = run.word;
	record->count = run.count;
	if (record->kind == IMAGE_SAME)
		reader->counts.same += run.count;
	else
		reader->counts.damaged += run.count;
	return 0;
}

static int check_record(struct image_reader *reader, struct image_record *record)
{
	int r;

	switch (record->kind) {
	case IMAGE_OBJECT:
		r = check_object(reader, record);
		break;
	case IMAGE_SAME:
	case IMAGE_DAMAGED:
		r = check_run(reader, record);
		break;
	default:
		return image_damaged(reader, "damaged: a record is of no known kind");
	}
	if (r < 0)
		return r;
	if (record->page < reader->next_page || record->page >= reader->pages ||
	    record->count == 0 || record->count > reader->pages - record->page)
		return image_damaged(reader,
				     "damaged: pages are outside the device, or not in order");
	reader->next_page = record->page + record->count;
	return 1;
}

int image_next(struct image_reader *reader, struct image_record *ret_record)
{
	struct image_record_header header;
	size_t left;

	if (reader->at == reader->block.length) {
		int r = read_block(reader);

		if (r < 0)
			return r;
		if (reader->block.kind == IMAGE_BLOCK_END)
			return check_end(reader);
		if (reader->block.kind != IMAGE_BLOCK_RECORDS)
			return image_damaged(reader, "damaged: a block is of no known kind");
	}
	left = reader->block.length - reader->at;
	if (left >= sizeof(header))
		memcpy(&header, reader->content + reader->at, sizeof(header));
	if (left < sizeof(header) || left - sizeof(header) < header.length)
		return image_damaged(reader, "damaged: a record is longer than its block");
	*ret_record = (struct image_record){
		.kind = header.kind,
		.page = header.page,
		.encoding = header.encoding,
		.payload = reader->content + reader->at + sizeof(header),
		.len = header.length,
	};
	reader->at += sizeof(header) + header.length;
	return check_record(reader, ret_record);
}
