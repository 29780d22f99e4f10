/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * coder: the two libraries, each behind the same few calls. Inside codec/ only.
 *
 * A coder works in memory that it is given, CODER_ALIGN-aligned and as large as it asks for, and
 * never allocates. Compressing returns the payload's length, 0 when it does not fit CAPACITY;
 * decompressing returns 0 or -EIO, writes at most one page and reads no more than LEN bytes.
 */
#ifndef ZCRAM_CODER_H
#define ZCRAM_CODER_H

#include <stddef.h>

#define CODER_ALIGN 64

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;
struct ZSTD_DDict_s;

#define LZ4_LEVEL_MIN	  1
#define LZ4_LEVEL_MAX	  65537 /* the library takes a larger acceleration for this one */
#define LZ4_LEVEL_DEFAULT 1

size_t lz4_coder_memory(void);
size_t lz4_coder_compress(void *memory, int level, const void *page, void *payload,
			  size_t capacity);
int lz4_coder_decompress(const void *payload, size_t len, void *page);

#define ZSTD_LEVEL_DEFAULT 1

int zstd_coder_level_min(void);
int zstd_coder_level_max(void);

size_t zstd_encoder_memory(int level);
struct ZSTD_CCtx_s *zstd_encoder_init(void *memory, int level);
size_t zstd_encoder_compress(struct ZSTD_CCtx_s *encoder, const void *page, void *payload,
			     size_t capacity);

/* An encoder, and the dictionary of LEN bytes at BYTES, copied and digested for its level. */
size_t zstd_dict_encoder_memory(int level, size_t len);
struct ZSTD_CCtx_s *zstd_dict_encoder_init(void *memory, int level, const void *bytes, size_t len);

/* DICT: NULL for none. */
size_t zstd_decoder_memory(void);
struct ZSTD_DCtx_s *zstd_decoder_init(void *memory);
int zstd_decoder_decompress(struct ZSTD_DCtx_s *decoder, const struct ZSTD_DDict_s *dict,
			    const void *payload, size_t len, void *page);

#endif
