/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram.conf: which devices there are to be, and how. For the programs; the plugin does without.
 *
 * zcram.conf is read from the first of /etc, /run, /usr/local/lib and /usr/lib that has one, then
 * all of zcram.conf.d/<name>.conf of these directories, sorted by name. Of files with one name only
 * that in the first directory counts, and an empty one, or a link to /dev/null, hides the others.
 * A later file's setting replaces an earlier one's, key by key; a device's own section goes before
 * [defaults], wherever they stand. Files are read whole, checked, and closed again.
 *
 * All calls but conf_load() and conf_host_get() are pure functions of their arguments. A struct conf
 * does not change once it is loaded, and any number of threads may read it.
 */
#ifndef ZCRAM_CONF_H
#define ZCRAM_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

struct conf;

enum conf_key {
	CONF_KEY_SIZE,
	CONF_KEY_MEM_LIMIT,
	CONF_KEY_ALGORITHM,
	CONF_KEY_FILTER,
	CONF_KEY_COMPACT,
	CONF_KEY_ALLOCATOR,
	CONF_KEY_RECOMPRESS_AGE,
	CONF_KEY_RECOMPRESS_CPU,
	CONF_KEY_WRITEBACK,
	CONF_KEY_WRITEBACK_SIZE,
	CONF_KEY_WRITEBACK_AT,
	CONF_KEY_WRITEBACK_AGE,
	CONF_KEY_WRITEBACK_LIMIT,
	CONF_KEY_RESERVE,
	CONF_KEY_LOCK,
	CONF_KEY_CONNECTIONS,
	CONF_KEY_THREADS,
	CONF_KEY_DEVICE,
	CONF_KEY_HOST_MEMORY_LIMIT,
	CONF_KEY_SWAP_PRIORITY,
	CONF_KEY_FS_TYPE,
	CONF_KEY_MOUNT_POINT,
	CONF_KEY_OPTIONS,
	CONF_KEY_COUNT,
};

struct conf_key_name {
	const char *name;  /* "zram-size" */
	const char *alias; /* "size", or NULL */
};

extern const struct conf_key_name conf_key_names[CONF_KEY_COUNT];

/* The key called NAME, by its name or alias. -ENOENT: there is none. */
int conf_key_find(const char *name, enum conf_key *ret_key);

/* Where a key's value was set. */
struct conf_origin {
	const char *file; /* the path without the root; NULL: nowhere, it is the default */
	unsigned int line;
	bool from_defaults; /* in [defaults], not in the device's own section */
	const char *text;   /* the value as it was written; NULL: the default */
};

/* What swapon's discard is to do. */
enum conf_discard {
	CONF_DISCARD_NONE,
	CONF_DISCARD_ONCE,  /* all of the device when swap is turned on */
	CONF_DISCARD_PAGES, /* clusters of pages as they come free */
	CONF_DISCARD_BOTH,
};

#define CONF_RESERVE_AUTO    UINT64_MAX /* the plugin's default */
#define CONF_NO_HOST_LIMIT   UINT64_MAX

#define CONF_MAX_CONNECTIONS 16
#define CONF_MAX_THREADS     64
#define CONF_MAX_DEVICE	     9999 /* the N of zcramN */

/* One device: every value in force, its default where nothing was set. Owned by its conf. */
struct conf_device {
	char name[sizeof("zcram9999")]; /* "zcram0", also when it was written [zram0] */
	/*
	 * Is the device wanted on this host? Else why not, a constant: the host has more memory than
	 * host-memory-limit, or the size comes to 0. Size and limit are then what came out, 0 where
	 * that is none, and must not be used.
	 */
	bool applies;
	const char *why_not;

	uint64_t size;			   /* bytes, a multiple of 4096 */
	uint64_t mem_limit;		   /* bytes, a multiple of 4096; 0: no limit */
	const char *algorithm;		   /* "zstd(level=1)", spelt as the plugin takes it */
	struct conf_algorithms algorithms; /* the same, taken apart */
	enum conf_filter filter;
	enum conf_compact compact;
	enum conf_allocator allocator;
	uint64_t recompress_age;     /* seconds */
	unsigned int recompress_cpu; /* percent of one CPU */
	const char *writeback;	     /* an absolute path, or an URI of NBD; NULL: none */
	uint64_t writeback_size;     /* bytes of the file; 0: as it is */
	unsigned int writeback_at;   /* percent of mem_limit; 0: only at it */
	uint64_t writeback_age;	     /* seconds */
	uint64_t writeback_limit;    /* bytes within 24 hours; 0: no limit */
	uint64_t reserve;	     /* bytes, or CONF_RESERVE_AUTO */
	enum conf_lock lock;	     /* by default on for swap, auto for a file system */
	unsigned int connections;    /* 0: auto */
	unsigned int threads;	     /* 0: auto */
	int nbd_index;		     /* N of /dev/nbdN; -1: any */
	uint64_t host_memory_limit;  /* MiB, or CONF_NO_HOST_LIMIT */
	int swap_priority;	     /* -1: the kernel's own choice */
	const char *fs_type;	     /* "swap", or the N of mkfs.N; never NULL */
	bool swap;		     /* is fs_type "swap"? */
	const char *mount_point;     /* absolute, normalised; NULL: swap, or made and not mounted */
	const char *options;	     /* for swapon or mount, maybe empty; never NULL */
	enum conf_discard discard;   /* swap: what options say of it */

	struct conf_origin origin[CONF_KEY_COUNT];
};

/* What the values depend on. */
struct conf_host {
	uint64_t ram;	   /* bytes, as MemTotal has it */
	unsigned int cpus; /* at least 1 */
	/*
	 * Is there such an algorithm, at such a level? 0, or a negative errno and, in the SIZE bytes
	 * at WHY, what is wrong and what is allowed ("no such level: zstd takes -7 to 22"). NULL:
	 * only names are checked.
	 */
	int (*check_algorithm)(const struct conf_algorithm *algorithm, char *why, size_t size);
};

/*
 * This machine: MemTotal of ROOT/proc/meminfo, and the CPUs online; check_algorithm is set to NULL.
 * ROOT "" or NULL: the system's own. Opens a file. -ENOENT and the like; -EINVAL: it has no
 * MemTotal.
 */
int conf_host_get(const char *root, struct conf_host *ret_host);

/*
 * Read the configuration below ROOT ("" or NULL: the system's own). No file at all is a
 * configuration without devices. Opens and reads files, and allocates; what is no regular file is
 * refused unread, so that nothing is waited for but the disk.
 *
 * On an error *RET_WHY is malloc'd: a line for each thing that is wrong, without a newline behind
 * the last, at most 20 of them and then how many more,
 *
 *	/etc/zcram.conf:7: [zcram0] filter = yes: not a choice: give auto or none
 *
 * or NULL when there was no memory even for that. -EINVAL: something written is wrong; -ENOMEM;
 * others: a file or directory cannot be read.
 */
int conf_load(const char *root, const struct conf_host *host, struct conf **ret_conf,
	      char **ret_why);
void conf_free(struct conf *conf);

/* The device called NAME ("zcram0"), or NULL. It may be one that does not apply. */
const struct conf_device *conf_find(const struct conf *conf, const char *name);

/* How many devices the configuration names, and each of them, by ascending number. */
size_t conf_count(const struct conf *conf);
const struct conf_device *conf_at(const struct conf *conf, size_t index);

/* The files that were read, in that order, without the root. NULL behind the last. */
const char *const *conf_files(const struct conf *conf);

/*
 * Is TEXT the name of a device, "zcram" and a number up to CONF_MAX_DEVICE without leading zeros?
 * Such a name is safe as part of a path.
 */
bool conf_is_name(const char *text);

/*
 * The value in force as it would be written in the file ("2G", "auto", "none"), malloc'd. Sizes come
 * with their unit. -ENOMEM.
 */
int conf_print(const struct conf_device *device, enum conf_key key, char **ret_text);

/*
 * The keys whose value in force is not the same in A and B: bit 1 << key. Where a value was set, and
 * how it was spelt, makes no difference. Allocates. -ENOMEM.
 */
int conf_compare(const struct conf_device *a, const struct conf_device *b, uint32_t *ret_keys);

/*
 * What the plugin is to be given: "size=4294967296", "algorithm=zstd(level=1)", ..., in an array
 * that ends in NULL. For a device that applies. Freed by conf_free_parameters(). -ENOMEM.
 */
int conf_parameters(const struct conf_device *device, char ***ret_parameters);
void conf_free_parameters(char **parameters);

/*
 * The devices that the files below ROOT name ("zcram0"), whatever else is wrong in them: for saying of
 * each that it cannot be. malloc'd names by ascending number, NULL behind the last, freed by
 * conf_free_names(). What cannot be read names none. Opens files. -ENOMEM.
 */
int conf_names(const char *root, char ***ret_names);
void conf_free_names(char **names);

/*
 * Write a number of bytes as conf_parse_size() reads it, by the largest unit that keeps it whole:
 * 4096 is "4K". BUF of 24 bytes holds any.
 */
void conf_format_size(uint64_t bytes, char *buf, size_t size);

#endif
