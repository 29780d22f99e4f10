/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "codec/codec.h"
#include "image/format.h"

struct image_writer {
	image_write_fn *fn;
	void *opaque;
	struct image_header header;
	struct image_counts counts;
	struct image_record run; /* that is growing; of no pages: none is */
	struct image_block block;
	uint8_t content[IMAGE_BLOCK_MAX]; /* right behind the block */
};

_Static_assert(offsetof(struct image_writer, content) ==
		       offsetof(struct image_writer, block) + sizeof(struct image_block),
	       "the content follows the block");

static int make_id(uint64_t *ret_id)
{
	ssize_t n;

	do
		n = getrandom(ret_id, sizeof(*ret_id), 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof(*ret_id) ? 0 : -EIO;
}

int image_writer_new(const struct image_info *info, image_write_fn *fn, void *opaque,
		     struct image_writer **ret_writer)
{
	struct image_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->fn = fn;
	w->opaque = opaque;
	w->header = (struct image_header){
		.magic = IMAGE_MAGIC,
		.version = IMAGE_VERSION,
		.page_size = CODEC_PAGE_SIZE,
		.size = info->size,
		.encodings = info->encodings,
	};
	memcpy(w->header.uuid, info->uuid, sizeof(w->header.uuid));
	r = make_id(&w->header.id);
	w->header.checksum = image_header_checksum(&w->header);
	if (r == 0)
		r = fn(opaque, &w->header, sizeof(w->header));
	if (r < 0)
		image_writer_free(w);
	else
		*ret_writer = w;
	return r;
}

void image_writer_free(struct image_writer *w)
{
	free(w);
}

static int put_block(struct image_writer *w, enum image_block_kind kind)
{
	int r;

	w->block.kind = kind;
	w->block.checksum = image_block_checksum(&w->header, &w->block);
	r = w->fn(w->opaque, &w->block, sizeof(w->block) + w->block.length);
	w->block.number++;
	w->block.length = 0;
	return r;
}

static void append(struct image_writer *w, const void *data, size_t n)
{
	memcpy(w->content + w->block.length, data, n);
	w->block.length += (uint32_t)n;
}

static int put_record(struct image_writer *w, const struct image_record *record, const void *data,
		      size_t n)
{
	const struct image_record_header header = {
		.page = (uint32_t)record->page,
		.length = (uint16_t)n,
		.kind = (uint8_t)record->kind,
		.encoding = record->encoding,
	};
	int r = 0;

	if (w->block.length + sizeof(header) + n > IMAGE_BLOCK_MAX)
		r = put_block(w, IMAGE_BLOCK_RECORDS);
	if (r < 0)
		return r;
	append(w, &header, sizeof(header));
	append(w, data, n);
	return 0;
}

static int put_run(struct image_writer *w)
{
	const struct image_run run = {.word = w->run.word, .count = w->run.count};
	int r = run.count > 0 ? put_record(w, &w->run, &run, sizeof(run)) : 0;

	w->run.count = 0;
	return r;
}

int image_put_object(struct image_writer *w, uint64_t page, uint8_t encoding, const void *payload,
		     size_t len)
{
	const struct image_record record = {
		.kind = IMAGE_OBJECT, .page = page, .encoding = encoding};
	int r = put_run(w);

	w->counts.objects++;
	w->counts.payload += len;
	return r < 0 ? r : put_record(w, &record, payload, len);
}

static int put_page(struct image_writer *w, enum image_kind kind, uint64_t page, uint64_t word)
{
	bool grows = w->run.count > 0 && w->run.kind == kind && w->run.word == word &&
		     w->run.page + w->run.count == page;
	int r = grows ? 0 : put_run(w);

	if (!grows)
		w->run = (struct image_record){.kind = kind, .page = page, .word = word};
	w->run.count++;
	return r;
}

int image_put_same(struct image_writer *w, uint64_t page, uint64_t word)
{
	w->counts.same++;
	return put_page(w, IMAGE_SAME, page, word);
}

int image_put_damaged(struct image_writer *w, uint64_t page)
{
	w->counts.damaged++;
	return put_page(w, IMAGE_DAMAGED, page, 0);
}

int image_writer_end(struct image_writer *w, struct image_counts *ret_counts)
{
	int r = put_run(w);

	if (r == 0 && w->block.length > 0)
		r = put_block(w, IMAGE_BLOCK_RECORDS);
	if (r < 0)
		return r;
	append(w, &w->counts, sizeof(w->counts));
	*ret_counts = w->counts;
	return put_block(w, IMAGE_BLOCK_END);
}
