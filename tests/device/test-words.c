/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: the table of words counts references, keeps words apart, and says when it is full.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "device/words.h"
#include "tests/lib/rng.h"

static int setup(void **state)
{
	*state = malloc(sizeof(struct words));
	if (!*state)
		return -1;
	return words_init(*state, NULL);
}

static int teardown(void **state)
{
	words_fini(*state);
	free(*state);
	return 0;
}

static void test_references(void **state)
{
	struct words *w = *state;
	uint64_t a, b, c;

	assert_int_equal(words_get(w, UINT64_MAX, &a), 0);
	assert_int_equal(words_get(w, UINT64_MAX, &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(words_get(w, UINT64_MAX - 1, &c), 0);
	assert_int_not_equal(a, c);
	words_put(w, a);
	assert_true(words_word(w, b) == UINT64_MAX); /* one reference is left */
	words_put(w, b);
	words_put(w, c);
	for (size_t i = 0; i < WORDS_ENTRIES; i++)
		assert_int_equal(w->references[i], 0);
}

static void test_full(void **state)
{
	static uint64_t names[4 * WORDS_ENTRIES];
	struct words *w = *state;
	uint64_t n = 0, refused = 0;

	for (uint64_t i = 0; i < 4 * WORDS_ENTRIES; i++) {
		int r = words_get(w, rng_mix(i + 1) | UINT64_C(1) << 63, &names[n]);

		assert_true(r == 0 || r == -ENOSPC);
		refused += r < 0;
		if (r < 0)
			continue;
		assert_true(words_word(w, names[n]) == (rng_mix(i + 1) | UINT64_C(1) << 63));
		n++;
	}
	assert_in_range(n, WORDS_ENTRIES * 9 / 10, WORDS_ENTRIES);
	assert_true(refused > 0);
	while (n > 0)
		words_put(w, names[--n]);
	assert_int_equal(words_get(w, 1, &names[0]), 0); /* there is room again */
	words_put(w, names[0]);
}

#define THREADS 4
#define ROUNDS	50000

/* Few words, taken and put all the time: while one is held, its number means that word. */
static void *churn(void *opaque)
{
	struct words *w = opaque;
	struct rng rng = rng_make((uint64_t)(uintptr_t)&w);
	uintptr_t wrong = 0;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t word = rng_below(&rng, 64);
		uint64_t name;

		if (words_get(w, word, &name) < 0)
			continue;
		wrong += words_word(w, name) != word;
		words_put(w, name);
	}
	return (void *)wrong;
}

static void test_churn(void **state)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, *state), 0);
	for (int i = 0; i < THREADS; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_references, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_churn, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
