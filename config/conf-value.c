/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys, and what each takes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "config/conf-internal.h"

#define PAGE		4096

#define MAX_NBD_INDEX	32767 /* minor numbers have 20 bits, of which a device takes 5 */
#define MAX_PRIORITY	32767
#define FS_TYPE_LEN_MAX 31

/* Where a value is put, and what is said of it. */
struct value {
	struct conf *conf;
	const struct conf_host *host;
	struct conf_device *device;
	const char *text;
	char *why;
};

const struct conf_key_name conf_key_names[CONF_KEY_COUNT] = {
	[CONF_KEY_SIZE] = {"zram-size", "size"},
	[CONF_KEY_MEM_LIMIT] = {"zram-resident-limit", "mem-limit"},
	[CONF_KEY_ALGORITHM] = {"compression-algorithm", "algorithm"},
	[CONF_KEY_FILTER] = {"filter", NULL},
	[CONF_KEY_COMPACT] = {"compact", NULL},
	[CONF_KEY_ALLOCATOR] = {"allocator", NULL},
	[CONF_KEY_RECOMPRESS_AGE] = {"recompress-age", NULL},
	[CONF_KEY_RECOMPRESS_CPU] = {"recompress-cpu", NULL},
	[CONF_KEY_WRITEBACK] = {"writeback-device", "writeback"},
	[CONF_KEY_WRITEBACK_SIZE] = {"writeback-size", NULL},
	[CONF_KEY_WRITEBACK_AT] = {"writeback-at", NULL},
	[CONF_KEY_WRITEBACK_AGE] = {"writeback-age", NULL},
	[CONF_KEY_WRITEBACK_LIMIT] = {"writeback-limit", NULL},
	[CONF_KEY_RESERVE] = {"reserve", NULL},
	[CONF_KEY_LOCK] = {"lock", NULL},
	[CONF_KEY_CONNECTIONS] = {"connections", NULL},
	[CONF_KEY_THREADS] = {"threads", NULL},
	[CONF_KEY_DEVICE] = {"device", NULL},
	[CONF_KEY_HOST_MEMORY_LIMIT] = {"host-memory-limit", NULL},
	[CONF_KEY_SWAP_PRIORITY] = {"swap-priority", NULL},
	[CONF_KEY_FS_TYPE] = {"fs-type", NULL},
	[CONF_KEY_MOUNT_POINT] = {"mount-point", NULL},
	[CONF_KEY_OPTIONS] = {"options", NULL},
};

/* Keys of zram-generator's that there are not, and what there is in their place. */
static const struct {
	const char *key;
	const char *why;
} refused[] = {
	{"zram-fraction", "obsolete: give zram-size, such as zram-size = ram * 0.5"},
	{"max-zram-size", "obsolete: give zram-size, such as zram-size = min(ram / 2, 4096)"},
	{"memory-limit", "obsolete: give host-memory-limit, which is what it means to "
			 "zram-generator, or zram-resident-limit, for what is stored"},
};

int conf_key_find(const char *name, enum conf_key *ret_key)
{
	for (enum conf_key key = 0; key < CONF_KEY_COUNT; key++) {
		const struct conf_key_name *names = &conf_key_names[key];

		if (strcmp(name, names->name) == 0 ||
		    (names->alias != NULL && strcmp(name, names->alias) == 0)) {
			*ret_key = key;
			return 0;
		}
	}
	return -ENOENT;
}

const char *conf_value_refused(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (strcmp(key, refused[i].key) == 0)
			return refused[i].why;
	return NULL;
}

static int refuse(const struct value *value, const char *why)
{
	snprintf(value->why, CONF_WHY_SIZE, "%s", why);
	return -EINVAL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A whole number, in decimal and nothing else, up to MAX, which is at least 9. */
static bool read_number(const char *text, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (!is_digit(*text))
		return false;
	for (; is_digit(*text); text++) {
		uint64_t digit = (uint64_t)(*text - '0');

		if (number > (max - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*ret_number = number;
	return *text == '\0';
}

/* Does the text name its unit, as sizes do? In this file, a number alone is one of MiB. */
static bool has_unit(const char *text)
{
	return *text != '\0' && !is_digit(text[strlen(text) - 1]);
}

/* A size, or an expression over ram, to whole pages, as the kernel's zram makes of it. */
static int read_size(const struct value *value, uint64_t *ret_bytes)
{
	const char *unused;
	uint64_t bytes;
	int r = -EINVAL;

	if (has_unit(value->text))
		r = conf_parse_size(value->text, &bytes, &unused);
	if (r == -ERANGE || (r == 0 && bytes > INT64_MAX)) {
		snprintf(value->why, CONF_WHY_SIZE, "too large: give less than 8388608T");
		return -ERANGE;
	}
	if (r < 0)
		r = conf_expression(value->text, value->host->ram, &bytes, value->why,
				    CONF_WHY_SIZE);
	if (r == 0)
		*ret_bytes = align_up(bytes, PAGE);
	return r;
}

static int set_size(const struct value *value)
{
	return read_size(value, &value->device->size);
}

static int set_mem_limit(const struct value *value)
{
	return read_size(value, &value->device->mem_limit);
}

/* The names that the plugin knows, for when nobody checks levels. */
static int check_name(const struct conf_algorithm *method, char *why)
{
	if (strcmp(method->name, "lz4") == 0 || strcmp(method->name, "zstd") == 0)
		return 0;
	snprintf(why, CONF_WHY_SIZE, "no such algorithm: give %s",
		 "lz4, lz4(level=N), zstd or zstd(level=N)");
	return -EINVAL;
}

static int set_algorithm(const struct value *value)
{
	const char *text = *value->text == '\0' ? CONF_DEFAULT_ALGORITHM : value->text;
	struct conf_algorithms algorithms;
	const char *why;
	int r;

	r = conf_parse_algorithms(text, &algorithms, &why);
	if (r < 0)
		return refuse(value, why);
	for (unsigned int i = 0; i < algorithms.count && r == 0; i++) {
		const struct conf_algorithm *one = &algorithms.algorithms[i];

		if (value->host->check_algorithm != NULL)
			r = value->host->check_algorithm(one, value->why, CONF_WHY_SIZE);
		else
			r = check_name(one, value->why);
	}
	if (r < 0)
		return -EINVAL;
	value->device->algorithm = text;
	value->device->algorithms = algorithms;
	return 0;
}

static int set_recompress_age(const struct value *value)
{
	const char *why;
	int r = conf_parse_recompress_age(value->text, &value->device->recompress_age, &why);

	return r < 0 ? refuse(value, why) : 0;
}

static int set_recompress_cpu(const struct value *value)
{
	const char *why;
	int r = conf_parse_recompress_cpu(value->text, &value->device->recompress_cpu, &why);

	return r < 0 ? refuse(value, why) : 0;
}

static int set_choice(const struct value *value, const struct conf_choice *choice, int *ret_index)
{
	const char *why;
	int r;

	r = conf_parse_choice(choice, value->text, ret_index, &why);
	return r < 0 ? refuse(value, why) : 0;
}

static int set_filter(const struct value *value)
{
	int index;
	int r = set_choice(value, &conf_filter_choice, &index);

	if (r == 0)
		value->device->filter = (enum conf_filter)index;
	return r;
}

static int set_compact(const struct value *value)
{
	int index;
	int r = set_choice(value, &conf_compact_choice, &index);

	if (r == 0)
		value->device->compact = (enum conf_compact)index;
	return r;
}

static int set_allocator(const struct value *value)
{
	int index;
	int r = set_choice(value, &conf_allocator_choice, &index);

	if (r == 0)
		value->device->allocator = (enum conf_allocator)index;
	return r;
}

static int set_lock(const struct value *value)
{
	int index;
	int r = set_choice(value, &conf_lock_choice, &index);

	if (r == 0)
		value->device->lock = (enum conf_lock)index;
	return r;
}

static int set_writeback(const struct value *value)
{
	const char *why;
	bool remote;

	if (value->text[0] == '\0') {
		value->device->writeback = NULL;
		return 0;
	}
	if (strpbrk(value->text, " \t") != NULL ||
	    conf_parse_writeback(value->text, &remote, &why) < 0 ||
	    (!remote && value->text[0] != '/'))
		return refuse(value, "not a place to write to: give an absolute path without "
				     "blanks, of a file or of a block device, or an URI of nbd://, "
				     "nbds://, nbd+unix:// or nbds+unix://, or nothing");
	value->device->writeback = value->text;
	return 0;
}

static int set_writeback_size(const struct value *value)
{
	const char *unused;
	uint64_t bytes = 0;

	if (strcmp(value->text, "0") != 0 &&
	    (!has_unit(value->text) || conf_parse_size(value->text, &bytes, &unused) < 0 ||
	     bytes < CONF_WRITEBACK_MIN))
		return refuse(value, "not a size: give 0, for a file that is there, or a number "
				     "with K, M, G or T, at least 5M");
	value->device->writeback_size = bytes;
	return 0;
}

static int set_writeback_at(const struct value *value)
{
	const char *why;
	int r = conf_parse_writeback_at(value->text, &value->device->writeback_at, &why);

	return r < 0 ? refuse(value, why) : 0;
}

static int set_writeback_age(const struct value *value)
{
	const char *why;
	int r = conf_parse_recompress_age(value->text, &value->device->writeback_age, &why);

	return r < 0 ? refuse(value, why) : 0;
}

static int set_writeback_limit(const struct value *value)
{
	const char *unused;
	uint64_t bytes = 0;

	if (strcmp(value->text, "0") != 0 &&
	    (!has_unit(value->text) || conf_parse_size(value->text, &bytes, &unused) < 0))
		return refuse(value,
			      "not a size: give 0 for no limit, or a number with K, M, G or T");
	value->device->writeback_limit = bytes;
	return 0;
}

static int set_reserve(const struct value *value)
{
	const char *unused;
	uint64_t bytes;

	if (strcmp(value->text, "auto") == 0)
		bytes = CONF_RESERVE_AUTO;
	else if (strcmp(value->text, "0") == 0)
		bytes = 0;
	else if (!has_unit(value->text) || conf_parse_size(value->text, &bytes, &unused) < 0)
		return refuse(value, "not a size: give auto, 0, or a number with K, M, G or T");
	value->device->reserve = bytes;
	return 0;
}

/* "auto", which is 0, or 1 to MAX. */
static int set_count(const struct value *value, unsigned int max, unsigned int *ret_count)
{
	uint64_t count;

	if (strcmp(value->text, "auto") == 0) {
		*ret_count = 0;
		return 0;
	}
	if (!read_number(value->text, max, &count) || count == 0) {
		snprintf(value->why, CONF_WHY_SIZE, "not such a number: give auto, or 1 to %u",
			 max);
		return -EINVAL;
	}
	*ret_count = (unsigned int)count;
	return 0;
}

static int set_connections(const struct value *value)
{
	return set_count(value, CONF_MAX_CONNECTIONS, &value->device->connections);
}

static int set_threads(const struct value *value)
{
	return set_count(value, CONF_MAX_THREADS, &value->device->threads);
}

static int set_device(const struct value *value)
{
	uint64_t index;

	if (strcmp(value->text, "auto") == 0) {
		value->device->nbd_index = -1;
		return 0;
	}
	if (strncmp(value->text, "nbd", 3) != 0 ||
	    !read_number(value->text + 3, MAX_NBD_INDEX, &index))
		return refuse(value, "not a device: give auto, or nbd0, nbd1, ...");
	value->device->nbd_index = (int)index;
	return 0;
}

static int set_host_memory_limit(const struct value *value)
{
	uint64_t mib;

	if (strcmp(value->text, "none") == 0)
		mib = CONF_NO_HOST_LIMIT;
	else if (!read_number(value->text, UINT64_MAX - 1, &mib))
		return refuse(value, "not a limit: give none, or a whole number of MiB");
	value->device->host_memory_limit = mib;
	return 0;
}

static int set_swap_priority(const struct value *value)
{
	uint64_t priority;

	if (strcmp(value->text, "-1") == 0) {
		value->device->swap_priority = -1;
		return 0;
	}
	if (!read_number(value->text, MAX_PRIORITY, &priority))
		return refuse(value,
			      "not a priority: give -1 to 32767, higher ones are used first");
	value->device->swap_priority = (int)priority;
	return 0;
}

/* It becomes part of the name of a program. */
static int set_fs_type(const struct value *value)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789._+-";
	size_t len = strspn(value->text, characters);

	if (value->text[len] != '\0' || len == 0 || len > FS_TYPE_LEN_MAX ||
	    strchr(".+-", value->text[0]) != NULL)
		return refuse(value, "not a type: give swap, or the name of a file system, such as "
				     "ext4 or btrfs");
	value->device->fs_type = value->text;
	return 0;
}

/* Without "//", "/./" and a "/" at the end. NULL: ".." is in it. PATH begins with "/". */
static char *normalise(const char *path, char *to)
{
	char *end = to;

	while (*path != '\0') {
		size_t len = strcspn(path, "/");

		if (len == 2 && memcmp(path, "..", 2) == 0)
			return NULL;
		if (len > 0 && !(len == 1 && *path == '.')) {
			*end++ = '/';
			end = mempcpy(end, path, len);
		}
		path += len + (path[len] == '/');
	}
	*end = '\0';
	return to;
}

/* At the end of a line, these are none of the value's. */
static bool ends_badly(const char *path)
{
	return strchr(" \t\\", path[strlen(path) - 1]) != NULL;
}

static int set_mount_point(const struct value *value)
{
	const char *why = "not a mount point: give the absolute path of a directory other than /, "
			  "without .., or nothing";
	char *path;

	if (value->text[0] == '\0') {
		value->device->mount_point = NULL;
		return 0;
	}
	if (value->text[0] != '/')
		return refuse(value, why);
	path = conf_keep_text(value->conf, value->text);
	if (path == NULL)
		return -ENOMEM;
	if (normalise(value->text, path) == NULL || *path == '\0' || ends_badly(path))
		return refuse(value, why);
	value->device->mount_point = path;
	return 0;
}

static int set_options(const struct value *value)
{
	/* At the beginning, ; and # were a comment's, but that no blank is before them. */
	if (strpbrk(value->text, " \t") != NULL || value->text[0] == ';' || value->text[0] == '#')
		return refuse(value, "not options: give them with commas between them and no "
				     "blanks, or nothing");
	value->device->options = value->text;
	return 0;
}

static int (*const setters[CONF_KEY_COUNT])(const struct value *value) = {
	[CONF_KEY_SIZE] = set_size,
	[CONF_KEY_MEM_LIMIT] = set_mem_limit,
	[CONF_KEY_ALGORITHM] = set_algorithm,
	[CONF_KEY_FILTER] = set_filter,
	[CONF_KEY_COMPACT] = set_compact,
	[CONF_KEY_ALLOCATOR] = set_allocator,
	[CONF_KEY_RECOMPRESS_AGE] = set_recompress_age,
	[CONF_KEY_RECOMPRESS_CPU] = set_recompress_cpu,
	[CONF_KEY_WRITEBACK] = set_writeback,
	[CONF_KEY_WRITEBACK_SIZE] = set_writeback_size,
	[CONF_KEY_WRITEBACK_AT] = set_writeback_at,
	[CONF_KEY_WRITEBACK_AGE] = set_writeback_age,
	[CONF_KEY_WRITEBACK_LIMIT] = set_writeback_limit,
	[CONF_KEY_RESERVE] = set_reserve,
	[CONF_KEY_LOCK] = set_lock,
	[CONF_KEY_CONNECTIONS] = set_connections,
	[CONF_KEY_THREADS] = set_threads,
	[CONF_KEY_DEVICE] = set_device,
	[CONF_KEY_HOST_MEMORY_LIMIT] = set_host_memory_limit,
	[CONF_KEY_SWAP_PRIORITY] = set_swap_priority,
	[CONF_KEY_FS_TYPE] = set_fs_type,
	[CONF_KEY_MOUNT_POINT] = set_mount_point,
	[CONF_KEY_OPTIONS] = set_options,
};

int conf_value_set(struct conf *conf, const struct conf_host *host, struct conf_device *device,
		   enum conf_key key, const char *text, char *why)
{
	const struct value value = {
		.conf = conf, .host = host, .device = device, .text = text, .why = why};

	return setters[key](&value);
}

int conf_value_discard(const char *options, enum conf_discard *ret_discard)
{
	static const struct {
		const char *word;
		int discard; /* -1: says nothing of it */
	} words[] = {
		{"discard", CONF_DISCARD_BOTH},
		{"discard=once", CONF_DISCARD_ONCE},
		{"discard=pages", CONF_DISCARD_PAGES},
		{"defaults", -1},
		{"sw", -1},
		{"nofail", -1},
	};
	enum conf_discard discard = CONF_DISCARD_NONE;

	while (*options != '\0') {
		size_t len = strcspn(options, ",");
		size_t i = 0;

		while (i < ARRAY_SIZE(words) &&
		       (strlen(words[i].word) != len || memcmp(words[i].word, options, len) != 0))
			i++;
		if (i == ARRAY_SIZE(words))
			return -EINVAL;
		if (words[i].discard >= 0)
			discard = (enum conf_discard)words[i].discard;
		options += len + (options[len] == ',');
	}
	*ret_discard = discard;
	return 0;
}
