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

/* The seconds of a unit; 0 when it is none. */
static uint64_t parse_unit(const char *text)
{
	if (*text != '\0' && text[1] != '\0')
		return 0;
	switch (*text) {
	case '\0':
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	default:
		return 0;
	}
}

int conf_parse_time(const char *text, uint64_t *ret_seconds, const char **ret_why)
{
	uint64_t value, unit;
	const char *end;
	int r = parse_digits(text, UINT64_MAX, &value, &end);

	unit = r < 0 ? 0 : parse_unit(end);
	if (r == -ERANGE || (unit > 0 && value > UINT64_MAX / unit)) {
		*ret_why = "too large: a time is less than 2^64 seconds";
		return -ERANGE;
	}
	if (unit == 0) {
		*ret_why = "not a time: give seconds, or a number with s, m, h or d";
		return -EINVAL;
	}
	*ret_seconds = value * unit;
	return 0;
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

const struct conf_choice conf_allocator_choice = {
	.words = {"zspage", "zbud"},
	.why = "not a choice: give zspage or zbud",
};

const struct conf_choice conf_cold_choice = {
	.words = {[CONF_COLD_IDLE] = "idle",
		  [CONF_COLD_HUGE] = "huge",
		  [CONF_COLD_HUGE_IDLE] = "huge_idle"},
	.why = "not a type: give type=idle, type=huge or type=huge_idle",
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

/* The next word of a list, and what is behind it; it is cut out of TEXT. NULL: there is none. */
static char *next_word(char **text)
{
	char *word = *text + strspn(*text, " \t");
	size_t len = strcspn(word, " \t");

	if (len == 0)
		return NULL;
	*text = word + len + (word[len] != '\0');
	word[len] = '\0';
	return word;
}

/* One of "type=WORD" and "threshold=BYTES". */
static int parse_cold_item(char *item, struct conf_algorithms *algorithms, const char **ret_why)
{
	static const char type[] = "type=", threshold[] = "threshold=";
	int cold, r;

	if (strncmp(item, type, sizeof(type) - 1) == 0) {
		r = conf_parse_choice(&conf_cold_choice, item + sizeof(type) - 1, &cold, ret_why);
		if (r == 0)
			algorithms->cold = (enum conf_cold)cold;
		return r;
	}
	if (strncmp(item, threshold, sizeof(threshold) - 1) == 0)
		return conf_parse_size(item + sizeof(threshold) - 1, &algorithms->threshold,
				       ret_why);
	*ret_why = "not what is compressed again: give (type=idle), (type=huge) or "
		   "(type=huge_idle), with ,threshold=BYTES";
	return -EINVAL;
}

/* "(ITEM,ITEM)", the last of a list. */
static int parse_cold(char *word, struct conf_algorithms *algorithms, const char **ret_why)
{
	size_t len = strlen(word);
	char *item = word + 1;
	int r = 0;

	if (algorithms->count == 0)
		return -EINVAL; /* where an algorithm ought to be */
	if (algorithms->count == 1) {
		*ret_why = "with one algorithm nothing is compressed again: give a second one "
			   "before (type=)";
		return -EBADMSG;
	}
	if (word[len - 1] != ')') {
		*ret_why = "not what is compressed again: the ) is missing";
		return -EBADMSG;
	}
	word[len - 1] = '\0';
	while (r == 0 && item != NULL) {
		char *one = strsep(&item, ",");

		r = parse_cold_item(one, algorithms, ret_why);
	}
	return r < 0 ? -EBADMSG : 0;
}

/* The next of a list. */
static int parse_one(const char *word, struct conf_algorithms *algorithms, const char **ret_why)
{
	if (algorithms->count == CONF_ALGORITHMS_MAX) {
		*ret_why = "too many algorithms: give at most 4";
		return -EBADMSG;
	}
	return conf_parse_algorithm(word, &algorithms->algorithms[algorithms->count++], ret_why);
}

#define ALGORITHMS_TEXT_MAX 255

int conf_parse_algorithms(const char *text, struct conf_algorithms *ret_algorithms,
			  const char **ret_why)
{
	struct conf_algorithms algorithms = {0};
	char copy[ALGORITHMS_TEXT_MAX + 1], *rest = copy, *word;
	size_t len = strlen(text);
	bool ended = false;
	int r = 0;

	*ret_why = "not an algorithm: give NAME or NAME(level=N), N a whole number";
	if (len > ALGORITHMS_TEXT_MAX)
		return -EINVAL;
	memcpy(copy, text, len + 1);
	while (r == 0 && (word = next_word(&rest)) != NULL) {
		if (ended) {
			*ret_why = "nothing may stand behind what is compressed again, (type=)";
			return -EBADMSG;
		}
		ended = *word == '(';
		r = ended ? parse_cold(word, &algorithms, ret_why)
			  : parse_one(word, &algorithms, ret_why);
	}
	if (r == 0 && algorithms.count == 0)
		r = -EINVAL;
	if (r == 0)
		*ret_algorithms = algorithms;
	return r;
}

int conf_parse_recompress_age(const char *text, uint64_t *ret_seconds, const char **ret_why)
{
	uint64_t seconds;
	int r = conf_parse_time(text, &seconds, ret_why);

	if (r == 0 && seconds > CONF_RECOMPRESS_AGE_MAX) {
		*ret_why = "too long: give at most 262128 seconds: what is older is idle by itself";
		r = -ERANGE;
	}
	if (r == 0)
		*ret_seconds = seconds;
	return r;
}

int conf_parse_recompress_cpu(const char *text, unsigned int *ret_percent, const char **ret_why)
{
	const char *end;
	uint64_t percent;

	if (parse_digits(text, 100, &percent, &end) < 0 || *end != '\0' || percent == 0) {
		*ret_why = "not a share of one CPU: give 1 to 100, in percent";
		return -EINVAL;
	}
	*ret_percent = (unsigned int)percent;
	return 0;
}

int conf_parse_writeback(const char *text, bool *ret_remote, const char **ret_why)
{
	static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"};
	bool remote = false;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		remote |= strncmp(text, schemes[i], strlen(schemes[i])) == 0;
	if (*text == '\0' || (!remote && strstr(text, "://") != NULL)) {
		*ret_why = "not a place to write to: give the path of a file or of a block device, "
			   "or an URI of nbd://, nbds://, nbd+unix:// or nbds+unix://";
		return -EINVAL;
	}
	*ret_remote = remote;
	return 0;
}

int conf_parse_writeback_at(const char *text, unsigned int *ret_percent, const char **ret_why)
{
	const char *end;
	uint64_t percent;

	if (parse_digits(text, 100, &percent, &end) < 0 || *end != '\0') {
		*ret_why = "not a share of the limit: give 1 to 100, in percent, or 0 for never";
		return -EINVAL;
	}
	*ret_percent = (unsigned int)percent;
	return 0;
}
