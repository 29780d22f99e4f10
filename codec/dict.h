/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dict: dictionaries, with which zstd makes and reads pages as if such pages had come before them.
 *
 * A dictionary is trained from sample pages, is never changed, and has a generation for a name,
 * which stands in the encoding of what was compressed with it. A table holds those of one device;
 * all of its streams read it, without a lock: see struct dict_table.
 */
#ifndef ZCRAM_DICT_H
#define ZCRAM_DICT_H

#include <stddef.h>
#include <stdint.h>

#define DICT_GENERATIONS 3 /* 1 to 3 */

/* Bytes at most. Twice as many make payloads 0 to 1% shorter, and fill a CPU's cache. */
#define DICT_SIZE_MAX 32768
#define DICT_SIZE_MIN 1024

/* Pages to train from: with fewer it is refused; more than the most make no better dictionary. */
#define DICT_PAGES_MIN 64
#define DICT_PAGES_MAX 512

/* The bytes, and what decompression needs of them digested: one allocation, constant. */
struct dict;
struct ZSTD_DDict_s;

/*
 * From BYTES, which are copied. Allocates, and touches what it allocated. -EINVAL: they are no
 * dictionary of 1 to DICT_SIZE_MAX bytes, whatever else they are; -ENOMEM.
 */
int dict_new(const void *bytes, size_t len, struct dict **ret_dict);
void dict_free(struct dict *dict);

const void *dict_bytes(const struct dict *dict, size_t *ret_len);

/* Bytes of memory from DICT on that it holds. */
size_t dict_memory(const struct dict *dict);

/* For the decoder. */
const struct ZSTD_DDict_s *dict_digest(const struct dict *dict);

/*
 * Train from COUNT pages at PAGES, for a LEVEL of zstd's, into BYTES, which has room for CAPACITY,
 * at least DICT_SIZE_MIN. One page in eight is held back: a dictionary that does not make their
 * payloads 1/64 shorter is refused. Takes some 50 ms of a CPU for DICT_PAGES_MAX pages, during which
 * it asks nobody, and less than 3 MiB, which it allocates.
 * -ENODATA: too few pages, or nothing is to be had from them; -EINVAL: there is no such level, or
 * CAPACITY is too small; -ENOMEM.
 */
int dict_train(const void *pages, size_t count, int level, void *bytes, size_t capacity,
	       size_t *ret_len);

/*
 * The dictionaries by generation, NULL for those that are not there. One thread at a time changes an
 * entry, by one store; readers load it. A dictionary may be freed only when its entry is NULL and
 * each stream that reads the table has been seen idle since: how a device makes sure of that is said
 * in device/dicts.h. Users, the streams that compress with it, keep a copy: but what they make names
 * the generation, which must not be another's meanwhile.
 */
struct dict_table {
	const struct dict *dicts[DICT_GENERATIONS]; /* atomic; of generation N at N - 1 */
	uint32_t users[DICT_GENERATIONS];	    /* the same */
};

static inline const struct dict *dict_table_get(const struct dict_table *table,
						unsigned int generation)
{
	return __atomic_load_n(&table->dicts[generation - 1], __ATOMIC_ACQUIRE);
}

static inline uint32_t dict_table_users(const struct dict_table *table, unsigned int generation)
{
	return __atomic_load_n(&table->users[generation - 1], __ATOMIC_SEQ_CST);
}

static inline void dict_table_set(struct dict_table *table, unsigned int generation,
				  const struct dict *dict)
{
	__atomic_store_n(&table->dicts[generation - 1], dict, __ATOMIC_SEQ_CST);
}

#endif
