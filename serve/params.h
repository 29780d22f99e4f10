/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * params: the parameters of the command line, collected and checked.
 *
 * All of this runs before the server serves. What is wrong is said (say.h), in one line that
 * names the parameter, what is wrong with it and what is allowed.
 */
#ifndef ZCRAM_PARAMS_H
#define ZCRAM_PARAMS_H

#include "config/config.h"
#include "device/device.h"

#define PARAMS_DEFAULT_ALGORITHM      CONF_DEFAULT_ALGORITHM
#define PARAMS_DEFAULT_FILTER	      "auto"
#define PARAMS_DEFAULT_COMPACT	      "auto"
#define PARAMS_DEFAULT_RECOMPRESS_AGE "15m"
#define PARAMS_DEFAULT_RECOMPRESS_CPU "10"
#define PARAMS_DEFAULT_WRITEBACK_AT   "90"
#define PARAMS_DEFAULT_WRITEBACK_AGE  "15m"
#define PARAMS_DEFAULT_RESERVE	      (UINT64_C(4) << 20)
#define PARAMS_NAME_MAX		      63

#define PARAMS_HELP                                                                               \
	"size=SIZE              The size of the device, such as 4G; required but for a pool\n"    \
	"                       that exists.\n"                                                   \
	"algorithm=ALGORITHM    lz4, lz4(level=N), zstd, zstd(level=N); "                         \
	"default: " PARAMS_DEFAULT_ALGORITHM ";\n"                                                \
	"                       up to three more, for pages that have grown old, and which:\n"    \
	"                       lz4 zstd(level=6) (type=idle)\n"                                  \
	"recompress-age=TIME    How old; default: " PARAMS_DEFAULT_RECOMPRESS_AGE ".\n"           \
	"recompress-cpu=N       Percent of one CPU for that at most; "                            \
	"default: " PARAMS_DEFAULT_RECOMPRESS_CPU ".\n"                                           \
	"mem-limit=SIZE         At most so much memory for stored pages; default: no limit.\n"    \
	"reserve=SIZE           Memory kept ready for writes; default: 4M.\n"                     \
	"filter=auto|none       Shuffle pages that compress better so; default: auto.\n"          \
	"compact=auto|off       Compact in the background; default: auto.\n"                      \
	"allocator=zspage|zbud  How stored pages are placed; default: zspage, or the pool's.\n"   \
	"writeback=WHERE        Where pages can be written that are not to take memory: a file, " \
	"a\n"                                                                                     \
	"                       block device, nbd://HOST/EXPORT, nbds+unix:///?socket=PATH.\n"    \
	"writeback-size=SIZE    Make that file, or make it so large.\n"                           \
	"writeback-at=N         Percent of mem-limit from which on pages are; 0: only at it; "    \
	"default: " PARAMS_DEFAULT_WRITEBACK_AT ".\n"                                             \
	"writeback-age=TIME     How old they have to be; "                                        \
	"default: " PARAMS_DEFAULT_WRITEBACK_AGE ".\n"                                            \
	"writeback-limit=SIZE   At most so much in 24 hours; default: no limit.\n"                \
	"lock=auto|on|off       Lock memory, mark threads, for swap; default: auto.\n"            \
	"control=PATH           A socket to ask for statistics and change settings on.\n"         \
	"name=NAME              What the device is called there.\n"                               \
	"pool=NAME              Keep the content in memory that outlives the server.\n"           \
	"pool-at-exit=remove|keep  What becomes of it when the server is stopped; default: "      \
	"remove.\n"

enum param {
	PARAM_SIZE,
	PARAM_ALGORITHM,
	PARAM_MEM_LIMIT,
	PARAM_RESERVE,
	PARAM_FILTER,
	PARAM_COMPACT,
	PARAM_ALLOCATOR,
	PARAM_RECOMPRESS_AGE,
	PARAM_RECOMPRESS_CPU,
	PARAM_WRITEBACK,
	PARAM_WRITEBACK_SIZE,
	PARAM_WRITEBACK_AT,
	PARAM_WRITEBACK_AGE,
	PARAM_WRITEBACK_LIMIT,
	PARAM_LOCK,
	PARAM_CONTROL,
	PARAM_NAME,
	PARAM_POOL,
	PARAM_POOL_AT_EXIT,
	PARAM_COUNT,
};

/* All zeros before the first params_set(). */
struct params {
	const char
		*given[PARAM_COUNT]; /* the values as written, NULL: not given; the front end's */
	uint64_t size, reserve;
	struct device_settings settings;
	char *writeback;	 /* absolute path, or an URI; NULL: no backing store */
	uint64_t writeback_size; /* bytes; 0: as large as it is */
	int allocator;		 /* enum conf_allocator, and enum zs_kind */
	int lock;		 /* enum conf_lock */
	char *control;		 /* absolute path; NULL: no socket */
	const char *name;	 /* NULL: none */
	const char *pool;	 /* NULL: private memory */
	int pool_at_exit;	 /* enum conf_pool_at_exit */
};

/* Take one key=value; VALUE must stay. -1, and why is said: the server must not start. */
int params_set(struct params *params, const char *key, const char *value);

/* After the last of them: fill in defaults and check them against one another. 0 or -1, as above.
 */
int params_complete(struct params *params);

/*
 * The size of the device, which a pool that exists may say when it was not given: what depends on it
 * is completed and checked. 0 or -1, as above.
 */
int params_set_size(struct params *params, uint64_t size);

/* Free what was made of the values. */
void params_free(struct params *params);

/* What the device is to be made with. */
struct device_options params_device_options(const struct params *params);

#endif
