/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: an expression over ram comes to what arithmetic says, and what is none is refused. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"
#include "config/conf-internal.h"
#include "tests/lib/rng.h"

#define MIB	  (UINT64_C(1) << 20)
#define RAM	  UINT64_C(3000) /* MiB */
#define UNTOUCHED 0x5a5a5a5a5a5a5a5aULL

static void value_is(const char *text, double mib)
{
	char why[CONF_WHY_SIZE];
	uint64_t bytes;

	/* Half a MiB more than RAM, which is a whole number of them. */
	if (conf_expression(text, RAM * MIB + MIB / 2, &bytes, why, sizeof(why)) != 0)
		fail_msg("%s is refused: %s", text, why);
	if (bytes != (uint64_t)(mib * (double)MIB))
		fail_msg("%s: %" PRIu64 " bytes, not %f MiB", text, bytes, mib);
}

static void test_values(void **state)
{
	value_is("0", 0);
	value_is("1", 1);
	value_is("ram", RAM);
	value_is("  ram\t", RAM);
	value_is("0.5*ram", 1500);
	value_is(".5*ram", 1500);
	value_is("1.*ram", RAM);
	value_is("0.1", 0.1);
	value_is("1/3", 1.0 / 3);
	value_is("2+3*4", 14);
	value_is("(2+3)*4", 20);
	value_is("20-3-4", 13);
	value_is("20-(3-4)", 21);
	value_is("64/4/2", 8);
	value_is("64/(4/2)", 32);
	value_is("3*ram/4", 2250);
	value_is("--5", 5);
	value_is("2- -3", 5);
	value_is("+ + 5", 5);
	value_is("-2*-3", 6);
	value_is("10+-3", 7);
	value_is("-(2-5)", 3);
	value_is("-0", 0);
	value_is("min(3,1,2)", 1);
	value_is("max( 3 , 1 , 2 )", 3);
	value_is("max(7)", 7);
	value_is("min (ram, 4096)", RAM);
	value_is("min(ram/2, 4096)", 1500);
	value_is("max(-5,-7)+10", 5);
	value_is("min(min(ram, 2048) + max(ram - 2048, 0) / 2, 32 * 1024)", 2524);
	value_is("int(7.9)", 7);
	value_is("int(0-7.9)+8", 1);
	value_is("floor(0-7.1)+9", 1);
	value_is("ceil(7.1)", 8);
	value_is("round(7.5)", 8);
	value_is("abs(3-10)", 7);
	value_is("0.12345678901234", 0.12345678901234);
	value_is("3 * 0.33333333333333333333", 3 * 0.33333333333333);
	value_is("1 + 0.0000000000000000000000000000001", 1);
	value_is("8796093022207", 8796093022207.0);
}

static void refused(const char *text, int error, const char *part)
{
	char why[CONF_WHY_SIZE] = "";
	uint64_t bytes = UNTOUCHED;

	assert_int_equal(conf_expression(text, RAM * MIB, &bytes, why, sizeof(why)), error);
	if (strstr(why, part) == NULL)
		fail_msg("%s: %s: not %s", text, why, part);
	assert_int_equal(bytes, UNTOUCHED);
	/* All of it is there: how it went wrong, and what is allowed. */
	if (error == -EINVAL)
		assert_non_null(strstr(why, "or a size such as 4G"));
}

static void test_refused(void **state)
{
	static const char *const missing[] = {"",    " ",    "+",  "-",	    "2+",      "2*",
					      "()",  "2**3", "*2", "max()", "min(1,)", ".",
					      "(,)", "2+\t", "=2", "2/%",   "\xff"};
	static const char *const operators[] = {"2 3",	 "ram ram", "2(3)", "(2)3",    "ram 2",
						"2^3",	 "2%3 ",    "2,3",  "ram)",    "1.2.3",
						"1 000", "ram<5",   "2;",   "(2) ram", "2\n"};

	for (size_t i = 0; i < ARRAY_SIZE(missing); i++)
		refused(missing[i], -EINVAL, "a number, ram or ( is missing");
	for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
		refused(operators[i], -EINVAL,
			strchr(operators[i], '%') != NULL ? "no percents" : "operator is missing");
	refused("(2", -EINVAL, "a ) is missing");
	refused("max(2;3)", -EINVAL, "a ) is missing");
	refused("floor(1,2)", -EINVAL, "a ) is missing");
	refused("max", -EINVAL, "not followed by (");
	refused("max 2", -EINVAL, "not followed by (");
	refused("RAM", -EINVAL, "neither ram nor a function");
	refused("ram2", -EINVAL, "neither ram nor a function");
	refused("ra", -EINVAL, "neither ram nor a function");
	refused("sin(1)", -EINVAL, "neither ram nor a function");
	refused("inf", -EINVAL, "neither ram nor a function");
	refused("4G", -EINVAL, "a number with a unit");
	refused("1e3", -EINVAL, "a number with a unit");
	refused("0x10", -EINVAL, "a number with a unit");
	refused("50% * ram", -EINVAL, "no percents");
	refused("1234567890123456", -EINVAL, "too many digits");
	refused("999999999999999999999999.5", -EINVAL, "too many digits");
}

static void test_out_of_range(void **state)
{
	refused("-1", -ERANGE, "comes to -1 MiB: give what comes to 0 or more");
	refused("ram-4096", -ERANGE, "comes to -1096 MiB");
	refused("1/0", -ERANGE, "comes to inf MiB");
	refused("-1/0", -ERANGE, "comes to -inf MiB");
	refused("0/0", -ERANGE, "nan MiB");
	refused("8796093022208", -ERANGE, "less than 2^43");
}

static void test_depth(void **state)
{
	char text[256] = "";

	for (int i = 0; i < 31; i++)
		strcat(text, "(");
	strcat(text, "ram");
	for (int i = 0; i < 31; i++)
		strcat(text, ")");
	value_is(text, RAM);
	memmove(text + 1, text, strlen(text) + 1);
	strcat(text, ")");
	refused(text, -EINVAL, "nested too deeply");
	memset(text, '(', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	refused(text, -EINVAL, "nested too deeply");
	/* Side by side there may be more of them. */
	text[0] = '\0';
	for (int i = 0; i < 60; i++)
		strcat(text, "+(1)");
	value_is(text, 60);
	memset(text, '-', sizeof(text) - 2);
	text[sizeof(text) - 2] = '1';
	value_is(text, 1);
}

/* A random expression: its text, and beside it its value. */
struct tree {
	struct rng rng;
	char text[16384];
	size_t len;
	double ram;
};

static void add(struct tree *tree, const char *text)
{
	/* A blank here and there, but not between the letters of a word. */
	if (rng_chance(&tree->rng, 20))
		tree->text[tree->len++] = rng_chance(&tree->rng, 50) ? ' ' : '\t';
	tree->len += (size_t)snprintf(tree->text + tree->len, sizeof(tree->text) - tree->len, "%s",
				      text);
	assert_in_range(tree->len, 0, sizeof(tree->text) / 2);
}

static double grow(struct tree *tree, unsigned int depth, unsigned int binding);

static double grow_leaf(struct tree *tree)
{
	char text[32];

	if (rng_chance(&tree->rng, 30)) {
		add(tree, "ram");
		return tree->ram;
	}
	if (rng_chance(&tree->rng, 60))
		snprintf(text, sizeof(text), "%" PRIu64, rng_below(&tree->rng, 10000));
	else
		snprintf(text, sizeof(text), "%" PRIu64 ".%0*" PRIu64, rng_below(&tree->rng, 1000),
			 (int)rng_between(&tree->rng, 3, 9), rng_below(&tree->rng, 1000));
	add(tree, text);
	return strtod(text, NULL);
}

static double grow_call(struct tree *tree, unsigned int depth)
{
	static const char *const names[] = {"min", "max", "int", "floor", "ceil", "round", "abs"};
	unsigned int function = (unsigned int)rng_below(&tree->rng, ARRAY_SIZE(names));
	uint64_t more = function < 2 ? rng_below(&tree->rng, 3) : 0;
	double value;

	add(tree, names[function]);
	add(tree, "(");
	value = grow(tree, depth, 0);
	while (more-- > 0) {
		double next;

		add(tree, ",");
		next = grow(tree, depth, 0);
		if (!(value == value))
			value = next;
		else if (function == 0 ? next < value : next > value)
			value = next;
	}
	add(tree, ")");
	switch (function) {
	case 2:
		return trunc(value);
	case 3:
		return floor(value);
	case 4:
		return ceil(value);
	case 5:
		return round(value);
	case 6:
		return fabs(value);
	default:
		return value;
	}
}

/* A binary operator: 1 binds + and -, 2 * and /. What stands right of it has to bind closer. */
static double grow_pair(struct tree *tree, unsigned int depth, unsigned int binding)
{
	double left = grow(tree, depth, binding);
	bool first = rng_chance(&tree->rng, 50);
	double right;

	add(tree, binding == 1 ? (first ? "+" : "-") : (first ? "*" : "/"));
	right = grow(tree, depth, binding + 1);
	if (binding == 1)
		return first ? left + right : left - right;
	return first ? left * right : left / right;
}

/* What binds at least as close as BINDING, 3 being what needs no parentheses anywhere. */
static double grow(struct tree *tree, unsigned int depth, unsigned int binding)
{
	unsigned int kind = depth == 0 ? 0 : (unsigned int)rng_below(&tree->rng, 5);
	bool enclose = (kind == 1 || kind == 2 ? kind < binding : false) ||
		       (depth > 0 && rng_chance(&tree->rng, 10));
	double value;

	if (enclose)
		add(tree, "(");
	switch (kind) {
	case 1:
	case 2:
		value = grow_pair(tree, depth - 1, kind);
		break;
	case 3:
		value = grow_call(tree, depth - 1);
		break;
	case 4:
		add(tree, "-");
		value = -grow(tree, depth - 1, 3);
		break;
	default:
		value = grow_leaf(tree);
	}
	if (enclose)
		add(tree, ")");
	return value;
}

static void check_grown(const struct tree *tree, double value)
{
	char why[CONF_WHY_SIZE];
	uint64_t bytes = UNTOUCHED;
	bool in_range = value >= 0 && value * (double)MIB < 0x1p63;
	int r;

	r = conf_expression(tree->text, (uint64_t)tree->ram << 20, &bytes, why, sizeof(why));
	if (r != (in_range ? 0 : -ERANGE))
		fail_msg("%s gives %d: %s", tree->text, r, r < 0 ? why : "");
	if (in_range && bytes != (uint64_t)(value * (double)MIB))
		fail_msg("%s: %" PRIu64 " bytes, not %f MiB", tree->text, bytes, value);
}

static void test_random(void **state)
{
	static struct tree tree;
	uint64_t ops = test_ops(20000);
	uint64_t accepted = 0;

	tree.rng = rng_make(test_seed(0));
	for (uint64_t i = 0; i < ops; i++) {
		double value;

		tree.len = 0;
		tree.ram = (double)rng_below(&tree.rng, 1 << 20);
		value = grow(&tree, (unsigned int)rng_below(&tree.rng, 6), 0);
		tree.text[tree.len] = '\0';
		/* What is no number on the way may be one again behind a min(). */
		check_grown(&tree, value);
		accepted += value >= 0;
	}
	assert_in_range(accepted, ops / 4, ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	     cmocka_unit_test(test_refused),
		cmocka_unit_test(test_out_of_range), cmocka_unit_test(test_depth),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
