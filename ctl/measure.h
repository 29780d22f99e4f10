/* SPDX-License-Identifier: BSD-3-Clause */
/* measure: how well pages compress by one method, and how long that takes. */
#ifndef ZCRAM_CTL_MEASURE_H
#define ZCRAM_CTL_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "codec/codec.h"
#include "ctl/progress.h"

struct measure {
	uint64_t pages;
	uint64_t same;	  /* of them: one word over and over, never compressed */
	uint64_t raw;	  /* of them: not compressible */
	uint64_t payload; /* bytes */
	uint64_t compress_ns, decompress_ns;
};

/*
 * What of each page's memory is left: its payload, what the pool loses between payloads, and the
 * table's entry. The pool's loss is not measured here; bench/run does so: 2 to 4% of the payload,
 * tables counted.
 */
#define MEASURE_POOL_PERCENT 3

/* A page whose payload would be longer is stored as it is: in the pool it would have one to itself. */
#define MEASURE_MAX_PAYLOAD 3844

/*
 * Compress and decompress COUNT pages one by one with METHOD, and compare. WHAT is shown as
 * progress. -ENOMEM; -EINVAL: the method is none; -EIO: a page was not the same again.
 */
int measure_pages(const struct codec_method *method, const unsigned char *pages, size_t count,
		  const char *what, struct progress *progress, struct measure *ret_measure);

/* Bytes that zcram would hold for what was measured. */
double measure_held(const struct measure *measure);

/* How many times less memory that is than the pages take now; 0 where nothing would be held. */
double measure_ratio(const struct measure *measure);

/* Microseconds for each page that was compressed, at all. */
double measure_compress_us(const struct measure *measure);
double measure_decompress_us(const struct measure *measure);

#endif
