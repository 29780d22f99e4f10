/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram-bench-engine: the device called directly, with nothing in front of it.
 *
 * Prints one line for each thing measured: a name, then key=value fields.
 */
#ifndef ZCRAM_BENCH_ENGINE_H
#define ZCRAM_BENCH_ENGINE_H

#include <stdbool.h>

#include "bench/input.h"
#include "codec/codec.h"
#include "device/device.h"

#define MAX_ROUNDS 15

struct engine {
	struct input input;
	const char *algorithm; /* as given, for the output */
	const char *filter;
	struct codec_method method;
	const char *allocator_name;
	enum zs_kind allocator;
	unsigned int rounds;  /* 1..MAX_ROUNDS */
	uint64_t payload;     /* bytes, for memory and recover */
	unsigned int seconds; /* cold: how long the accesses go on */
	const char *where;    /* cold: a file, overwritten, for the backing store; or NULL */
	bool in_store;	      /* devices stand in shared memory, as those that outlive a process */
};

/* What is measured: each prints its lines, and exits with a message when the device fails. */
void measure_speed(const struct engine *engine);
void measure_memory(const struct engine *engine);
void measure_latency(const struct engine *engine);
void measure_recovery(const struct engine *engine);
void measure_cold(const struct engine *engine);
void measure_allocators(const struct engine *engine);

/* Exit with a message unless RET, which WHAT returned, is 0. */
void must(int ret, const char *what);

/* As many pages as hold the payload asked for, by what the input comes to. */
uint64_t engine_pages_for_payload(const struct engine *engine);

/* A device of PAGES pages, started; and one with a backing store at WHERE, of its size. */
struct device *engine_device(const struct engine *engine, uint64_t pages, bool auto_compact);
struct device *engine_device_backed(const struct engine *engine, uint64_t pages, const char *where);
void engine_device_end(struct device *device);

/* A stream, for the codec alone. */
struct codec_stream *engine_stream(const struct engine *engine);

#endif
