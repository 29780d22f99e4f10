/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/background.h"

#include <errno.h>

#include "common/os.h"
#include "common/threads.h"
#include "device/device-types.h"
#include "device/recompress.h"
#include "device/settings.h"

/* Between two steps of the hand: nobody is in a hurry. */
#define PAUSE_MS 1

/* While the reserve is low: until it is asked again. */
#define LOW_MS 250

/* The same for what is done by hand: it goes on then, whatever there is. */
#define AWAIT_MS 20

/* Errands. */

enum errand_state { ERRAND_NONE, ERRAND_ASKED, ERRAND_DONE, ERRAND_STOP };

static uint32_t errand_state(struct errand *e)
{
	return __atomic_load_n(&e->state, __ATOMIC_SEQ_CST);
}

static void errand_set(struct errand *e, uint32_t state)
{
	__atomic_store_n(&e->state, state, __ATOMIC_SEQ_CST);
	os_wake(&e->state, true);
}

static bool is_stopping(const struct background *b)
{
	return __atomic_load_n(&b->stop, __ATOMIC_SEQ_CST) != 0;
}

static void *proxy_main(void *opaque)
{
	struct device *d = opaque;
	struct errand *e = &d->background.errand;

	os_thread_name("zcram-proxy");
	os_thread_urgent(false);
	for (;;) {
		uint32_t state = errand_state(e);

		if (state == ERRAND_ASKED) {
			uint64_t start = os_thread_cpu();

			e->fn(d, e->opaque);
			e->cpu = os_thread_cpu() - start;
			errand_set(e, ERRAND_DONE);
		} else if (state == ERRAND_STOP) {
			return NULL;
		} else {
			os_wait(&e->state, state, -1);
		}
	}
}

/* Have FN(d, OPAQUE) called by a thread that may take locks, and wait. The CPU time that it took. */
static uint64_t by_proxy(struct device *d, void (*fn)(struct device *d, void *opaque), void *opaque)
{
	struct errand *e = &d->background.errand;

	e->fn = fn;
	e->opaque = opaque;
	errand_set(e, ERRAND_ASKED);
	while (errand_state(e) != ERRAND_DONE)
		os_wait(&e->state, ERRAND_ASKED, -1);
	__atomic_store_n(&e->state, ERRAND_NONE, __ATOMIC_SEQ_CST);
	return e->cpu;
}

static void fetch(struct device *d, void *opaque)
{
	recompress_fetch(d, opaque);
}

static void place(struct device *d, void *opaque)
{
	recompress_place(d, opaque, false);
}

static void drop(struct device *d, void *opaque)
{
	recompressor_free(opaque);
}

static void tend(struct device *d, void *opaque)
{
	training_step(d, opaque);
}

/* The cold thread. */

/* One batch. False: the round is over. */
static bool do_batch(struct device *d, struct recompressor *r)
{
	uint64_t start = os_thread_cpu(), others = 0;
	bool more = recompress_gather(d, r);

	if (r->count > 0) {
		others = by_proxy(d, fetch, r);
		recompress_squeeze(d, r);
		others += by_proxy(d, place, r);
	}
	bump(&d->background.cpu_ns, os_thread_cpu() - start + others);
	return more;
}

/* NEW is to take the place of OLD, or of NULL: what OLD was to try again, and may not have, is for it. */
static void inherit(struct recompressor *new, const struct recompressor *old)
{
	if (old)
		new->rule.again |= old->rule.again;
}

/* True: there is another recompressor now. */
static bool take_pending(struct device *d)
{
	struct background *b = &d->background;
	struct recompressor *r = __atomic_exchange_n(&b->pending, NULL, __ATOMIC_SEQ_CST);

	if (!r)
		return false;
	inherit(r, b->current);
	by_proxy(d, drop, b->current);
	b->current = r;
	return true;
}

bool background_is_canceled(const struct background *b)
{
	return is_stopping(b) || __atomic_load_n(&b->cancel, __ATOMIC_SEQ_CST) != 0;
}

static void cold_sleep(struct background *b, int milliseconds)
{
	os_wait(&b->poked, 0, milliseconds);
	__atomic_exchange_n(&b->poked, 0, __ATOMIC_SEQ_CST);
}

/* The reserve is filled soon, or there is no memory: then pages are left as they are. */
static void await_reserve(struct device *d)
{
	if (zs_reserve_is_low(d->pool))
		cold_sleep(&d->background, AWAIT_MS);
}

static void do_order(struct device *d)
{
	struct background *b = &d->background;
	struct background_order *order = __atomic_load_n(&b->order, __ATOMIC_SEQ_CST);
	bool more = true;

	if (!order)
		return;
	bump(&b->cpu_ns, by_proxy(d, tend, order->recompressor));
	while (more && !background_is_canceled(b)) {
		age_step(d, age_tick());
		await_reserve(d);
		more = do_batch(d, order->recompressor);
	}
	order->canceled = more;
	__atomic_store_n(&b->order, NULL, __ATOMIC_SEQ_CST);
	__atomic_store_n(&order->done, 1, __ATOMIC_SEQ_CST);
	os_wake(&order->done, true);
}

/* What the cold thread remembers from turn to turn. */
struct turns {
	uint64_t tick;	/* of the round */
	bool more;	/* the round is not over */
	uint64_t ready; /* os_now() from which on there may be another */
};

/* One turn of the work that nobody has ordered, if it is time for it. */
static void do_turn(struct device *d, struct turns *turns)
{
	struct background *b = &d->background;
	uint64_t now = os_now(), before = b->cpu_ns;

	if (now < turns->ready)
		return;
	if (zs_reserve_is_low(d->pool)) {
		turns->ready = now + LOW_MS * NS_PER_MS;
		return;
	}
	turns->more = do_batch(d, b->current);
	/* What was tried before by other methods has been tried again now, once. */
	b->current->rule.again &= turns->more;
	turns->ready = now + (b->cpu_ns - before) * 100 / b->current->cold.cpu;
	/* Not to compress the same again and again for nothing. */
	if (b->current->starved)
		turns->ready = max_u64(turns->ready, now + LOW_MS * NS_PER_MS);
}

/* Its dictionary comes out of the same share. */
static void prepare_round(struct device *d, struct turns *turns)
{
	struct background *b = &d->background;
	uint64_t cpu = by_proxy(d, tend, b->current);

	store_relaxed(&b->memory, b->current->memory);
	bump(&b->cpu_ns, cpu);
	turns->ready = max_u64(turns->ready, os_now() + cpu * 100 / b->current->cold.cpu);
}

/* A round begins with each tick, for it is then that pages have grown old, and with new settings. */
static void begin_round(struct device *d, struct turns *turns)
{
	struct recompressor *r = d->background.current;

	turns->tick = d->ages.tick; /* this thread's to write */
	turns->more = r->cold.methods_count > 0;
	r->at = 0;
	r->done = 0;
	if (turns->more && !zs_reserve_is_low(d->pool))
		prepare_round(d, turns);
}

/* Milliseconds until there is something to do: for the hand, for a turn, or with the next tick. */
static int rest_ms(bool hand, const struct turns *turns)
{
	const uint64_t tick = AGE_TICK * UINT64_C(1000000000);
	uint64_t now = os_now(), rest = tick - now % tick;

	if (hand)
		rest = PAUSE_MS * NS_PER_MS;
	if (turns->more)
		rest = min_u64(rest, turns->ready > now ? turns->ready - now : 0);
	return (int)div_round_up(rest, NS_PER_MS);
}

static void *cold_main(void *opaque)
{
	struct device *d = opaque;
	struct background *b = &d->background;
	struct turns turns = {.tick = d->ages.tick};
	bool other = true;

	os_thread_name("zcram-cold");
	os_thread_urgent(false);
	os_thread_idle(); /* where that is forbidden, it does its work all the same */
	while (!is_stopping(b)) {
		bool hand = age_step(d, age_tick());
		int rest;

		other = take_pending(d) || other;
		do_order(d);
		if (other || (!turns.more && turns.tick != d->ages.tick))
			begin_round(d, &turns);
		other = false;
		if (turns.more)
			do_turn(d, &turns);
		rest = rest_ms(hand, &turns);
		if (rest > 0)
			cold_sleep(b, rest);
	}
	do_order(d); /* who waits is told that it is over */
	return NULL;
}

static void poke(struct background *b)
{
	__atomic_store_n(&b->poked, 1, __ATOMIC_SEQ_CST);
	os_wake(&b->poked, true);
}

/* From outside. */

void background_init(struct background *b)
{
	pthread_mutex_init(&b->place_lock, NULL);
	training_init(&b->training);
}

void background_fini(struct background *b)
{
	recompressor_free(b->current);
	pthread_mutex_destroy(&b->place_lock);
}

int background_start(struct device *d)
{
	struct background *b = &d->background;
	int r;

	b->stop = b->cancel = b->poked = 0;
	b->errand.state = ERRAND_NONE;
	r = thread_begin(&b->proxy, proxy_main, d);
	if (r < 0)
		return r;
	r = thread_begin(&b->cold, cold_main, d);
	if (r < 0) {
		errand_set(&b->errand, ERRAND_STOP);
		pthread_join(b->proxy, NULL);
		return r;
	}
	__atomic_store_n(&b->running, true, __ATOMIC_SEQ_CST);
	return 0;
}

void background_stop(struct device *d)
{
	struct background *b = &d->background;

	if (!b->running)
		return;
	__atomic_store_n(&b->running, false, __ATOMIC_SEQ_CST);
	__atomic_store_n(&b->stop, 1, __ATOMIC_SEQ_CST);
	poke(b);
	os_thread_normal(b->cold); /* where that is forbidden, it takes as long as it takes */
	pthread_join(b->cold, NULL);
	errand_set(&b->errand, ERRAND_STOP);
	pthread_join(b->proxy, NULL);
	b->stop = 0;
	if (b->pending) {
		inherit(b->pending, b->current);
		recompressor_free(b->current);
		b->current = b->pending;
		b->pending = NULL;
	}
}

void background_set(struct device *d, struct recompressor *r)
{
	struct background *b = &d->background;
	struct recompressor *old;

	store_relaxed(&b->memory, r->memory);
	if (__atomic_load_n(&b->running, __ATOMIC_SEQ_CST)) {
		old = __atomic_exchange_n(&b->pending, NULL, __ATOMIC_SEQ_CST);
		inherit(r, old);
		__atomic_store_n(&b->pending, r, __ATOMIC_SEQ_CST);
		poke(b);
	} else {
		old = b->current;
		inherit(r, old);
		b->current = r;
	}
	recompressor_free(old);
}

int background_prefault(struct device *d)
{
	struct recompressor *r = d->background.current;

	return r && r->memory > 0 ? recompressor_prefault(r) : 0;
}

/* By the caller, whom nobody is served beside. */
static bool run_here(struct device *d, struct recompressor *r)
{
	bool more = true;

	training_step(d, r);
	while (more && !background_is_canceled(&d->background)) {
		more = recompress_gather(d, r);
		recompress_fetch(d, r);
		recompress_squeeze(d, r);
		recompress_place(d, r, true);
	}
	return more;
}

static int run_there(struct device *d, struct recompressor *r, bool *ret_canceled)
{
	struct background *b = &d->background;
	struct background_order order = {.recompressor = r}, *none = NULL;

	if (!__atomic_compare_exchange_n(&b->order, &none, &order, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return -EBUSY;
	poke(b);
	while (__atomic_load_n(&order.done, __ATOMIC_SEQ_CST) == 0)
		os_wait(&order.done, 0, -1);
	*ret_canceled = order.canceled;
	return 0;
}

/* The methods in force, or the one that is given. */
static struct device_cold cold_of(struct device *d, const struct device_recompress *order)
{
	struct device_settings settings;

	device_get_settings(d, &settings);
	if (order->has_method) {
		settings.cold.methods_count = 1;
		settings.cold.methods[0] = order->method;
		settings.cold.methods[0].filter = settings_cold_filter(order->method.filter);
	}
	return settings.cold;
}

int device_recompress(struct device *d, const struct device_recompress *order,
		      struct device_recompressed *ret)
{
	struct device_cold cold = cold_of(d, order);
	struct recompress_rule rule = {
		.raw = order->type == DEVICE_COLD_HUGE || order->type == DEVICE_COLD_HUGE_IDLE,
		.again = order->has_method,
		.threshold = order->threshold,
		.max_pages = order->max_pages,
	};
	struct recompressor *r;
	bool canceled = false;
	int err;

	if (order->type == DEVICE_COLD_IDLE || order->type == DEVICE_COLD_HUGE_IDLE)
		rule.age = AGE_MAX;
	*ret = (struct device_recompressed){0};
	if (cold.methods_count == 0)
		return -ENOENT;
	err = recompressor_new(d, &cold, &rule, &r);
	if (err < 0)
		return err;
	if (__atomic_load_n(&d->background.running, __ATOMIC_SEQ_CST))
		err = run_there(d, r, &canceled);
	else
		canceled = run_here(d, r);
	*ret = r->result;
	recompressor_free(r);
	return err == 0 && canceled ? -ECANCELED : err;
}

void device_cancel(struct device *d)
{
	__atomic_store_n(&d->background.cancel, 1, __ATOMIC_SEQ_CST);
	writeback_wake(device_writeback_of(d));
}
