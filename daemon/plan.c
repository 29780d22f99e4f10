/* SPDX-License-Identifier: BSD-3-Clause */
/* plan: what comes of the configuration, in commands. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "daemon/zcramd.h"

/*
 * The kernel has a queue a connection; more than there are CPUs are of no use, and each has threads
 * in the server.
 */
#define MOST_CONNECTIONS 4
/*
 * A thread (de)compresses one request. For a file system twice the CPUs, since some wait for what is
 * to be sent. For swap one CPU fewer than there are, for whoever swaps: nbdkit's threads hand their
 * connection on to one another before each request, and every one that the CPUs have to change to makes
 * a fault longer. In a guest of two CPUs swap took 20.8 s with four threads and with two, 15.9 with one.
 */
#define THREADS_A_CPU 2
#define LEAST_THREADS 4
#define MOST_THREADS  16

/* A program and its options, control=, name=, pool= and its like, and the NULL behind. */
#define FIXED_ARGUMENTS (10 + CONF_MAX_CONNECTIONS)

/*
 * Swap has one: the kernel receives on each by a work item that never ends (nbd's recv_work). When it
 * is short of memory, a single rescuer thread may get the items of several connections, and never
 * comes to the second; whoever waits for an answer on that one waits for ever.
 */
unsigned int zcramd_connections(const struct zcramd *z)
{
	if (z->device->connections > 0)
		return z->device->connections;
	return z->device->swap ? 1 : (unsigned int)min_u64(z->host.cpus, MOST_CONNECTIONS);
}

unsigned int zcramd_threads(const struct zcramd *z)
{
	uint64_t threads = z->host.cpus * (uint64_t)THREADS_A_CPU / zcramd_connections(z);

	if (z->device->threads > 0)
		return z->device->threads;
	if (z->device->swap)
		return (unsigned int)min_u64(max_u64(z->host.cpus, 2) - 1, MOST_THREADS);
	return (unsigned int)min_u64(max_u64(threads, LEAST_THREADS), MOST_THREADS);
}

void zcramd_free_argv(char **argv)
{
	for (size_t i = 0; argv != NULL && argv[i] != NULL; i++)
		free(argv[i]);
	free(argv);
}

__attribute__((format(printf, 2, 3))) static int add(char ***at, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = vasprintf(*at, format, args);
	va_end(args);
	if (r < 0) {
		**at = NULL;
		return -ENOMEM;
	}
	(*at)++;
	return 0;
}

static int add_nbdkit(const struct zcramd *z, char ***at)
{
	const struct rundir *dir = &z->rundir;
	int r;

	r = add(at, "nbdkit");
	r = r < 0 ? r : add(at, "--foreground");
	r = r < 0 ? r : add(at, "--unix=%s", dir->files[RUNDIR_NBD]);
	r = r < 0 ? r : add(at, "--pidfile=%s", dir->files[RUNDIR_PID]);
	r = r < 0 ? r : add(at, "--threads=%u", zcramd_threads(z));
	return r < 0 ? r : add(at, "%s", z->plugin);
}

static int add_zcram_server(const struct zcramd *z, char ***at)
{
	int r;

	r = add(at, "%s", z->server_path);
	r = r < 0 ? r : add(at, "--pidfile=%s", z->rundir.files[RUNDIR_PID]);
	if (r == 0 && z->device->threads > 0)
		r = add(at, "--threads=%u", z->device->threads);
	for (unsigned int i = 0; r == 0 && i < z->connections.count; i++) {
		const struct connection *c = &z->connections.at[i];

		r = add(at, "--connection=%d,%d,%d", c->memory, c->ring, c->server);
	}
	for (unsigned int i = 0; r == 0 && z->connections.count == 0 && i < zcramd_connections(z);
	     i++)
		r = add(at, "--connection=REGION,RING,SOCKET");
	return r;
}

/*
 * A pool knows its size and its allocator, whatever the files say by now; and where it has gone, none is to be
 * made in its place.
 */
static bool is_unsaid(const char *parameter, bool again)
{
	return again && (strncmp(parameter, "size=", strlen("size=")) == 0 ||
			 strncmp(parameter, "allocator=", strlen("allocator=")) == 0);
}

static int add_all(const struct zcramd *z, char *const parameters[], bool again, char **at)
{
	int r = z->looped ? add_zcram_server(z, &at) : add_nbdkit(z, &at);

	for (size_t i = 0; r == 0 && parameters[i] != NULL; i++) {
		if (!is_unsaid(parameters[i], again))
			r = add(&at, "%s", parameters[i]);
	}
	/* The pool outlives every end of a server, and is removed by us. */
	if (r == 0 && z->looped)
		r = add(&at, "pool=%s", z->device->name);
	if (r == 0 && z->looped)
		r = add(&at, "pool-at-exit=keep");
	r = r < 0 ? r : add(&at, "control=%s", z->rundir.files[RUNDIR_CONTROL]);
	return r < 0 ? r : add(&at, "name=%s", z->device->name);
}

/* The settings in force, as far as the files say them. */
static struct conf_device settings(const struct zcramd *z)
{
	const struct conf_device *last = z->device;

	if (z->reloaded != NULL)
		last = conf_find(z->reloaded, z->device->name);
	return *last;
}

int zcramd_server_argv(const struct zcramd *z, bool again, char ***ret_argv)
{
	struct conf_device device = settings(z);
	char **parameters, **argv;
	size_t count = 0;
	int r;

	/* What it does by itself may be what it dies of. */
	if (z->revive.failing)
		device.compact = CONF_COMPACT_OFF;
	r = conf_parameters(&device, &parameters);
	if (r < 0)
		return r;
	while (parameters[count] != NULL)
		count++;
	argv = calloc(count + FIXED_ARGUMENTS, sizeof(*argv));
	r = argv ? add_all(z, parameters, again, argv) : -ENOMEM;
	conf_free_parameters(parameters);
	if (r < 0) {
		zcramd_free_argv(argv);
		return r;
	}
	*ret_argv = argv;
	return 0;
}

static void print_use(const struct conf_device *device)
{
	if (device->swap) {
		printf("mkswap --label %s /dev/nbdN\n", device->name);
		printf("swapon --priority %d --options %s /dev/nbdN\n", device->swap_priority,
		       *device->options ? device->options : "defaults");
		return;
	}
	printf("mkfs.%s /dev/nbdN\n", device->fs_type);
	if (device->mount_point != NULL)
		printf("mount -t %s -o %s /dev/nbdN %s\n", device->fs_type,
		       *device->options ? device->options : "defaults", device->mount_point);
}

static void print_bounds(const struct zcramd *z)
{
	unsigned int kib, writes;

	if (!z->looped)
		return;
	connections_bounds(&kib, &writes);
	printf("have requests of %u KiB at most, and %u writes under way on a connection\n", kib,
	       writes);
}

/* As it would come out, which for root may be otherwise than for us. */
static void choose_server(struct zcramd *z)
{
	char *why = NULL;
	int r;

	if (!z->looped) {
		printf("# served by nbdkit, the server that is set: if it dies what it holds is "
		       "lost\n");
		return;
	}
	r = connections_probe(&why);
	if (r == 0) {
		printf("# served by zcram-server: the kernel gives it an io_uring\n");
	} else if (geteuid() != 0 || !connections_are_refused(r)) {
		printf("# served by zcram-server, or by nbdkit, if root is given no io_uring "
		       "either: "
		       "%s\n",
		       why ? why : strerror(-r));
	} else {
		printf("# served by nbdkit: %s: see kernel.io_uring_disabled: if it dies what it "
		       "holds is lost\n",
		       why ? why : strerror(-r));
		z->looped = false;
	}
	free(why);
}

int zcramd_print_plan(struct zcramd *z)
{
	char **argv;
	int r;

	if (!z->device->applies) {
		printf("nothing: %s\n", z->device->why_not);
		return 0;
	}
	choose_server(z);
	r = zcramd_server_argv(z, false, &argv);
	if (r < 0)
		return r;
	for (size_t i = 0; argv[i] != NULL; i++)
		printf("%s%s", i > 0 ? " " : "", argv[i]);
	printf("\n");
	zcramd_free_argv(argv);
	printf("attach %s to ", z->looped ? "them" : z->rundir.files[RUNDIR_NBD]);
	if (z->device->nbd_index >= 0)
		printf("/dev/nbd%d", z->device->nbd_index);
	else
		printf("the first free /dev/nbdN");
	printf(" by %u connections as %s\n", zcramd_connections(z), z->identifier);
	print_bounds(z);
	print_use(z->device);
	return 0;
}
