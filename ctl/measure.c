/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/measure.h"

#include <errno.h>
#include <string.h>

#include "common/os.h"
#include "ctl/size.h"

/* One page there and back. */
static int measure_page(struct codec_stream *stream, const unsigned char *page,
			struct measure *measure)
{
	unsigned char stored[CODEC_PAGE_SIZE], again[CODEC_PAGE_SIZE];
	uint64_t start = os_now(), compressed, restored;
	const void *payload;
	uint8_t encoding;
	size_t len;
	int ret;

	len = codec_compress(stream, page, &payload, &encoding);
	compressed = os_now();
	measure->compress_ns += compressed - start;
	/* The payload may stand in the stream, which decompressing uses. */
	memcpy(stored, payload, len);
	compressed = os_now();
	ret = codec_decompress(stream, encoding, stored, len, again);
	restored = os_now();
	measure->decompress_ns += restored - compressed;
	measure->payload += len;
	measure->raw += codec_encoding_id(encoding) == CODEC_RAW;
	return ret < 0 || memcmp(page, again, CODEC_PAGE_SIZE) != 0 ? -EIO : 0;
}

int measure_pages(const struct codec_method *method, const unsigned char *pages, size_t count,
		  const char *what, struct progress *progress, struct measure *ret_measure)
{
	struct measure measure = {.pages = count};
	struct codec_stream *stream;
	uint64_t word;
	int ret = codec_stream_new(method, &stream);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < count && ret == 0; i++) {
		const unsigned char *page = pages + i * CODEC_PAGE_SIZE;

		if (codec_same_word(page, &word))
			measure.same++;
		else
			ret = measure_page(stream, page, &measure);
		if (progress_due(progress))
			progress_show(progress, "%s: %zu of %zu pages", what, i, count);
	}
	codec_stream_free(stream);
	if (ret == 0)
		*ret_measure = measure;
	return ret;
}

double measure_held(const struct measure *measure)
{
	return (double)measure->payload * (100 + MEASURE_POOL_PERCENT) / 100;
}

double measure_ratio(const struct measure *measure)
{
	return ctl_ratio((double)measure->pages * CODEC_PAGE_SIZE, measure_held(measure));
}

double measure_compress_us(const struct measure *measure)
{
	return ctl_ratio((double)measure->compress_ns / 1000,
			 (double)(measure->pages - measure->same));
}

double measure_decompress_us(const struct measure *measure)
{
	return ctl_ratio((double)measure->decompress_ns / 1000,
			 (double)(measure->pages - measure->same));
}
