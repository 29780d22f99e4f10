/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: whatever text a parameter is given, its parser accepts it by the rules or refuses it
 * with a reason, and reads nothing beyond the text.
 *
 * What is accepted is checked by writing it down again: the parsers must read that as the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_refusal(int r, const char *why)
{
	check((r == -EINVAL || r == -ERANGE) && why != NULL && *why != '\0');
}

static void fuzz_size(const char *text)
{
	const char *why = NULL;
	uint64_t bytes, again;
	char written[32];
	int r;

	r = conf_parse_size(text, &bytes, &why);
	if (r != 0) {
		check_refusal(r, why);
		return;
	}
	snprintf(written, sizeof(written), "%" PRIu64, bytes);
	check(conf_parse_size(written, &again, &why) == 0 && again == bytes);
}

static void fuzz_algorithm(const char *text)
{
	struct conf_algorithm algorithm, again;
	const char *why = NULL;
	char written[64];
	int r;

	r = conf_parse_algorithm(text, &algorithm, &why);
	if (r != 0) {
		check_refusal(r, why);
		return;
	}
	check(strlen(algorithm.name) <= CONF_ALGORITHM_NAME_MAX);
	if (algorithm.has_level)
		snprintf(written, sizeof(written), "%s(level=%d)", algorithm.name, algorithm.level);
	else
		snprintf(written, sizeof(written), "%s", algorithm.name);
	check(conf_parse_algorithm(written, &again, &why) == 0);
	check(strcmp(again.name, algorithm.name) == 0);
	check(again.has_level == algorithm.has_level && again.level == algorithm.level);
}

static void fuzz_choice(const struct conf_choice *choice, const char *text)
{
	const char *why = NULL;
	int index;
	int r;

	r = conf_parse_choice(choice, text, &index, &why);
	if (r != 0) {
		check_refusal(r, why);
		return;
	}
	check(index >= 0 && index < CONF_CHOICES_MAX);
	check(strcmp(choice->words[index], text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of its very length, so that reading past its end is seen. */
	char *text = malloc(size + 1);

	check(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	fuzz_size(text);
	fuzz_algorithm(text);
	fuzz_choice(&conf_lock_choice, text);
	fuzz_choice(&conf_filter_choice, text);
	fuzz_choice(&conf_compact_choice, text);
	free(text);
	return 0;
}
