/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/config.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* isdigit() and strtoull() follow the locale and take signs and blanks; parameters do not. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
}

/* Digits up to the first other character. -EINVAL: there is none; -ERANGE: beyond MAX. */
static int parse_digits(const char *text, uint64_t max, uint64_t *ret_value, const char **ret_end)
{
	uint64_t value = 0;

	if (!is_digit(*text))
		return -EINVAL;
	for (; is_digit(*text); text++) {
		unsigned int digit = (unsigned int)(*text - '0');

		if (value > (max - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	*ret_value = value;
	*ret_end = text;
	return 0;
}

/* The shift that a suffix stands for; -EINVAL when it is none. */
static int parse_suffix(const char *text)
{
	static const char units[] = "KMGT";
	const char *unit;

	if (*text == '\0')
		return 0;
	/* The only bit in which the two cases of an ASCII letter differ. */
	unit = memchr(units, *text & ~0x20, sizeof(units) - 1);
	if (unit == NULL || (text[1] != '\0' && strcmp(text + 1, "iB") != 0))
		return -EINVAL;
	return 10 * (int)(unit - units + 1);
}

int conf_parse_size(const char *text, uint64_t *ret_bytes, const char **ret_why)
{
	uint64_t value;
	const char *end;
	int shift;
	int r;

	r = parse_digits(text, UINT64_MAX, &value, &end);
	if (r == -ERANGE)
		goto too_large;
	shift = r < 0 ? r : parse_suffix(end);
	if (shift < 0) {
		*ret_why = "not a size: give bytes, or a number with K, M, G or T (1K = 1024)";
		return -EINVAL;
	}
	if (value > UINT64_MAX >> shift)
		goto too_large;
	*ret_bytes = value << shift;
	return 0;

too_large:
	*ret_why = "too large: a size is less than 2^64 bytes (16777216T)";
	return -ERANGE;
}

/* A whole number from INT_MIN to INT_MAX. */
static int parse_int(const char *text, int *ret_value, const char **ret_end)
{
	bool negative = *text == '-';
	uint64_t value;
	int r;

	r = parse_digits(text + negative, (uint64_t)INT_MAX + negative, &value, ret_end);
	if (r < 0)
		return r;
	*ret_value = (int)(negative ? -(int64_t)value : (int64_t)value);
	return 0;
}

/* "(level=N)" and nothing behind it. */
static int parse_level(const char *text, int *ret_level)
{
	static const char opening[] = "(level=";
	const char *end;
	int r;

	if (strncmp(text, opening, sizeof(opening) - 1) != 0)
		return -EINVAL;
	r = parse_int(text + sizeof(opening) - 1, ret_level, &end);
	if (r < 0)
		return r;
	return strcmp(end, ")") == 0 ? 0 : -EINVAL;
}

int conf_parse_algorithm(const char *text, struct conf_algorithm *ret_algorithm,
			 const char **ret_why)
{
	struct conf_algorithm algorithm = {0};
	size_t len = 0;
	int r = 0;

	while (is_name(text[len]))
		len++;
	if (len == 0 || len > CONF_ALGORITHM_NAME_MAX) {
		r = -EINVAL;
	} else if (text[len] != '\0') {
		algorithm.has_level = true;
		r = parse_level(text + len, &algorithm.level);
	}
	if (r < 0) {
		*ret_why =
			r == -ERANGE
				? "no such level: it is far out of every algorithm's range"
				: "not an algorithm: give NAME or NAME(level=N), N a whole number";
		return r;
	}
	memcpy(algorithm.name, text, len);
	*ret_algorithm = algorithm;
	return 0;
}

const struct conf_choice conf_lock_choice = {
	.words = {"auto", "on", "off"},
	.why = "not a choice: give auto, on or off",
};

const struct conf_choice conf_filter_choice = {
	.words = {"auto", "none"},
	.why = "not a choice: give auto or none",
};

const struct conf_choice conf_compact_choice = {
	.words = {"auto", "off"},
	.why = "not a choice: give auto or off",
};

const struct conf_choice conf_pool_at_exit_choice = {
	.words = {[CONF_POOL_REMOVE] = "remove", [CONF_POOL_KEEP] = "keep"},
	.why = "not a choice: give remove or keep",
};

int conf_parse_choice(const struct conf_choice *choice, const char *text, int *ret_index,
		      const char **ret_why)
{
	for (int i = 0; choice->words[i] != NULL; i++) {
		if (strcmp(choice->words[i], text) == 0) {
			*ret_index = i;
			return 0;
		}
	}
	*ret_why = choice->why;
	return -EINVAL;
}
