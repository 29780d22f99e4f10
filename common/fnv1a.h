/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fnv1a: a hash of 64 bits (Fowler, Noll, Vo; RFC 9923) for headers and names, which are short and
 * nobody's secret.
 */
#ifndef ZCRAM_FNV1A_H
#define ZCRAM_FNV1A_H

#include <stddef.h>
#include <stdint.h>

#define FNV1A_START UINT64_C(0xcbf29ce484222325)

/* HASH is FNV1A_START, or the hash of what stands before. */
static inline uint64_t fnv1a(uint64_t hash, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static inline uint64_t fnv1a_u64(uint64_t hash, uint64_t value)
{
	return fnv1a(hash, &value, sizeof(value));
}

#endif
