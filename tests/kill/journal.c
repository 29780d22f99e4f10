/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/kill/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "codec/codec.h"
#include "common/util.h"
#include "tests/lib/allocator.h"
#include "tests/lib/check.h"
#include "tests/lib/content.h"

#define CONTENT_BITS 4
#define WORKER_BITS  5
#define TICKETS	     (UINT64_C(1) << 20) /* of a worker; memory is only had for those in use */
#define SMALLEST     24
#define FEW	     4

_Static_assert(JOURNAL_CONTENTS <= 1 << CONTENT_BITS, "a version's bits");
_Static_assert(JOURNAL_MAX_THREADS < 1 << WORKER_BITS, "a version's bits");

/* What stands at the start of every page that is not one word. */
struct header {
	uint64_t page, version, seed;
};

static void *map(uint64_t bytes, bool shared)
{
	int kind = shared ? MAP_SHARED : MAP_PRIVATE;
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);

	CHECK(at != MAP_FAILED, "no memory for the journal");
	return at;
}

struct journal *journal_new(uint64_t seed, uint64_t size, unsigned int threads, bool shared)
{
	struct journal *j = map(sizeof(*j), shared);

	CHECK(threads > 0 && threads <= JOURNAL_MAX_THREADS, "%u threads", threads);
	j->seed = seed;
	j->size = size;
	j->pages = size / PAGE;
	j->threads = threads;
	j->allocator = test_allocator();
	j->bytes = map(size, shared);
	j->steps.step = -1;
	/* So small that it is full now and then. */
	evictor_init(&j->evictor, size / 4);
	j->shared = (struct shared){
		.seed = seed,
		.pages = JOURNAL_SHARED_PAGES,
		.page = map(JOURNAL_SHARED_PAGES * sizeof(struct shared_page), shared),
		.threads = threads,
		.requests = TICKETS,
		.ticket = map(threads * TICKETS * sizeof(uint64_t), shared),
	};
	for (unsigned int i = 0; i < threads; i++)
		shared_worker_init(&j->worker[i], &j->shared, NULL, i, rng_make(seed));
	return j;
}

void journal_reset(struct journal *j)
{
	/* Gives the memory back, which then reads as zeros: faster than writing them. */
	CHECK(madvise(j->bytes, j->size, MADV_REMOVE) == 0, "cannot empty the journal");
	CHECK(madvise(j->shared.ticket, j->threads * TICKETS * sizeof(uint64_t), MADV_REMOVE) == 0,
	      "cannot empty the journal");
	memset(j->shared.page, 0, JOURNAL_SHARED_PAGES * sizeof(*j->shared.page));
	atomic_store(&j->shared.clock, 0);
	for (unsigned int i = 0; i <= JOURNAL_MAX_THREADS; i++)
		atomic_store(&j->request[i].state, REQUEST_NONE);
	for (unsigned int i = 0; i < j->threads; i++)
		j->worker[i].next = 0;
	j->allocator = (j->allocator + 1) % ZS_KINDS;
	j->formed = false;
	j->generation = 0;
}

uint64_t journal_part_size(const struct journal *j)
{
	uint64_t apart = JOURNAL_SHARED_PAGES + JOURNAL_SECTOR_PAGES;

	return (j->pages - apart) / j->threads * PAGE;
}

uint64_t journal_part_start(const struct journal *j, unsigned int worker)
{
	uint64_t apart = JOURNAL_SHARED_PAGES + JOURNAL_SECTOR_PAGES;

	return apart * PAGE + worker * journal_part_size(j);
}

/* A word of 60 bits, which a slot holds, or of 64; of each page and version another. */
static uint64_t own_word(uint64_t page, uint64_t version)
{
	uint64_t word = rng_mix(version) ^ page << 8;

	return version >> (CONTENT_BITS + WORKER_BITS) & 1 ? word | UINT64_C(1) << 63 : word >> 4;
}

void journal_make_page(const struct journal *j, uint64_t page, uint64_t version, uint8_t *buf)
{
	uint64_t mixed = rng_mix(rng_mix(page + j->seed) ^ version);
	struct header header = {page, version, j->seed};
	struct rng rng = rng_make(mixed);

	switch ((enum journal_content)(version & ((1u << CONTENT_BITS) - 1))) {
	case JOURNAL_ZEROS:
		memset(buf, 0, PAGE);
		return;
	case JOURNAL_WORD:
		codec_fill_word(buf, own_word(page, version));
		return;
	case JOURNAL_FEW_WORDS:
		codec_fill_word(buf, ~(mixed % FEW));
		return;
	case JOURNAL_TEXT:
		content_fill(&rng, CONTENT_TEXT, buf, PAGE);
		break;
	case JOURNAL_POINTERS:
		content_fill(&rng, CONTENT_POINTERS, buf, PAGE);
		break;
	case JOURNAL_INTEGERS:
		content_fill(&rng, CONTENT_INTEGERS, buf, PAGE);
		break;
	case JOURNAL_SIZED:
	case JOURNAL_SMALL:
		memset(buf, 0x77, PAGE);
		rng_bytes(&rng, buf,
			  rng_between(&rng, SMALLEST,
				      (version & ((1u << CONTENT_BITS) - 1)) == JOURNAL_SMALL
					      ? PAGE / 8
					      : PAGE));
		break;
	case JOURNAL_RAW:
	case JOURNAL_CONTENTS:
		rng_bytes(&rng, buf, PAGE);
		break;
	}
	memcpy(buf, &header, sizeof(header));
}

static uint64_t request_end(const struct request *q)
{
	return q->offset + q->count;
}

/* Where the page of AT ends, or the request if it ends before. */
static uint64_t piece_end(const struct request *q, uint64_t at)
{
	return min_u64((at / PAGE + 1) * PAGE, request_end(q));
}

/* What the request leaves in bytes AT .. NEXT - 1, of one page. */
static void make_piece(const struct journal *j, const struct request *q, uint64_t at, uint64_t next,
		       uint8_t *to)
{
	uint8_t page[PAGE];

	switch ((enum request_kind)q->kind) {
	case REQUEST_WRITE:
		journal_make_page(j, at / PAGE, q->version, page);
		memcpy(to, page + at % PAGE, next - at);
		break;
	case REQUEST_TRIM:
		if (next - at < PAGE) {
			memmove(to, j->bytes + at, next - at); /* only whole pages are trimmed */
			break;
		}
		__attribute__((fallthrough));
	case REQUEST_ZERO:
		memset(to, 0, next - at);
		break;
	}
}

static uint64_t next_version(const struct journal *j, const struct request *q,
			     enum journal_content content)
{
	uint64_t worker = (uint64_t)(q - j->request);
	uint64_t count = (q->version >> (CONTENT_BITS + WORKER_BITS)) + 1;

	return (count << WORKER_BITS | worker) << CONTENT_BITS | content;
}

void journal_intend(struct journal *j, struct request *q, enum request_kind kind, uint64_t offset,
		    uint64_t count, enum journal_content content, uint8_t *buf)
{
	q->kind = kind;
	q->offset = offset;
	q->count = count;
	q->version = next_version(j, q, content);
	for (uint64_t at = offset, next; buf && at < request_end(q); at = next) {
		next = piece_end(q, at);
		make_piece(j, q, at, next, buf + (at - offset));
	}
	atomic_store(&q->state, REQUEST_INTENDED);
}

/* Bring `bytes` up to date with a request that was acknowledged. */
static void redo(struct journal *j, struct request *q)
{
	for (uint64_t at = q->offset, next; at < request_end(q); at = next) {
		next = piece_end(q, at);
		make_piece(j, q, at, next, j->bytes + at);
	}
}

void journal_done(struct journal *j, struct request *q)
{
	atomic_store(&q->state, REQUEST_DONE);
	redo(j, q);
	q->made++;
	atomic_store(&q->state, REQUEST_NONE);
}

/* Take those pages of the request over that FOUND, from OFFSET on, shows to be new. */
static void take_new(struct journal *j, const struct request *q, const uint8_t *found,
		     uint64_t offset, uint64_t count)
{
	uint64_t end = min_u64(request_end(q), offset + count);
	uint8_t new[PAGE];

	for (uint64_t at = q->offset > offset ? q->offset : offset, next; at < end; at = next) {
		next = piece_end(q, at);
		make_piece(j, q, at, next, new);
		if (memcmp(found + (at - offset), j->bytes + at, next - at) == 0) {
			j->found_old++;
		} else if (memcmp(found + (at - offset), new, next - at) == 0) {
			memcpy(j->bytes + at, new, next - at);
			j->found_new++;
		}
	}
}

void journal_failed(struct journal *j, struct request *q, const uint8_t *found)
{
	uint64_t end = request_end(q);
	uint8_t new[PAGE];

	for (uint64_t at = q->offset, next; at < end; at = next) {
		const uint8_t *piece = found + (at - q->offset);

		next = piece_end(q, at);
		make_piece(j, q, at, next, new);
		if (memcmp(piece, new, next - at) == 0)
			memcpy(j->bytes + at, new, next - at);
		CHECK(memcmp(piece, j->bytes + at, next - at) == 0,
		      "after an error, page %" PRIu64 " is neither old nor new", at / PAGE);
	}
	q->made++;
	atomic_store(&q->state, REQUEST_NONE);
}

void journal_redo(struct journal *j)
{
	for (unsigned int i = 0; i <= JOURNAL_MAX_THREADS; i++) {
		struct request *q = &j->request[i];

		if (atomic_load(&q->state) != REQUEST_DONE)
			continue;
		redo(j, q);
		j->redone++;
		atomic_store(&q->state, REQUEST_NONE);
	}
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* Whose content it is, as far as that can be told. */
static void tell(const struct journal *j, const char *what, uint64_t number, const uint8_t *page)
{
	struct header header;
	uint8_t whole[PAGE];

	memcpy(&header, page, sizeof(header));
	if (is_zero(page)) {
		fprintf(stderr, "page %" PRIu64 " %s: zeros\n", number, what);
	} else if (header.seed == j->seed && header.page < j->pages) {
		journal_make_page(j, header.page, header.version, whole);
		fprintf(stderr, "page %" PRIu64 " %s: page %" PRIu64 " version 0x%" PRIx64 "%s\n",
			number, what, header.page, header.version,
			memcmp(whole, page, PAGE) == 0 ? "" : ", changed in part");
	} else {
		fprintf(stderr,
			"page %" PRIu64 " %s: %016" PRIx64 " %016" PRIx64 " %016" PRIx64 "...\n",
			number, what, header.page, header.version, header.seed);
	}
}

static void tell_requests(const struct journal *j, uint64_t page)
{
	for (unsigned int i = 0; i <= JOURNAL_MAX_THREADS; i++) {
		const struct request *q = &j->request[i];

		if (atomic_load(&q->state) == REQUEST_INTENDED && page >= q->offset / PAGE &&
		    page * PAGE < request_end(q))
			fprintf(stderr,
				"in flight: %s of %" PRIu64 " at %" PRIu64 ", version 0x%" PRIx64
				"\n",
				q->kind == REQUEST_WRITE  ? "write"
				: q->kind == REQUEST_TRIM ? "trim"
							  : "zero",
				q->count, q->offset, q->version);
	}
}

void journal_compare(struct journal *j, const uint8_t *found, uint64_t offset, uint64_t count)
{
	for (unsigned int i = 0; i <= JOURNAL_MAX_THREADS; i++)
		if (atomic_load(&j->request[i].state) == REQUEST_INTENDED)
			take_new(j, &j->request[i], found, offset, count);
	if (memcmp(found, j->bytes + offset, count) == 0)
		return;
	for (uint64_t at = 0; at < count; at += PAGE) {
		uint64_t page = (offset + at) / PAGE;

		if (memcmp(found + at, j->bytes + offset + at, PAGE) == 0)
			continue;
		tell(j, "must hold", page, j->bytes + offset + at);
		tell(j, "holds", page, found + at);
		tell_requests(j, page);
		CHECK(false, "page %" PRIu64 " is not what was acknowledged", page);
	}
}

void journal_settled(struct journal *j)
{
	for (unsigned int i = 0; i <= JOURNAL_MAX_THREADS; i++)
		atomic_store(&j->request[i].state, REQUEST_NONE);
}

void journal_settle_shared(struct journal *j, const uint8_t *found)
{
	struct shared *shared = &j->shared;
	uint64_t now;

	/*
	 * Whoever was cut off in a request has ended it: as if he had begun his next. His number
	 * may have been counted up without the ticket, or the ticket be there without.
	 */
	for (unsigned int i = 0; i < j->threads; i++) {
		struct shared_worker *w = &j->worker[i];
		_Atomic uint64_t *ticket = &shared->ticket[i * shared->requests];

		while (w->next > 0 && atomic_load(&ticket[w->next - 1]) == 0)
			w->next--;
		while (w->next < shared->requests && atomic_load(&ticket[w->next]) != 0)
			w->next++;
		if (w->next < shared->requests)
			atomic_store(&ticket[w->next++], atomic_fetch_add(&shared->clock, 1) + 1);
	}
	/* Those that dropped a page have dropped it by now, or never will. */
	now = atomic_fetch_add(&shared->clock, 1) + 1;
	for (uint64_t page = 0; page < shared->pages; page++) {
		if (is_zero(found + page * PAGE))
			atomic_store(&shared->page[page].zero_done, now);
		atomic_store(&shared->page[page].zeroing, 0);
	}
}
