/* SPDX-License-Identifier: BSD-3-Clause */
#include "attach/attach.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/nbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attach/internal.h"

int attach_probe(char **ret_why)
{
	*ret_why = NULL;
	return attach_netlink_probe(ret_why);
}

/* Shake hands on all connections; the first says size and flags. */
static int open_connections(const struct attach_options *options, struct attach_request *request,
			    int *fds, char **why)
{
	uint64_t size, flags;
	int r;

	for (unsigned int i = 0; i < options->connections; i++) {
		r = attach_handshake(options->socket, &fds[i], &size, &flags, why);
		if (r < 0)
			return r;
		request->fd_count++;
		if (i == 0) {
			request->size = size;
			request->flags = flags;
		} else if (size != request->size || flags != request->flags) {
			return attach_why(why, -EPROTO, "%s: the server changes while we attach it",
					  options->socket);
		}
	}
	return 0;
}

static int check_count(const struct attach_options *options, char **why)
{
	if (options->connections >= 1 && options->connections <= ATTACH_CONNECTIONS_MAX)
		return 0;
	return attach_why(why, -EINVAL, "%u connections: give 1 to %d", options->connections,
			  ATTACH_CONNECTIONS_MAX);
}

static int check(const struct attach_options *options, const struct attach_request *request,
		 char **why)
{
	if (request->size < ATTACH_BLOCK_SIZE)
		return attach_why(why, -EPROTO,
				  "%s: the server has %" PRIu64 " bytes: it takes %d at least",
				  options->socket, request->size, ATTACH_BLOCK_SIZE);
	if (options->connections > 1 && (request->flags & NBD_FLAG_CAN_MULTI_CONN) == 0)
		return attach_why(why, -EPROTO,
				  "%s: the server is not made for %u connections at once",
				  options->socket, options->connections);
	return 0;
}

/* The kernel answers when all is in place, and cuts what is no whole block off the size. */
static int verify(int index, uint64_t size, char **why)
{
	uint64_t shown = 0;
	char path[32];
	int r;

	r = attach_size(NULL, index, &shown);
	if (r < 0 || shown != size / ATTACH_BLOCK_SIZE * ATTACH_BLOCK_SIZE)
		return attach_why(why, r < 0 ? r : -EPROTO,
				  "nbd%d: the kernel shows %" PRIu64 " bytes instead of %" PRIu64,
				  index, shown, size);
	snprintf(path, sizeof(path), "/dev/nbd%d", index);
	if (access(path, F_OK) < 0)
		return attach_why(why, -errno,
				  "%s: %m: the kernel has attached nbd%d, but nobody made its "
				  "device node: mount devtmpfs, or see the nbds_max parameter of "
				  "the nbd module",
				  path, index);
	return 0;
}

static struct attach_request make_request(const struct attach_options *options, const int *fds)
{
	return (struct attach_request){
		.index = options->index,
		.timeout = options->timeout,
		.dead_timeout = options->dead_timeout,
		.identifier = options->identifier,
		.fds = fds,
	};
}

/* Ask the kernel, and look at what it made. */
static int connect_kernel(const struct attach_request *request, int *ret_index, char **why)
{
	int index, r;

	r = attach_netlink_connect(request, &index, why);
	if (r < 0)
		return r;
	r = verify(index, request->size, why);
	if (r < 0) {
		char *unsaid = NULL;

		attach_netlink_disconnect(index, &unsaid);
		free(unsaid);
		return r;
	}
	*ret_index = index;
	return 0;
}

int attach_connect(const struct attach_options *options, int *ret_index, char **ret_why)
{
	int fds[ATTACH_CONNECTIONS_MAX];
	struct attach_request request = make_request(options, fds);
	int r;

	*ret_why = NULL;
	r = check_count(options, ret_why);
	if (r < 0)
		return r;
	r = open_connections(options, &request, fds, ret_why);
	if (r == 0)
		r = check(options, &request, ret_why);
	if (r == 0)
		r = connect_kernel(&request, ret_index, ret_why);
	/* The kernel has references of its own. */
	for (size_t i = 0; i < request.fd_count; i++)
		close(fds[i]);
	return r;
}

int attach_connect_sockets(const struct attach_options *options, const int *sockets, uint64_t size,
			   uint64_t flags, int *ret_index, char **ret_why)
{
	struct attach_request request = make_request(options, sockets);
	int r;

	*ret_why = NULL;
	r = check_count(options, ret_why);
	if (r < 0)
		return r;
	request.fd_count = options->connections;
	request.size = size;
	request.flags = flags;
	return connect_kernel(&request, ret_index, ret_why);
}

int attach_reconnect(int index, const char *identifier, int socket, char **ret_why)
{
	*ret_why = NULL;
	return attach_netlink_reconnect(index, identifier, socket, ret_why);
}

int attach_disconnect(int index, char **ret_why)
{
	*ret_why = NULL;
	return attach_netlink_disconnect(index, ret_why);
}
