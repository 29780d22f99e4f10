/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: whatever a file holds, it is accepted by the rules or refused with lines that say
 * why, and so is an expression; nothing outside the text is read, and no memory lost.
 *
 * What is accepted is written down again from what is in force: it must be read as the same.
 *
 * The first byte of an input says what it is: text of a file; a file made of words, each byte one;
 * or an expression.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "config/conf-internal.h"
#include "tests/lib/check.h"
#include "tests/lib/replay.h"

#define NAME "/etc/zcram.conf"

static const struct conf_host host = {.ram = UINT64_C(4096) << 20, .cpus = 2};

/* What files are made of; a byte beyond is itself. */
static const char *const words[] = {
	"\n",
	"\n[zcram",
	"]\n",
	"\n[zram",
	"[defaults]\n",
	" = ",
	"zram-size",
	"mem-limit",
	"algorithm",
	"filter",
	"compact",
	"allocator",
	"zbud",
	"reserve",
	"lock",
	"connections",
	"threads",
	"device",
	"options",
	"host-memory-limit",
	"fs-type",
	"mount-point",
	"auto",
	"none",
	"off",
	"nbd",
	"swap",
	"zstd",
	"(level=",
	"min(",
	"ram",
	"discard",
	"/mnt",
	"swap-priority",
	" lz4",
	"(type=",
	"huge_idle",
	"threshold=",
	"recompress-age",
	"recompress-cpu",
	"writeback-device",
	"writeback-size",
	"writeback-at",
	"writeback-age",
	"writeback-limit",
};

/* The configuration that a text is, or NULL when it is refused. */
static struct conf *read_text(const char *text, size_t len)
{
	struct conf_errors errors = {0};
	struct conf *conf = calloc(1, sizeof(*conf));
	int r;

	CHECK(conf != NULL, "no memory");
	conf_read_text(conf, &host, NAME, text, len, &errors);
	r = errors.error;
	if (r == 0) {
		r = conf_resolve(conf, &host, &errors);
		CHECK(r == 0, "%d", r);
		r = errors.error;
	}
	if (r != 0) {
		CHECK(r == -EINVAL, "%d", r);
		CHECK(errors.text != NULL && strncmp(errors.text, NAME ":", sizeof(NAME)) == 0,
		      "%s", errors.text);
		conf_free(conf);
		conf = NULL;
	}
	CHECK(r != 0 || errors.text == NULL, "%s", errors.text);
	free(errors.text);
	return conf;
}

static void write_device(FILE *file, const struct conf_device *device)
{
	fprintf(file, "[%s]\n", device->name);
	for (enum conf_key key = 0; key < CONF_KEY_COUNT; key++) {
		char *value;

		CHECK(conf_print(device, key, &value) == 0, "no memory");
		/* Only what was set: a default may depend on the host, and not be spelt so. */
		if (device->origin[key].file != NULL)
			fprintf(file, "%s = %s\n", conf_key_names[key].name, value);
		free(value);
	}
}

static void check_device(const struct conf_device *device)
{
	char **parameters;

	CHECK(conf_is_name(device->name), "%s", device->name);
	CHECK(device->applies == (device->why_not == NULL), "%s", device->name);
	CHECK(device->size % 4096 == 0 && device->mem_limit % 4096 == 0, "%s", device->name);
	CHECK(!device->applies || device->size > 0, "%s", device->name);
	CHECK(device->swap == (strcmp(device->fs_type, "swap") == 0), "%s", device->fs_type);
	CHECK(device->mount_point == NULL || device->mount_point[0] == '/', "%s", device->name);
	CHECK(device->swap_priority >= -1 && device->swap_priority <= 32767, "%s", device->name);
	CHECK(conf_parameters(device, &parameters) == 0, "no memory");
	conf_free_parameters(parameters);
}

/* Is what CONF has in force, written down, read as the same? */
static void check_again(const struct conf *conf)
{
	struct conf *again;
	size_t len;
	char *text;
	FILE *file = open_memstream(&text, &len);

	CHECK(file != NULL, "no memory");
	for (size_t i = 0; i < conf_count(conf); i++)
		write_device(file, conf_at(conf, i));
	fclose(file);
	again = read_text(text, len);
	CHECK(again != NULL, "%s", text);
	CHECK(conf_count(again) == conf_count(conf), "%s", text);
	for (size_t i = 0; i < conf_count(conf); i++) {
		uint32_t keys;

		CHECK(conf_compare(conf_at(conf, i), conf_at(again, i), &keys) == 0, "no memory");
		CHECK(keys == 0 || !conf_at(conf, i)->applies, "%x: %s", keys, text);
	}
	conf_free(again);
	free(text);
}

static void fuzz_file(const char *text, size_t len)
{
	struct conf *conf = read_text(text, len);

	if (conf == NULL)
		return;
	for (size_t i = 0; i < conf_count(conf); i++)
		check_device(conf_at(conf, i));
	check_again(conf);
	conf_free(conf);
}

static void fuzz_words(const char *text, size_t len)
{
	char *file;
	size_t size;
	FILE *stream = open_memstream(&file, &size);

	CHECK(stream != NULL, "no memory");
	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte >= 128 && (size_t)(byte - 128) < ARRAY_SIZE(words))
			fputs(words[byte - 128], stream);
		else
			fputc(byte, stream);
	}
	fclose(stream);
	fuzz_file(file, size);
	free(file);
}

static void fuzz_expression(const char *text)
{
	char why[CONF_WHY_SIZE] = "";
	uint64_t bytes = 0;
	int r = conf_expression(text, host.ram, &bytes, why, sizeof(why));

	if (r == 0)
		CHECK(bytes <= INT64_MAX, "%s", text);
	else
		CHECK((r == -EINVAL || r == -ERANGE) && why[0] != '\0', "%s", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	/* A copy of its very length, so that reading past its end is seen. */
	text = malloc(size);
	CHECK(text != NULL, "no memory");
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] % 3 == 0)
		fuzz_file(text, size - 1);
	else if (data[0] % 3 == 1)
		fuzz_words(text, size - 1);
	else
		fuzz_expression(text);
	free(text);
	return 0;
}
