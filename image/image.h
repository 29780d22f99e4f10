/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * image: the content of a device as bytes that can be kept: docs/image.md has the format.
 *
 * Pages stand in it as they are stored, compressed; whoever reads one is given nothing that its
 * checksum does not vouch for. A writer and a reader belong to one thread at a time. Both allocate
 * when they are made and never again, and block as their callbacks do.
 */
#ifndef ZCRAM_IMAGE_H
#define ZCRAM_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the bytes mean: another number, another meaning. */
#define IMAGE_VERSION 1

struct image_info {
	uint64_t size;	    /* of the device, in bytes */
	uint8_t uuid[16];   /* of its store; zeros: it had none */
	uint32_t encodings; /* those that objects may have: of codec_plain_encodings() */
};

struct image_counts {
	uint64_t objects; /* pages with a payload */
	uint64_t same;	  /* pages of one repeated word */
	uint64_t damaged; /* pages that could not be read when it was made */
	uint64_t payload; /* bytes */
};

/* Take N bytes. 0, or a negative errno, which the writer's call returns. */
typedef int image_write_fn(void *opaque, const void *data, size_t n);

/* Give up to N bytes: how many; 0: there are no more; a negative errno. */
typedef ssize_t image_read_fn(void *opaque, void *data, size_t n);

struct image_writer;

/* Begin an image of a device with INFO. -ENOMEM; -EIO: the kernel has no random number. */
int image_writer_new(const struct image_info *info, image_write_fn *fn, void *opaque,
		     struct image_writer **ret_writer);
void image_writer_free(struct image_writer *writer);

/*
 * The pages that are not empty, in order: one by its payload (LEN bytes), one of a repeated word
 * (in memory order), one that cannot be read. Errors: FN's.
 */
int image_put_object(struct image_writer *writer, uint64_t page, uint8_t encoding,
		     const void *payload, size_t len);
int image_put_same(struct image_writer *writer, uint64_t page, uint64_t word);
int image_put_damaged(struct image_writer *writer, uint64_t page);

/* Without this it is truncated. Errors: FN's. */
int image_writer_end(struct image_writer *writer, struct image_counts *ret_counts);

enum image_kind { IMAGE_OBJECT = 1, IMAGE_SAME = 2, IMAGE_DAMAGED = 3 };

/* PAGE, and of all kinds but objects COUNT - 1 pages more behind it. */
struct image_record {
	enum image_kind kind;
	uint64_t page, count;
	uint64_t word;	     /* SAME */
	uint8_t encoding;    /* OBJECT: one of codec_plain_encodings() */
	const void *payload; /* the reader's, until the next call */
	size_t len;	     /* 1 to CODEC_PAGE_SIZE; that if the encoding is raw, and only then */
};

struct image_reader;

/*
 * Begin to read one: its header. In any case *ret_reader is to be freed, and image_reader_why() says
 * what is wrong. -EPROTO: it is no image, or of another version, or its objects cannot be decoded
 * here; -ENODATA: it ends too early; -EBADMSG: it is damaged; -ENOMEM: *ret_reader is NULL; FN's.
 */
int image_reader_new(image_read_fn *fn, void *opaque, struct image_reader **ret_reader);
void image_reader_free(struct image_reader *reader);

const struct image_info *image_reader_info(const struct image_reader *reader);

/*
 * The next record: 1. The pages are in order and inside the device. 0: that was all, the counts agree
 * and nothing follows. Errors as above; the reader is then of no more use.
 */
int image_next(struct image_reader *reader, struct image_record *ret_record);

/* What was read so far. */
const struct image_counts *image_reader_counts(const struct image_reader *reader);
uint64_t image_reader_bytes(const struct image_reader *reader);

/* What was wrong, a constant to stand behind "FILE: "; NULL: nothing, or FN has failed. */
const char *image_reader_why(const struct image_reader *reader);

/*
 * Read the rest, and decompress every payload. Allocates. 0: all of it is sound. Errors as above, and
 * -EBADMSG for a payload that is none.
 */
int image_verify(struct image_reader *reader);

#endif
