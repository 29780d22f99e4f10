/* SPDX-License-Identifier: BSD-3-Clause */
/* algorithm: from an algorithm as a user spells it to a method. Pure. */
#ifndef ZCRAM_CODEC_ALGORITHM_H
#define ZCRAM_CODEC_ALGORITHM_H

#include <stddef.h>

#include "codec/codec.h"
#include "config/config.h"

/*
 * The method that ALGORITHM means, as codec_method_init() makes it. -ENOENT: there is no such codec;
 * -ERANGE: it has no such level; what is wrong and what is allowed is then in the SIZE bytes at WHY,
 * to be printed behind "algorithm=value: ".
 */
int codec_algorithm_method(const struct conf_algorithm *algorithm, struct codec_method *ret_method,
			   char *why, size_t size);

/* The same from TEXT, as it is written. Also -EINVAL: it is not written so. */
int codec_algorithm_read(const char *text, struct codec_method *ret_method, char *why, size_t size);

/*
 * Of several, as they are written (conf_parse_algorithms()); a method for each, and for what is not
 * spelt so what is wrong with it. Errors as above.
 */
int codec_algorithms_read(const char *text, struct conf_algorithms *ret_algorithms,
			  struct codec_method ret_methods[CONF_ALGORITHMS_MAX], char *why,
			  size_t size);

/* Is there such a one? Errors as above. What struct conf_host asks for. */
int codec_algorithm_check(const struct conf_algorithm *algorithm, char *why, size_t size);

#endif
