/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "codec/codec.h"
#include "image/internal.h"

int image_verify(struct image_reader *reader)
{
	uint8_t page[CODEC_PAGE_SIZE];
	struct codec_stream *codec;
	struct codec_method method;
	struct image_record record;
	int r = codec_method_init(&method, "lz4", NULL);

	/* Whatever it compresses by, it decompresses all there is. */
	if (r == 0)
		r = codec_stream_new(&method, &codec);
	if (r < 0)
		return r;
	while ((r = image_next(reader, &record)) > 0) {
		if (record.kind != IMAGE_OBJECT)
			continue;
		if (codec_decompress(codec, record.encoding, record.payload, record.len, page) <
		    0) {
			r = image_damaged(reader, "damaged: a page cannot be decompressed");
			break;
		}
	}
	codec_stream_free(codec);
	return r;
}
