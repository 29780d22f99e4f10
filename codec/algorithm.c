/* SPDX-License-Identifier: BSD-3-Clause */
#include "codec/algorithm.h"

#include <errno.h>
#include <stdio.h>

static void say_levels(char *why, size_t size)
{
	int lz4_min, lz4_max, zstd_min, zstd_max, unasked;

	codec_levels(CODEC_LZ4, &lz4_min, &lz4_max, &unasked);
	codec_levels(CODEC_ZSTD, &zstd_min, &zstd_max, &unasked);
	snprintf(why, size, "no such level: lz4 takes %d to %d, zstd %d to %d", lz4_min, lz4_max,
		 zstd_min, zstd_max);
}

static int refuse(int r, char *why, size_t size)
{
	if (r == -ERANGE)
		say_levels(why, size);
	else
		snprintf(why, size,
			 "not an algorithm: give lz4, lz4(level=N), zstd or zstd(level=N)");
	return r;
}

int codec_algorithm_method(const struct conf_algorithm *algorithm, struct codec_method *ret_method,
			   char *why, size_t size)
{
	int r = codec_method_init(ret_method, algorithm->name,
				  algorithm->has_level ? &algorithm->level : NULL);

	return r < 0 ? refuse(r, why, size) : 0;
}

int codec_algorithm_read(const char *text, struct codec_method *ret_method, char *why, size_t size)
{
	struct conf_algorithm algorithm;
	const char *unused;
	int r = conf_parse_algorithm(text, &algorithm, &unused);

	if (r < 0)
		return refuse(r, why, size);
	return codec_algorithm_method(&algorithm, ret_method, why, size);
}

int codec_algorithms_read(const char *text, struct conf_algorithms *ret_algorithms,
			  struct codec_method ret_methods[CONF_ALGORITHMS_MAX], char *why,
			  size_t size)
{
	const char *what;
	int r = conf_parse_algorithms(text, ret_algorithms, &what);

	if (r == -EBADMSG) {
		snprintf(why, size, "%s", what);
		return -EINVAL;
	}
	/* Of a single one it is said what there is. */
	if (r < 0)
		return refuse(r, why, size);
	for (unsigned int i = 0; i < ret_algorithms->count && r == 0; i++)
		r = codec_algorithm_method(&ret_algorithms->algorithms[i], &ret_methods[i], why,
					   size);
	return r;
}

int codec_algorithm_check(const struct conf_algorithm *algorithm, char *why, size_t size)
{
	struct codec_method method;

	return codec_algorithm_method(algorithm, &method, why, size);
}
