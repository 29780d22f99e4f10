/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/attach.h"
#ifdef HAVE_LOOP
#include "nbd/loop.h"
#endif
#include "daemon/report.h"
#include "daemon/why.h"

/* Bytes of requests under way: 32 of the largest that the kernel is to make, 24 of them writes. */
#define DATA ((size_t)2 << 20)

/*
 * Bytes that may be on their way in the socket. The kernel allows what net.core.wmem_max says, which
 * is one large request and a half, and doubles that.
 */
#define SOCKET_BUFFER (1 << 20)

/* For the kernel to notice that a connection is dead: milliseconds between tries, and how many. */
#define GIVE_PAUSE_MS 20
#define GIVE_TRIES    150

static const struct connection none = {.memory = -1, .ring = -1, .server = -1, .client = -1};

#ifdef HAVE_LOOP
static size_t region_size(void)
{
	return nbd_loop_region_size(DATA);
}

static int prepare(void *region, size_t size, int *ret_ring)
{
	return nbd_loop_prepare(region, size, ret_ring);
}

void connections_bounds(unsigned int *ret_kib, unsigned int *ret_writes)
{
	*ret_kib = NBD_LOOP_REQUEST >> 10;
	*ret_writes = nbd_loop_writes(DATA);
}
#else
static size_t region_size(void)
{
	return DATA;
}

static int prepare(void *region, size_t size, int *ret_ring)
{
	return -ENOSYS;
}

void connections_bounds(unsigned int *ret_kib, unsigned int *ret_writes)
{
	*ret_kib = *ret_writes = 0; /* there are none */
}
#endif

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_connection(struct connection *c)
{
	if (c->region != NULL)
		munmap(c->region, c->size);
	close_one(&c->memory);
	close_one(&c->ring);
	close_one(&c->server);
	close_one(&c->client);
	*c = none;
}

/* Map what is in MEMORY, and have all of it, for good. */
static int map(struct connection *c)
{
	struct stat st;

	if (fstat(c->memory, &st) < 0)
		return -errno;
	c->size = (size_t)st.st_size;
	c->region = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, c->memory, 0);
	if (c->region == MAP_FAILED) {
		c->region = NULL;
		return -errno;
	}
	madvise(c->region, c->size, MADV_DONTDUMP);
	/* That our memory is locked as it is touched does not do: it is the server that touches it. */
	if (mlock(c->region, c->size) < 0 && errno != EPERM)
		return -errno;
	return 0;
}

static int make_memory(struct connection *c)
{
	c->memory = memfd_create("zcram-connection", MFD_CLOEXEC);
	if (c->memory < 0 || ftruncate(c->memory, (off_t)region_size()) < 0)
		return -errno;
	return map(c);
}

static int make_sockets(struct connection *c)
{
	const int size = SOCKET_BUFFER;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	/* Less than that is slower, and no error. */
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	c->server = ends[0];
	c->client = ends[1];
	return 0;
}

static int open_connection(struct connection *c, char **why)
{
	int r;

	*c = none;
	r = make_memory(c);
	if (r < 0) {
		r = say_why(why, r, "a connection's memory: %s", strerror(-r));
	} else {
		r = prepare(c->region, c->size, &c->ring);
		if (r < 0)
			r = say_why(why, r, "no io_uring: %s", strerror(-r));
	}
	if (r == 0) {
		r = make_sockets(c);
		if (r < 0)
			r = say_why(why, r, "no pair of sockets: %s", strerror(-r));
	}
	if (r < 0)
		close_connection(c);
	return r;
}

int connections_open(struct connections *connections, unsigned int count, char **why)
{
	int r = 0;

	*connections = (struct connections){0};
	while (r == 0 && connections->count < count) {
		r = open_connection(&connections->at[connections->count], why);
		if (r == 0)
			connections->count++;
	}
	if (r < 0)
		connections_close(connections);
	return r;
}

int connections_probe(char **why)
{
	struct connections connections;
	int r = connections_open(&connections, 1, why);

	connections_close(&connections);
	return r;
}

bool connections_are_refused(int r)
{
	return r == -EPERM || r == -ENOSYS;
}

static int get(int pidfd, int number)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	return fd < 0 ? -errno : fd;
}

static int adopt(struct connection *c, int pidfd, const struct connection_numbers *numbers)
{
	int r;

	*c = none;
	c->memory = get(pidfd, numbers->memory);
	c->ring = get(pidfd, numbers->ring);
	c->server = get(pidfd, numbers->server);
	r = c->memory < 0 ? c->memory : c->ring < 0 ? c->ring : c->server < 0 ? c->server : map(c);
	if (r < 0)
		close_connection(c);
	return r;
}

int connections_adopt(struct connections *connections, int pidfd,
		      const struct connection_numbers *numbers, unsigned int count, char **why)
{
	int r = 0;

	*connections = (struct connections){0};
	while (r == 0 && connections->count < count) {
		r = adopt(&connections->at[connections->count], pidfd,
			  &numbers[connections->count]);
		if (r == 0)
			connections->count++;
	}
	if (r < 0) {
		connections_close(connections);
		say_why(why, r, "the server's connections cannot be taken over: %s", strerror(-r));
	}
	return r;
}

bool connection_is_dead(const struct connection *c)
{
	struct pollfd fd = {.fd = c->server, .events = POLLIN};

	return poll(&fd, 1, 0) > 0 && (fd.revents & POLLHUP) != 0;
}

/* Once: 1: it is taken; 0: not, and there is another socket to be tried with. */
static int give(struct connection *c, int index, const char *identifier, char **why)
{
	int r = attach_reconnect(index, identifier, c->client, why);

	if (r < 0)
		return r;
	/* The kernel does not say whether it has taken it. */
	close_one(&c->client);
	if (!connection_is_dead(c))
		return 1;
	close_one(&c->server);
	r = make_sockets(c);
	return r < 0 ? say_why(why, r, "no pair of sockets: %s", strerror(-r)) : 0;
}

/* Keep those that the kernel has. */
static void drop_clients(struct connections *connections)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < connections->count; i++) {
		struct connection *c = &connections->at[i];

		if (c->client < 0)
			connections->at[kept++] = *c;
		else
			close_connection(c);
	}
	connections->count = kept;
}

int connections_give(struct connections *connections, int index, const char *identifier, char **why)
{
	unsigned int given = 0;
	int r = 0;

	for (int tries = 0; r >= 0 && given < connections->count && tries < GIVE_TRIES; tries++) {
		if (tries > 0)
			poll(NULL, 0, GIVE_PAUSE_MS);
		for (unsigned int i = 0; r >= 0 && i < connections->count; i++) {
			if (connections->at[i].client < 0)
				continue;
			r = give(&connections->at[i], index, identifier, why);
			given += r == 1;
		}
	}
	if (r < 0)
		return r;
	drop_clients(connections);
	if (given == 0)
		return say_why(why, -EBUSY, "the kernel takes no new connections for nbd%d", index);
	return 0;
}

int connections_renew(struct connections *connections, unsigned int i, int index,
		      const char *identifier, char **why)
{
	struct connections one = {.count = 1};
	int r = open_connection(&one.at[0], why);

	if (r < 0)
		return r;
	connection_shut_down(&connections->at[i]);
	r = connections_give(&one, index, identifier, why);
	if (r < 0) {
		connections_close(&one);
		return r;
	}
	close_connection(&connections->at[i]);
	connections->at[i] = one.at[0];
	return 0;
}

void connections_close_clients(struct connections *connections)
{
	for (unsigned int i = 0; i < connections->count; i++)
		close_one(&connections->at[i].client);
}

void connection_shut_down(const struct connection *c)
{
	shutdown(c->server, SHUT_RDWR);
}

void connections_shut_down(const struct connections *connections)
{
	for (unsigned int i = 0; i < connections->count; i++)
		connection_shut_down(&connections->at[i]);
}

void connections_close(struct connections *connections)
{
	for (unsigned int i = 0; i < connections->count; i++)
		close_connection(&connections->at[i]);
	connections->count = 0;
}

size_t connections_descriptors(const struct connections *connections,
			       int fds[CONNECTIONS_DESCRIPTORS])
{
	size_t n = 0;

	for (unsigned int i = 0; i < connections->count; i++) {
		fds[n++] = connections->at[i].memory;
		fds[n++] = connections->at[i].ring;
		fds[n++] = connections->at[i].server;
	}
	return n;
}
