/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The expressions of zram-size and zram-resident-limit: numbers of MiB, ram, + - * / ( ) and some
 * functions, in double precision, as zram-generator has them.
 *
 *	sum      = product { ("+" | "-") product }
 *	product  = factor { ("*" | "/") factor }
 *	factor   = { "-" | "+" } ( number | "ram" | name "(" sum { "," sum } ")" | "(" sum ")" )
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config/conf-internal.h"

#define MIB 1048576.0
/* Deeper than anyone writes, and far from the end of any stack. */
#define MAX_DEPTH 32
#define EXACT	  UINT64_C(1000000000000000)

#define ALLOWED                                                                         \
	"give MiB as an expression of numbers, ram, + - * / ( ), min(), max(), int(), " \
	"floor(), ceil(), round(), abs(), or a size such as 4G"

enum function { MIN, MAX, INT, FLOOR, CEIL, ROUND, ABS, FUNCTIONS };

static const char *const function_names[FUNCTIONS] = {
	[MIN] = "min",	 [MAX] = "max",	    [INT] = "int", [FLOOR] = "floor",
	[CEIL] = "ceil", [ROUND] = "round", [ABS] = "abs",
};

struct parser {
	const char *at;
	double ram;
	unsigned int depth;
	const char *wrong; /* the first thing that is; NULL: nothing yet */
};

static double parse_sum(struct parser *parser);

/* isdigit() and strtod() follow the locale. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static double fail(struct parser *parser, const char *wrong)
{
	if (parser->wrong == NULL)
		parser->wrong = wrong;
	return 0;
}

static void skip_blanks(struct parser *parser)
{
	while (*parser->at == ' ' || *parser->at == '\t')
		parser->at++;
}

static bool take(struct parser *parser, char c)
{
	skip_blanks(parser);
	if (*parser->at != c)
		return false;
	parser->at++;
	return true;
}

/*
 * Integers up to EXACT are so as doubles, and the division is all that rounds. Digits of a fraction
 * that would make larger ones are passed over.
 */
static double parse_number(struct parser *parser)
{
	uint64_t mantissa = 0, divisor = 1;
	bool digits = false, point = false;

	for (; is_digit(*parser->at) || (*parser->at == '.' && !point); parser->at++) {
		if (*parser->at == '.') {
			point = true;
			continue;
		}
		digits = true;
		if (mantissa >= EXACT / 10 || divisor >= EXACT / 10) {
			if (!point)
				return fail(parser, "a number has too many digits");
			continue;
		}
		mantissa = mantissa * 10 + (uint64_t)(*parser->at - '0');
		if (point)
			divisor *= 10;
	}
	if (!digits)
		return fail(parser, "a number, ram or ( is missing");
	if (*parser->at == '%')
		return fail(parser, "there are no percents: write 0.5 * ram for 50%");
	if (is_letter(*parser->at))
		return fail(parser, "a number with a unit is whole and stands alone");
	return (double)mantissa / (double)divisor;
}

static double apply(enum function function, double value, double next)
{
	switch (function) {
	case MIN:
		return fmin(value, next);
	case MAX:
		return fmax(value, next);
	case INT:
		return trunc(value);
	case FLOOR:
		return floor(value);
	case CEIL:
		return ceil(value);
	case ROUND:
		return round(value);
	default:
		return fabs(value);
	}
}

static double parse_call(struct parser *parser, enum function function)
{
	double value;

	if (!take(parser, '('))
		return fail(parser, "a function is not followed by (");
	value = parse_sum(parser);
	if (function != MIN && function != MAX)
		value = apply(function, value, 0);
	else
		while (take(parser, ','))
			value = apply(function, value, parse_sum(parser));
	if (!take(parser, ')'))
		return fail(parser, "a ) is missing");
	return value;
}

static double parse_name(struct parser *parser)
{
	const char *name = parser->at;
	size_t len;

	while (is_letter(*parser->at) || is_digit(*parser->at))
		parser->at++;
	len = (size_t)(parser->at - name);
	if (len == 3 && memcmp(name, "ram", len) == 0)
		return parser->ram;
	for (enum function i = 0; i < FUNCTIONS; i++)
		if (strlen(function_names[i]) == len && memcmp(name, function_names[i], len) == 0)
			return parse_call(parser, i);
	return fail(parser, "there is a name that is neither ram nor a function");
}

static double parse_operand(struct parser *parser)
{
	double value;

	skip_blanks(parser);
	if (is_letter(*parser->at))
		return parse_name(parser);
	if (!take(parser, '('))
		return parse_number(parser);
	value = parse_sum(parser);
	if (!take(parser, ')'))
		return fail(parser, "a ) is missing");
	return value;
}

static double parse_factor(struct parser *parser)
{
	bool negative = false;
	double value;

	for (;;) {
		if (take(parser, '-'))
			negative = !negative;
		else if (!take(parser, '+'))
			break;
	}
	value = parse_operand(parser);
	return negative ? -value : value;
}

static double parse_product(struct parser *parser)
{
	double value = parse_factor(parser);

	for (;;) {
		if (take(parser, '*'))
			value *= parse_factor(parser);
		else if (take(parser, '/'))
			value /= parse_factor(parser);
		else
			return value;
	}
}

static double parse_sum(struct parser *parser)
{
	double value;

	if (++parser->depth > MAX_DEPTH)
		return fail(parser, "parentheses are nested too deeply");
	value = parse_product(parser);
	for (;;) {
		if (take(parser, '+'))
			value += parse_product(parser);
		else if (take(parser, '-'))
			value -= parse_product(parser);
		else
			break;
	}
	parser->depth--;
	return value;
}

int conf_expression(const char *text, uint64_t ram_bytes, uint64_t *ret_bytes, char *why,
		    size_t why_size)
{
	struct parser parser = {.at = text, .ram = (double)(ram_bytes >> 20)};
	double value = parse_sum(&parser);

	skip_blanks(&parser);
	if (parser.wrong == NULL && *parser.at != '\0')
		fail(&parser, "an operator is missing");
	if (parser.wrong != NULL) {
		snprintf(why, why_size, "not an expression: %s: %s", parser.wrong, ALLOWED);
		return -EINVAL;
	}
	/* False also for what is no number at all, such as 0 / 0. */
	if (!(value >= 0) || value * MIB >= 0x1p63) {
		snprintf(why, why_size,
			 "comes to %g MiB: give what comes to 0 or more, and less than 2^43",
			 value);
		return -ERANGE;
	}
	*ret_bytes = (uint64_t)(value * MIB);
	return 0;
}
