/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/age.h"

#include <errno.h>
#include <string.h>

#include "common/os.h"
#include "device/device-types.h"

_Static_assert(DEVICE_AGES == AGE_MAX + 1, "a class for each age");

void ages_init(struct ages *ages)
{
	memset(ages, 0, sizeof(*ages));
	pthread_mutex_init(&ages->lock, NULL);
	ages->tick = ages->goal = age_tick();
}

void ages_fini(struct ages *ages)
{
	pthread_mutex_destroy(&ages->lock);
}

uint64_t age_seconds(unsigned int age)
{
	return age == 0 ? 0 : ((UINT64_C(1) << (age - 1)) - 1) * AGE_TICK;
}

unsigned int age_of_seconds(uint64_t seconds)
{
	unsigned int age = seconds == 0 ? 0 : 1;

	while (age <= AGE_MAX && age_seconds(age) < seconds)
		age++;
	return age;
}

uint64_t age_tick(void)
{
	return os_now() / (AGE_TICK * UINT64_C(1000000000));
}

/* Before raising any age, with the lock held: all numbers of before are over. */
static uint64_t rise(struct ages *a)
{
	return __atomic_add_fetch(&a->rises, 1, __ATOMIC_SEQ_CST);
}

uint64_t age_remember(struct ages *a, bool raises)
{
	uint64_t number;

	pthread_mutex_lock(&a->lock);
	number = raises ? rise(a) : age_rises(a);
	pthread_mutex_unlock(&a->lock);
	return number;
}

/*
 * What the ticks since the last pass make of each age: one step, or several when the hand is late. A
 * page of age 0 may have been touched at any time since then, so of that it is one step at most.
 */
static void begin_pass(struct ages *a, uint64_t tick)
{
	a->raised[0] = 1;
	for (unsigned int age = 1; age <= AGE_MAX; age++) {
		unsigned int to = age;
		uint64_t at = a->tick;

		while (to < AGE_MAX && (at >> to) + 1 <= tick >> to) {
			at = ((at >> to) + 1) << to;
			to++;
		}
		a->raised[age] = (uint8_t)to;
	}
	a->goal = tick;
	a->leaf = 0;
	a->stale = false;
	memset(a->counted, 0, sizeof(a->counted));
}

static void publish(struct ages *a)
{
	for (unsigned int age = 0; age <= AGE_MAX; age++)
		store_relaxed(&a->pages[age], a->counted[age]);
}

/* The page's age is TO from now on, if nobody has touched or locked it meanwhile. The age it has. */
static unsigned int raise_to(slot_word *slot, slot_word word, unsigned int to)
{
	if (slot_age(word) == to || word & SLOT_LOCK)
		return slot_age(word);
	if (__atomic_compare_exchange_n(slot, &word, slot_aged(word, to), false, __ATOMIC_SEQ_CST,
					__ATOMIC_RELAXED))
		return to;
	return slot_age(word);
}

static void walk_leaf(struct device *d, uint64_t leaf, const uint8_t raised[AGE_MAX + 1])
{
	uint64_t first = leaf * SLOTS_PER_LEAF;
	uint64_t end = min_u64(first + SLOTS_PER_LEAF, d->pages);

	if (!leaf_ready(d, first))
		return;
	for (uint64_t page = first; page < end; page++) {
		slot_word word = load_relaxed(&d->slots[page]);

		if (slot_state(word) == SLOT_POOL)
			d->ages.counted[raise_to(&d->slots[page], word, raised[slot_age(word)])]++;
	}
}

bool age_step(struct device *d, uint64_t tick)
{
	struct ages *a = &d->ages;
	uint64_t end;
	bool more;

	pthread_mutex_lock(&a->lock);
	if (a->goal == a->tick && tick > a->tick)
		begin_pass(a, tick);
	more = a->goal != a->tick;
	if (more) {
		rise(a);
		end = min_u64(a->leaf + AGE_STEP, d->nr_leaves);
		for (; a->leaf < end; a->leaf++)
			walk_leaf(d, a->leaf, a->raised);
		more = a->leaf < d->nr_leaves;
	}
	if (!more && a->goal != a->tick) {
		a->tick = a->goal;
		if (!a->stale)
			publish(a);
	}
	pthread_mutex_unlock(&a->lock);
	return more;
}

int device_idle(struct device *d, uint64_t seconds, uint64_t *ret_pages)
{
	struct ages *a = &d->ages;
	unsigned int least = age_of_seconds(seconds);
	uint8_t raised[AGE_MAX + 1];

	if (least > AGE_MAX)
		return -ERANGE;
	for (unsigned int age = 0; age <= AGE_MAX; age++)
		raised[age] = (uint8_t)(age >= least ? AGE_MAX : age);
	pthread_mutex_lock(&a->lock);
	memset(a->counted, 0, sizeof(a->counted));
	a->stale = true; /* of a pass that is under way the rest would be counted alone */
	rise(a);
	for (uint64_t leaf = 0; leaf < d->nr_leaves; leaf++)
		walk_leaf(d, leaf, raised);
	publish(a);
	*ret_pages = a->counted[AGE_MAX];
	pthread_mutex_unlock(&a->lock);
	return 0;
}

uint64_t device_idle_max(void)
{
	return age_seconds(AGE_MAX);
}

void device_get_ages(struct device *d, struct device_age ret_ages[DEVICE_AGES])
{
	for (unsigned int age = 0; age <= AGE_MAX; age++)
		ret_ages[age] = (struct device_age){
			.seconds = age_seconds(age),
			.pages = load_relaxed(&d->ages.pages[age]),
		};
}
