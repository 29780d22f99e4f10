/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * codec: one page in, one payload out.
 *
 * A *method* says how pages are to be compressed: codec, level, filter policy.
 * A *stream* is the working memory that one thread compresses and decompresses with: the contexts
 * of the libraries and the page buffers, all allocated and touched when it is made. After
 * codec_stream_new() nothing here allocates, blocks or makes a system call, but for
 * codec_stream_use_dict().
 *
 * A payload is described by one *encoding*, five bits that stand in its slot:
 *
 *	bits 0-1  codec       enum codec_id
 *	bit  2    filter      1: the page was byte-shuffled before it was compressed
 *	bits 3-4  dictionary  generation (dict.h); 0: none. zstd only
 *
 * so that any payload can be decompressed whatever the method in force has become since.
 */
#ifndef ZCRAM_CODEC_H
#define ZCRAM_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODEC_PAGE_SIZE 4096

enum codec_id {
	CODEC_RAW = 0, /* the page as it is; always CODEC_PAGE_SIZE bytes, never filtered */
	CODEC_LZ4 = 1,
	CODEC_ZSTD = 2,
};

#define CODEC_ENCODING_BITS 5

static inline enum codec_id codec_encoding_id(uint8_t encoding)
{
	return (enum codec_id)(encoding & 3);
}

static inline bool codec_encoding_filtered(uint8_t encoding)
{
	return encoding >> 2 & 1;
}

/* The dictionary's generation, 1 to 3; 0: none. */
static inline unsigned int codec_encoding_generation(uint8_t encoding)
{
	return encoding >> 3 & 3;
}

/* The encodings that codec_decompress() knows: bit N for encoding N. */
uint32_t codec_encodings(void);

/* Those of them that need no dictionary: what is kept apart from its device has no others. */
uint32_t codec_plain_encodings(void);

enum codec_filter {
	CODEC_FILTER_NONE, /* pages are compressed as they come */
	CODEC_FILTER_AUTO, /* a predictor decides for each page whether it is shuffled first */
	CODEC_FILTER_TRY,  /* each page is compressed both ways, and the shorter payload kept */
};

struct codec_method {
	enum codec_id id;
	int level; /* zstd: a zstd level, lz4: its acceleration, 1 being the densest */
	enum codec_filter filter;
	/*
	 * Bytes, at most CODEC_PAGE_SIZE - 1: a longer payload is not worth having, and the page
	 * is stored raw instead.
	 */
	size_t max_payload;
};

struct codec_stream;

/*
 * The method called NAME ("lz4", "zstd") at *LEVEL, or at the codec's default when LEVEL is NULL;
 * filter and max_payload are set to CODEC_FILTER_AUTO and CODEC_PAGE_SIZE - 1.
 * -ENOENT: there is no such codec; -ERANGE: it has no such level.
 */
int codec_method_init(struct codec_method *ret_method, const char *name, const int *level);

/* "lz4" or "zstd" or "raw": a constant. */
const char *codec_name(enum codec_id id);

/* The levels that the codec takes, lowest and highest, and the one it takes unasked; raw: 0. */
void codec_levels(enum codec_id id, int *ret_min, int *ret_max, int *ret_default);

/*
 * Make a stream that compresses by METHOD and decompresses whatever was ever encoded, if it has the
 * dictionaries.
 * Allocates, and touches all that it allocated. -ENOMEM; -EINVAL: the method is none.
 */
int codec_stream_new(const struct codec_method *method, struct codec_stream **ret_stream);
void codec_stream_free(struct codec_stream *stream);

struct dict_table;

/*
 * Have the stream look up dictionaries in TABLE (dict.h), which stays the caller's and has to be
 * there as long as the stream. Without one, what was compressed with a dictionary gives -EIO.
 */
void codec_stream_set_dicts(struct codec_stream *stream, struct dict_table *table);

/*
 * Compress with a generation's dictionary from now on, as the table has it at this moment; 0: with
 * none. Returns the generation that is in use then: 0 also where the table has no such one, and
 * where the codec is lz4, which takes none. The stream keeps a copy, and is counted in the table as a
 * user until it uses another or is freed. By the thread that changes the table. Allocates and
 * touches. -ENOMEM: the stream goes on as before.
 */
int codec_stream_use_dict(struct codec_stream *stream, unsigned int generation);

/* Bytes of memory that the stream holds. */
size_t codec_stream_memory(const struct codec_stream *stream);

/*
 * Compress one page of CODEC_PAGE_SIZE bytes (any alignment). Returns the length of the payload,
 * 1..CODEC_PAGE_SIZE, and where it stands: in the stream, until its next use, or, for a page that
 * is stored raw, PAGE itself. Cannot fail: what does not shrink to max_payload is raw.
 */
size_t codec_compress(struct codec_stream *stream, const void *page, const void **ret_payload,
		      uint8_t *ret_encoding);

/*
 * Decompress a payload into PAGE, CODEC_PAGE_SIZE bytes. Reads nothing outside PAYLOAD and writes
 * nothing outside PAGE whatever the payload holds. -EIO: it is not what ENCODING says, or does not
 * give exactly one page, or its dictionary is not there; PAGE's content is then undefined.
 */
int codec_decompress(struct codec_stream *stream, uint8_t encoding, const void *payload, size_t len,
		     void *page);

/* Is the page one 8-byte word (in memory order) over and over? */
bool codec_same_word(const void *page, uint64_t *ret_word);

/* Fill a page with one 8-byte word. */
void codec_fill_word(void *page, uint64_t word);

/* A page buffer of the stream's, for read-modify-write; codec_compress() may be given it. */
void *codec_stream_page(struct codec_stream *stream);

#endif
