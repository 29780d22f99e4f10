/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config: what a user writes, read and checked.
 *
 * Pure functions over strings: they allocate nothing, keep nothing and never block. Each returns 0,
 * or a negative errno with *ret_why set to a constant that says what is wrong and what is allowed,
 * to be printed behind "key=value: ". On an error nothing but *ret_why is written.
 */
#ifndef ZCRAM_CONFIG_H
#define ZCRAM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A number of bytes: decimal digits, then K, M, G or T (powers of 1024, either case), which "iB"
 * may follow. No sign, no fraction, no blanks.
 * -EINVAL: not such a number; -ERANGE: it does not fit in 64 bits.
 */
int conf_parse_size(const char *text, uint64_t *ret_bytes, const char **ret_why);

/*
 * A time in seconds: decimal digits, then s, m, h or d, or nothing, which is s. -EINVAL: not such a
 * time; -ERANGE: it does not fit in 64 bits.
 */
int conf_parse_time(const char *text, uint64_t *ret_seconds, const char **ret_why);

#define CONF_DEFAULT_ALGORITHM	"zstd(level=1)"
#define CONF_ALGORITHM_NAME_MAX 15

/* An algorithm as it was spelt; whether there is such a codec or level is not known here. */
struct conf_algorithm {
	char name[CONF_ALGORITHM_NAME_MAX + 1];
	bool has_level;
	int level; /* 0 without has_level */
};

/*
 * An algorithm in zram-generator's spelling: "name" or "name(level=N)", N being a whole number that
 * may be negative. -EINVAL: not spelt so; -ERANGE: N does not fit in an int.
 */
int conf_parse_algorithm(const char *text, struct conf_algorithm *ret_algorithm,
			 const char **ret_why);

/*
 * Several in zram-generator's spelling, with blanks between: "NAME NAME(level=N) (type=idle)". The first
 * is what pages are written by; the others are what old ones are compressed again by, in that order,
 * and what stands in parentheses at the end, "type=idle", "type=huge" or "type=huge_idle",
 * "threshold=BYTES", or both with a comma between, says which pages those are.
 * -EINVAL: an algorithm is not spelt so; -ERANGE: a level does not fit in an int; -EBADMSG: the list is
 * wrong otherwise: there are too many, or of the parentheses.
 */
#define CONF_ALGORITHMS_MAX 4

enum conf_cold { CONF_COLD_IDLE, CONF_COLD_HUGE, CONF_COLD_HUGE_IDLE };

struct conf_algorithms {
	unsigned int count; /* at least 1 */
	struct conf_algorithm algorithms[CONF_ALGORITHMS_MAX];
	enum conf_cold cold;
	uint64_t threshold; /* bytes; 0: none is given */
};

int conf_parse_algorithms(const char *text, struct conf_algorithms *ret_algorithms,
			  const char **ret_why);

#define CONF_RECOMPRESS_AGE_MAX	    UINT64_C(262128) /* seconds: what is older is idle by itself */
#define CONF_DEFAULT_RECOMPRESS_AGE UINT64_C(900)
#define CONF_DEFAULT_RECOMPRESS_CPU 10

/* For how long a page must not have been touched, in seconds, up to the above. */
int conf_parse_recompress_age(const char *text, uint64_t *ret_seconds, const char **ret_why);

/* A share of one CPU, 1 to 100 percent, without a sign. */
int conf_parse_recompress_cpu(const char *text, unsigned int *ret_percent, const char **ret_why);

/*
 * Where pages are written back to: an URI of NBD, which is a remote place, or a path: anything else
 * without "://". Whether there is such a place is not known here. -EINVAL: neither.
 */
int conf_parse_writeback(const char *text, bool *ret_remote, const char **ret_why);

#define CONF_DEFAULT_WRITEBACK_AT  90
#define CONF_DEFAULT_WRITEBACK_AGE UINT64_C(900)

/* A share of the limit, 1 to 100 percent, without a sign; 0: only at it. */
int conf_parse_writeback_at(const char *text, unsigned int *ret_percent, const char **ret_why);

#define CONF_WRITEBACK_MIN (UINT64_C(5) << 20) /* bytes of a file: the header, and four segments */

#define CONF_CHOICES_MAX   3

/* The words that a parameter takes. */
struct conf_choice {
	const char *words[CONF_CHOICES_MAX + 1]; /* NULL after the last */
	const char *why;			 /* what is said of any other word */
};

enum conf_lock { CONF_LOCK_AUTO, CONF_LOCK_ON, CONF_LOCK_OFF };
enum conf_filter { CONF_FILTER_AUTO, CONF_FILTER_NONE };
enum conf_pool_at_exit { CONF_POOL_REMOVE, CONF_POOL_KEEP };
enum conf_compact { CONF_COMPACT_AUTO, CONF_COMPACT_OFF };
enum conf_allocator { CONF_ALLOCATOR_ZSPAGE, CONF_ALLOCATOR_ZBUD };

/* Their indexes are the enums above. */
extern const struct conf_choice conf_lock_choice;
extern const struct conf_choice conf_filter_choice;
extern const struct conf_choice conf_compact_choice;
extern const struct conf_choice conf_allocator_choice;
extern const struct conf_choice conf_cold_choice;
extern const struct conf_choice conf_pool_at_exit_choice;

/* The index of TEXT among the choice's words. -EINVAL: it is none of them. */
int conf_parse_choice(const struct conf_choice *choice, const char *text, int *ret_index,
		      const char **ret_why);

#endif
