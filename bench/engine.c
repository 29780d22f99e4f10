/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/engine.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RESERVE	  (8 * MIB)
#define STORE_MIN (16 * MIB)

void must(int ret, const char *what)
{
	if (ret < 0)
		errx(EXIT_FAILURE, "%s: %s", what, strerror(-ret));
}

/* Nobody's when the device is gone: at the end of the process. */
static void *new_store(uint64_t size, uint64_t *ret_size)
{
	void *store;

	*ret_size = device_store_size(size);
	store = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (store == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");
	return store;
}

static struct device *new_device(const struct engine *engine, uint64_t pages, bool auto_compact)
{
	struct device_options options = {
		.size = pages * PAGE_SIZE,
		.allocator = engine->allocator,
		.reserve = RESERVE,
		.auto_compact = auto_compact,
		.method = engine->method,
	};
	struct device *device;

	if (engine->in_store)
		options.store = new_store(options.size, &options.store_size);
	must(device_new(&options, &device), "device_new");
	return device;
}

struct device *engine_device(const struct engine *engine, uint64_t pages, bool auto_compact)
{
	struct device *device = new_device(engine, pages, auto_compact);

	must(device_start(device), "device_start");
	return device;
}

struct device *engine_device_backed(const struct engine *engine, uint64_t pages, const char *where)
{
	struct backing_options options = {
		.where = where,
		.name = "bench",
		.file_size = pages * PAGE_SIZE + STORE_MIN,
		.overwrite = true,
	};
	struct device *device = new_device(engine, pages, true);
	char why[BACKING_WHY] = "";

	if (device_open_backing(device, &options, why) < 0)
		errx(EXIT_FAILURE, "%s: %s", where, why);
	must(device_start(device), "device_start");
	return device;
}

void engine_device_end(struct device *device)
{
	device_stop(device);
	device_free(device);
}

struct codec_stream *engine_stream(const struct engine *engine)
{
	struct codec_stream *stream;

	must(codec_stream_new(&engine->method, &stream), "codec_stream_new");
	return stream;
}

static void usage(void)
{
	fputs("usage: zcram-bench-engine [options] speed|memory|latency|recover|cold|allocators "
	      "INPUT\n"
	      "  -a ALGORITHM  lz4 (the default) or zstd\n"
	      "  -l LEVEL      its level; 1 by default\n"
	      "  -f FILTER     none (the default) or auto\n"
	      "  -b ALLOCATOR  zspage (the default) or zbud; allocators measures both\n"
	      "  -r ROUNDS     of which the median is taken; 5 by default, 15 at most\n"
	      "  -m MIB        use no more of the input; all of it by default\n"
	      "  -p MIB        memory, recover: fill the device to this much payload; 100 by "
	      "default\n"
	      "  -t SECONDS    cold: how long pages have to go cold; 100 by default\n"
	      "  -w FILE       cold: one device has its backing store in it, which is overwritten\n"
	      "  -s            devices in shared memory, as those that outlive their process\n",
	      stderr);
	exit(EXIT_FAILURE);
}

static void set_method(struct engine *engine, int level)
{
	must(codec_method_init(&engine->method, engine->algorithm, &level), engine->algorithm);
	if (strcmp(engine->filter, "none") == 0)
		engine->method.filter = CODEC_FILTER_NONE;
	else if (strcmp(engine->filter, "auto") == 0)
		engine->method.filter = CODEC_FILTER_AUTO;
	else
		usage();
}

static void set_allocator(struct engine *engine, const char *name)
{
	engine->allocator_name = name;
	if (strcmp(name, "zspage") == 0)
		engine->allocator = ZS_ZSPAGE;
	else if (strcmp(name, "zbud") == 0)
		engine->allocator = ZS_ZBUD;
	else
		usage();
}

int main(int argc, char **argv)
{
	struct engine engine = {.algorithm = "lz4",
				.filter = "none",
				.allocator_name = "zspage",
				.rounds = 5,
				.payload = 100 * MIB,
				.seconds = 100};
	uint64_t mib = 0;
	int opt, level = 1;
	const char *what;

	while ((opt = getopt(argc, argv, "a:b:l:f:r:m:p:t:w:s")) != -1) {
		if (opt == 'a')
			engine.algorithm = optarg;
		else if (opt == 'b')
			set_allocator(&engine, optarg);
		else if (opt == 'f')
			engine.filter = optarg;
		else if (opt == 'l')
			level = atoi(optarg);
		else if (opt == 'r')
			engine.rounds = (unsigned int)parse_number("-r", optarg);
		else if (opt == 'm')
			mib = parse_number("-m", optarg);
		else if (opt == 'p')
			engine.payload = parse_number("-p", optarg) * MIB;
		else if (opt == 't')
			engine.seconds = (unsigned int)parse_number("-t", optarg);
		else if (opt == 'w')
			engine.where = optarg;
		else if (opt == 's')
			engine.in_store = true;
		else
			usage();
	}
	if (argc - optind != 2 || engine.rounds > MAX_ROUNDS)
		usage();
	set_method(&engine, level);
	what = argv[optind];
	input_load(&engine.input, argv[optind + 1], mib);

	if (strcmp(what, "speed") == 0)
		measure_speed(&engine);
	else if (strcmp(what, "memory") == 0)
		measure_memory(&engine);
	else if (strcmp(what, "latency") == 0)
		measure_latency(&engine);
	else if (strcmp(what, "cold") == 0)
		measure_cold(&engine);
	else if (strcmp(what, "recover") == 0)
		measure_recovery(&engine);
	else if (strcmp(what, "allocators") == 0)
		measure_allocators(&engine);
	else
		usage();
	return EXIT_SUCCESS;
}
