/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: libFuzzer: the input as a payload under every encoding, between guard pages, and,
 * spread over a page, there and back by each codec.
 */
#include <errno.h>
#include <string.h>

#include "codec/codec.h"
#include "tests/codec/guard.h"
#include "tests/lib/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct guard source, target;
static struct codec_stream *streams[2];

static void set_up(void)
{
	static const char *const names[2] = {"lz4", "zstd"};

	if (streams[0])
		return;
	guard_init(&source, CODEC_PAGE_SIZE);
	guard_init(&target, CODEC_PAGE_SIZE);
	for (size_t i = 0; i < 2; i++) {
		struct codec_method method;

		CHECK(codec_method_init(&method, names[i], NULL) == 0, "%s", names[i]);
		CHECK(codec_stream_new(&method, &streams[i]) == 0, "%s", names[i]);
	}
}

static void decompress(const uint8_t *data, size_t size)
{
	uint8_t *payload = source.end - size;

	memcpy(payload, data, size);
	for (unsigned int encoding = 0; encoding < 1u << CODEC_ENCODING_BITS; encoding++) {
		int r = codec_decompress(streams[0], (uint8_t)encoding, payload, size,
					 target.start);

		CHECK(r == 0 || r == -EIO, "encoding %u: %d", encoding, r);
	}
}

static void round_trip(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at < CODEC_PAGE_SIZE; at++)
		source.start[at] = size ? data[at % size] : 0;
	for (size_t i = 0; i < 2; i++) {
		const void *payload;
		uint8_t encoding;
		size_t len = codec_compress(streams[i], source.start, &payload, &encoding);

		CHECK(codec_decompress(streams[!i], encoding, payload, len, target.start) == 0,
		      "encoding %u, %zu bytes", encoding, len);
		CHECK(memcmp(target.start, source.start, CODEC_PAGE_SIZE) == 0,
		      "encoding %u, %zu bytes", encoding, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > CODEC_PAGE_SIZE)
		return -1;
	set_up();
	decompress(data, size);
	round_trip(data, size);
	return 0;
}
