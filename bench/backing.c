/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a backing store takes and gives: pages, compressed beforehand, written back one after the
 * other, and read again: at random, one at a time and many, and all of them in order.
 *
 *	zcram-bench-backing INPUT WHERE MIB auto|threads
 *
 * MIB of payload; WHERE is overwritten. store.py has the same file written by fio in the same run.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backing/backing.h"
#include "bench/input.h"
#include "bench/numbers.h"
#include "codec/codec.h"

#define READS	 4000U
#define AT_ONCE	 32U
#define NS_PER_S 1e9

struct payload {
	uint8_t *bytes;
	uint16_t len;
	uint8_t encoding;
};

struct world {
	struct payload *payloads; /* of the input's pages */
	size_t count;
	struct backing_object *objects; /* what stands in the store, by owner */
	uint32_t nr_objects;
	struct backing *backing;
};

static void must(int r, const char *what)
{
	if (r < 0)
		errx(1, "%s: %s", what, strerror(-r));
}

static void *have(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory)
		errx(1, "no memory");
	return memory;
}

static void compress_all(struct world *w, const struct input *input)
{
	struct codec_method method;
	struct codec_stream *stream;

	must(codec_method_init(&method, "lz4", NULL), "lz4");
	must(codec_stream_new(&method, &stream), "lz4");
	w->count = input->count;
	w->payloads = have(w->count, sizeof(*w->payloads));
	for (size_t i = 0; i < w->count; i++) {
		struct payload *p = &w->payloads[i];
		const void *bytes;

		p->len = (uint16_t)codec_compress(stream, input_page(input, i), &bytes,
						  &p->encoding);
		p->bytes = have(p->len, 1);
		memcpy(p->bytes, bytes, p->len);
	}
	codec_stream_free(stream);
}

static bool written(void *opaque, const struct backing_object *object, const void *payload,
		    const struct backing_origin *origin, int error)
{
	struct world *w = opaque;

	must(error, "written");
	w->objects[object->owner] = *object;
	return true;
}

static bool names(void *opaque, const struct backing_object *object)
{
	return true;
}

static void write_all(struct world *w, uint64_t mib)
{
	struct backing_stats stats;
	uint64_t payload = 0, start = now_ns();
	uint32_t owner;
	double s;

	for (owner = 0; payload < mib * MIB; owner++) {
		const struct payload *p = &w->payloads[owner % w->count];

		if (owner == w->nr_objects)
			errx(1, "more objects than reckoned with");
		must(backing_append(w->backing, owner, p->encoding, p->bytes, p->len, 0, NULL),
		     "append");
		payload += p->len;
	}
	must(backing_flush(w->backing), "flush");
	s = (double)(now_ns() - start) / NS_PER_S;
	w->nr_objects = owner;
	backing_get_stats(w->backing, &stats);
	printf("write io_uring=%d direct=%d payload_mib_s=%.0f written_mib_s=%.0f pages_s=%.0f "
	       "mean_payload=%.0f written_to_payload=%.4f\n",
	       stats.io_uring, stats.direct, (double)payload / (double)MIB / s,
	       (double)stats.bytes_written / (double)MIB / s, owner / s, (double)payload / owner,
	       (double)stats.bytes_written / (double)payload);
}

/* READS objects, AT_ONCE at a time; the next each time, or any. Bytes of the store are counted. */
static void read_some(struct world *w, const char *order, uint32_t reads, unsigned int at_once)
{
	static uint8_t payload[AT_ONCE][BACKING_OBJECT_MAX];
	bool in_order = strcmp(order, "in_order") == 0;
	struct backing_fetch fetches[AT_ONCE];
	struct backing_stats before, after;
	uint64_t state = 1, start;
	uint32_t next = 0;
	double s;

	backing_get_stats(w->backing, &before);
	start = now_ns();
	for (uint32_t done = 0; done + at_once <= reads; done += at_once) {
		for (unsigned int i = 0; i < at_once; i++)
			fetches[i] = (struct backing_fetch){
				.object =
					w->objects[in_order ? next++
							    : random_next(&state) % w->nr_objects],
				.payload = payload[i],
			};
		must(backing_read(w->backing, fetches, at_once), "read");
	}
	s = (double)(now_ns() - start) / NS_PER_S;
	backing_get_stats(w->backing, &after);
	printf("read order=%s at_once=%u reads_s=%.0f requests_s=%.0f read_mib_s=%.0f\n", order,
	       at_once, (double)(after.reads - before.reads) / s,
	       (double)(after.read_requests - before.read_requests) / s,
	       (double)(after.bytes_read - before.bytes_read) / (double)MIB / s);
}

int main(int argc, char **argv)
{
	struct backing_options options = {.name = "bench", .overwrite = true};
	char why[BACKING_WHY] = "";
	struct input input;
	struct world w = {0};
	uint64_t mib;
	int r;

	if (argc != 5)
		errx(1, "usage: zcram-bench-backing INPUT WHERE MIB auto|threads");
	mib = parse_number("MIB", argv[3]);
	input_load(&input, argv[1], 64);
	compress_all(&w, &input);
	w.nr_objects = (uint32_t)(mib * MIB / 64);
	w.objects = have(w.nr_objects, sizeof(*w.objects));
	options.where = argv[2];
	options.file_size = (mib + mib / 8 + 16) * MIB;
	options.engine = strcmp(argv[4], "threads") == 0 ? BACKING_THREADS : BACKING_AUTO;
	options.ops = (struct backing_ops){.written = written, .names = names, .opaque = &w};
	r = backing_open(&options, &w.backing, why);
	if (r < 0)
		errx(1, "%s: %s", argv[2], why);
	write_all(&w, mib);
	read_some(&w, "any", READS, 1);
	read_some(&w, "any", READS, AT_ONCE);
	read_some(&w, "in_order", w.nr_objects, AT_ONCE);
	backing_close(w.backing);
	return 0;
}
