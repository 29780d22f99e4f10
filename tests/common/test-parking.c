/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: threads that contend for one bit and sleep for it: none is left sleeping. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/parking.h"

#define THREADS 8
#define ROUNDS	20000

struct shared {
	struct parking parking;
	uint32_t taken;
	uint64_t plain; /* protected by taken */
	bool all;	/* wake all who wait, or one */
};

static bool try_take(struct shared *s)
{
	return __atomic_exchange_n(&s->taken, 1, __ATOMIC_SEQ_CST) == 0;
}

static void take(struct shared *s)
{
	while (!try_take(s)) {
		uint32_t sequence = parking_enter(&s->parking);

		if (try_take(s)) {
			parking_leave(&s->parking);
			return;
		}
		parking_wait(&s->parking, sequence);
	}
}

static void *work(void *opaque)
{
	struct shared *s = opaque;

	for (int i = 0; i < ROUNDS; i++) {
		take(s);
		s->plain++;
		__atomic_exchange_n(&s->taken, 0, __ATOMIC_SEQ_CST);
		parking_notify(&s->parking, s->all);
	}
	return NULL;
}

static void contend(bool all)
{
	struct shared shared = {.all = all};
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &shared), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(shared.plain, (uint64_t)THREADS * ROUNDS);
	assert_int_equal(shared.parking.waiters, 0);
}

static void test_wake_all(void **state)
{
	contend(true);
}

static void test_wake_one(void **state)
{
	contend(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake_all),
		cmocka_unit_test(test_wake_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
