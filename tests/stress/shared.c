/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/stress/shared.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/lib/content.h"

#define PAGE	      DEVICE_PAGE_SIZE
#define SAME_WORD_TAG 0xc5u /* top byte of a page that is one word over and over */
#define THREAD_BITS   8
#define SEQUENCE_BITS 24
#define PAGE_BITS     24

struct version {
	uint64_t page, thread, sequence;
};

/* What stands at the start of every page that is not one word. */
struct header {
	uint64_t page, thread, sequence, seed;
};

void shared_init(struct shared *shared, uint64_t seed, uint64_t pages, unsigned int threads,
		 uint64_t requests)
{
	CHECK(threads < 1u << THREAD_BITS && requests < 1u << SEQUENCE_BITS &&
		      pages < 1u << PAGE_BITS,
	      "too many for a version");
	*shared = (struct shared){
		.seed = seed, .pages = pages, .threads = threads, .requests = requests};
	shared->page = calloc(pages, sizeof(*shared->page));
	shared->ticket = calloc(threads * requests, sizeof(*shared->ticket));
	CHECK(shared->page && shared->ticket, "no memory");
}

void shared_fini(struct shared *shared)
{
	free(shared->page);
	free(shared->ticket);
}

void shared_worker_init(struct shared_worker *worker, struct shared *shared, struct model *model,
			unsigned int thread, struct rng rng)
{
	worker->shared = shared;
	worker->model = model;
	worker->thread = thread;
	worker->next = 0;
	worker->rng = rng;
}

static _Atomic uint64_t *ticket_of(struct shared *shared, uint64_t thread, uint64_t sequence)
{
	return &shared->ticket[thread * shared->requests + sequence];
}

static uint64_t take_ticket(struct shared_worker *worker)
{
	uint64_t ticket = atomic_fetch_add(&worker->shared->clock, 1) + 1;

	CHECK(worker->next < worker->shared->requests, "more requests than were planned");
	atomic_store(ticket_of(worker->shared, worker->thread, worker->next++), ticket);
	return ticket;
}

static void raise_to(_Atomic uint64_t *value, uint64_t to)
{
	uint64_t now = atomic_load(value);

	while (now < to && !atomic_compare_exchange_weak(value, &now, to))
		;
}

static void make_page(const struct shared *shared, const struct version *v, uint8_t *page)
{
	static const enum content_kind kinds[] = {CONTENT_TEXT, CONTENT_POINTERS, CONTENT_INTEGERS,
						  CONTENT_INTEGERS, CONTENT_RANDOM};
	struct header header = {v->page, v->thread, v->sequence, shared->seed};
	uint64_t mixed = rng_mix(rng_mix(v->page + shared->seed) ^ (v->thread << 32) ^ v->sequence);
	struct rng rng = rng_make(mixed);
	uint64_t draw = mixed % 8;

	if (draw >= sizeof(kinds) / sizeof(kinds[0])) {
		codec_fill_word(page, (uint64_t)SAME_WORD_TAG << 56 | v->page << 32 |
					      v->thread << SEQUENCE_BITS | v->sequence);
		return;
	}
	content_fill(&rng, kinds[draw], page, PAGE);
	memcpy(page, &header, sizeof(header));
}

/* Who claims to have written it; whether that is so, comparing the whole page tells. */
static struct version read_version(const uint8_t *page)
{
	struct header header;

	memcpy(&header, page, sizeof(header));
	if (header.page >> 56 != SAME_WORD_TAG)
		return (struct version){header.page, header.thread, header.sequence};
	return (struct version){
		.page = header.page >> 32 & ((1u << PAGE_BITS) - 1),
		.thread = header.page >> SEQUENCE_BITS & ((1u << THREAD_BITS) - 1),
		.sequence = header.page & ((1u << SEQUENCE_BITS) - 1),
	};
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* DONE: the page's, as the read began. */
static void check_page(struct shared_worker *worker, uint64_t number, uint64_t done,
		       const uint8_t *page)
{
	struct shared *shared = worker->shared;
	struct shared_page *state = &shared->page[number];
	struct version v = read_version(page);
	uint64_t next;

	if (is_zero(page)) {
		CHECK(done == 0 || atomic_load(&state->zeroing) > 0 ||
			      atomic_load(&state->zero_done) > done,
		      "page %" PRIu64 " lost what request %" PRIu64 " wrote", number, done);
		return;
	}
	CHECK(v.page == number && v.thread < shared->threads && v.sequence < shared->requests,
	      "page %" PRIu64 " holds page %" PRIu64 " of thread %" PRIu64, number, v.page,
	      v.thread);
	make_page(shared, &v, worker->want);
	CHECK(memcmp(page, worker->want, PAGE) == 0,
	      "page %" PRIu64 " is torn: thread %" PRIu64 " request %" PRIu64, number, v.thread,
	      v.sequence);
	CHECK(atomic_load(ticket_of(shared, v.thread, v.sequence)) != 0,
	      "page %" PRIu64 " holds what nobody wrote", number);
	if (v.sequence + 1 == shared->requests)
		return;
	next = atomic_load(ticket_of(shared, v.thread, v.sequence + 1));
	CHECK(next == 0 || next > done,
	      "page %" PRIu64 " went back: thread %" PRIu64 " ended it before %" PRIu64
	      ", request %" PRIu64 " came later",
	      number, v.thread, next, done);
}

static void read_pages(struct shared_worker *worker, uint64_t first, uint64_t count)
{
	struct model *model = worker->model;
	int err;

	for (uint64_t i = 0; i < count; i++)
		worker->done[i] = atomic_load(&worker->shared->page[first + i].done);
	err = device_read(model->device, worker->buf, first * PAGE, count * PAGE);
	CHECK(err == 0, "read of page %" PRIu64 ": %d", first, err);
	model->expected.reads++;
	model->expected.bytes_read += count * PAGE;
	for (uint64_t i = 0; i < count; i++)
		check_page(worker, first + i, worker->done[i], worker->buf + i * PAGE);
}

static void write_pages(struct shared_worker *worker, uint64_t first, uint64_t count)
{
	struct model *model = worker->model;
	uint64_t ticket = take_ticket(worker);
	int err;

	for (uint64_t i = 0; i < count; i++) {
		struct version v = {first + i, worker->thread, worker->next - 1};

		make_page(worker->shared, &v, worker->buf + i * PAGE);
	}
	err = device_write(model->device, worker->buf, first * PAGE, count * PAGE);
	model->expected.writes++;
	if (err != 0) {
		CHECK(err == -ENOSPC, "write of page %" PRIu64 ": %d", first, err);
		model->errors++;
		model->expected.failed_writes++;
		return;
	}
	model->expected.bytes_written += count * PAGE;
	for (uint64_t i = 0; i < count; i++)
		raise_to(&worker->shared->page[first + i].done, ticket);
}

static void zero_pages(struct shared_worker *worker, uint64_t first, uint64_t count, bool trim)
{
	struct shared *shared = worker->shared;
	struct model *model = worker->model;
	uint64_t ticket = take_ticket(worker);
	uint64_t now;
	int err;

	for (uint64_t i = 0; i < count; i++)
		atomic_fetch_add(&shared->page[first + i].zeroing, 1);
	err = trim ? device_trim(model->device, first * PAGE, count * PAGE)
		   : device_zero(model->device, first * PAGE, count * PAGE);
	CHECK(err == 0, "trim of page %" PRIu64 ": %d", first, err);
	if (trim)
		model->expected.trims++;
	else
		model->expected.zeroes++;
	/* How many of them held something is a race. */
	model->unsure += count;
	now = atomic_fetch_add(&shared->clock, 1) + 1;
	for (uint64_t i = 0; i < count; i++) {
		struct shared_page *state = &shared->page[first + i];

		raise_to(&state->zero_done, now);
		raise_to(&state->done, ticket);
		atomic_fetch_sub(&state->zeroing, 1);
	}
}

void shared_request(struct shared_worker *worker)
{
	uint64_t count =
		rng_chance(&worker->rng, 80) ? 1 : rng_between(&worker->rng, 2, SHARED_MAX_PAGES);
	uint64_t first = rng_below(&worker->rng, worker->shared->pages - count + 1);
	uint64_t draw = rng_below(&worker->rng, 100);

	if (draw < 45)
		read_pages(worker, first, count);
	else if (draw < 88)
		write_pages(worker, first, count);
	else
		zero_pages(worker, first, count, draw < 94);
}

void shared_check(struct shared_worker *worker)
{
	for (uint64_t page = 0; page < worker->shared->pages; page++)
		read_pages(worker, page, 1);
}
