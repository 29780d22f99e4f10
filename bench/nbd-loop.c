/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram-bench-loop: the nbd room's loop as a server on a Unix socket, for clients that measure it
 * beside others: over nothing, over an array of memory, or over the device.
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/input.h"
#include "bench/nbd-handshake.h"
#include "device/device.h"
#include "nbd/loop.h"

#define DATA	(UINT64_C(2) << 20)
#define RESERVE (16 * MIB)

struct server {
	uint64_t size;
	struct nbd_loop_options options;
};

struct connection {
	struct server *server;
	int socket;
};

/* Over nothing. */

static int null_read(void *opaque, void *buf, uint64_t offset, uint32_t count)
{
	return 0;
}

static int null_write(void *opaque, const void *buf, uint64_t offset, uint32_t count)
{
	return 0;
}

static int null_drop(void *opaque, uint64_t offset, uint32_t count)
{
	return 0;
}

static int null_flush(void *opaque)
{
	return 0;
}

static const struct nbd_ops null_ops = {null_read,  null_write, null_drop, null_drop,
					null_flush, NULL,	NULL};

/* Over an array. */

static int memory_read(void *opaque, void *buf, uint64_t offset, uint32_t count)
{
	memcpy(buf, (char *)opaque + offset, count);
	return 0;
}

static int memory_write(void *opaque, const void *buf, uint64_t offset, uint32_t count)
{
	memcpy((char *)opaque + offset, buf, count);
	return 0;
}

static int memory_zero(void *opaque, uint64_t offset, uint32_t count)
{
	memset((char *)opaque + offset, 0, count);
	return 0;
}

static const struct nbd_ops memory_ops = {memory_read, memory_write, memory_zero, memory_zero,
					  null_flush,  NULL,	     NULL};

/* Over the device. */

static int engine_read(void *opaque, void *buf, uint64_t offset, uint32_t count)
{
	return device_read(opaque, buf, offset, count);
}

static int engine_write(void *opaque, const void *buf, uint64_t offset, uint32_t count)
{
	return device_write(opaque, buf, offset, count);
}

static int engine_trim(void *opaque, uint64_t offset, uint32_t count)
{
	return device_trim(opaque, offset, count);
}

static int engine_zero(void *opaque, uint64_t offset, uint32_t count)
{
	return device_zero(opaque, offset, count);
}

static const struct nbd_ops engine_ops = {engine_read, engine_write, engine_trim, engine_zero,
					  null_flush,  NULL,	     NULL};

static struct device *engine_new(const char *algorithm, uint64_t size)
{
	struct device_options options = {.size = size, .reserve = RESERVE, .auto_compact = true};
	struct device *device;

	if (codec_method_init(&options.method, algorithm, NULL) < 0)
		errx(EXIT_FAILURE, "%s: give null, memory, lz4 or zstd", algorithm);
	if (device_new(&options, &device) < 0 || device_start(device) < 0)
		errx(EXIT_FAILURE, "no memory for the device");
	return device;
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");
	return p;
}

static void *serve_connection(void *opaque)
{
	struct connection *c = opaque;
	struct nbd_loop_options options = c->server->options;
	const char *why;
	struct nbd_loop *loop;
	int r;

	options.socket = c->socket;
	options.region_size = nbd_loop_region_size(DATA);
	options.region = map(options.region_size);
	if (handshake_serve(c->socket, c->server->size)) {
		r = nbd_loop_prepare(options.region, options.region_size, &options.ring);
		if (r == 0)
			r = nbd_loop_new(&options, &loop, &why);
		if (r < 0)
			errx(EXIT_FAILURE, "no loop: %s", strerror(-r));
		nbd_loop_run(loop);
		nbd_loop_free(loop);
		close(options.ring);
	}
	munmap(options.region, options.region_size);
	close(c->socket);
	free(c);
	return NULL;
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		errx(EXIT_FAILURE, "%s: too long", path);
	strcpy(address.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 8) < 0)
		err(EXIT_FAILURE, "%s", path);
	return fd;
}

int main(int argc, char **argv)
{
	struct server server = {0};
	int listener;

	if (argc != 7)
		errx(EXIT_FAILURE,
		     "usage: %s null|memory|lz4|zstd SOCKET MIB WORKERS INLINE-READ INLINE-WRITE",
		     argv[0]);
	server.size = parse_number("MIB", argv[3]) * MIB;
	server.options = (struct nbd_loop_options){
		.size = server.size,
		.workers = (unsigned int)atoi(argv[4]),
		.inline_read = (uint32_t)atoi(argv[5]),
		.inline_write = (uint32_t)atoi(argv[6]),
		.ops = &engine_ops,
	};
	if (strcmp(argv[1], "null") == 0)
		server.options.ops = &null_ops;
	else if (strcmp(argv[1], "memory") == 0) {
		server.options.ops = &memory_ops;
		server.options.opaque = map(server.size);
	} else
		server.options.opaque = engine_new(argv[1], server.size);
	listener = listen_on(argv[2]);
	for (;;) {
		struct connection *c = malloc(sizeof(*c));
		pthread_t thread;

		if (!c)
			errx(EXIT_FAILURE, "no memory");
		*c = (struct connection){&server, accept(listener, NULL, NULL)};
		if (c->socket < 0 || pthread_create(&thread, NULL, serve_connection, c) != 0)
			errx(EXIT_FAILURE, "a connection cannot be served");
		pthread_detach(thread);
	}
}
