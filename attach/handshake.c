/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <linux/nbd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/internal.h"
#include "common/util.h"

/* Headers of older kernels lack these; kernels that do not know a flag ignore it. */
#ifndef NBD_FLAG_ROTATIONAL
#define NBD_FLAG_ROTATIONAL (1 << 4)
#endif
#ifndef NBD_FLAG_SEND_WRITE_ZEROES
#define NBD_FLAG_SEND_WRITE_ZEROES (1 << 6)
#endif

/*
 * Each step of a handshake is some bytes from a server on this machine. It may be starved of CPU
 * for a while, but who says nothing for so long will say nothing at all.
 */
#define HANDSHAKE_TIMEOUT_MS 30000

static int open_socket(const char *path, int *ret_fd, char **why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return attach_why(why, -ENAMETOOLONG, "%s: a socket's path has at most %zu bytes",
				  path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return attach_why(why, -errno, "no socket: %m");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = attach_why(why, -errno, "%s: %m: no server listens there", path);
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* What the last of libnbd's calls complains of. */
static int say_nbd(const char *path, char **why)
{
	int r = nbd_get_errno();

	return attach_why(why, r > 0 ? -r : -EPROTO, "%s: %s", path, nbd_get_error());
}

/* Up to the point where requests may be sent. */
static int negotiate(struct nbd_handle *nbd, const char *path, int fd, char **why)
{
	/* The kernel's client knows simple replies only. */
	if (nbd_set_request_structured_replies(nbd, false) < 0)
		return say_nbd(path, why);
	/* libnbd closes what it is given. */
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return attach_why(why, -errno, "no file descriptor: %m");
	if (nbd_aio_connect_socket(nbd, fd) < 0)
		return say_nbd(path, why);
	while (nbd_aio_is_connecting(nbd)) {
		int n = nbd_poll(nbd, HANDSHAKE_TIMEOUT_MS);

		if (n < 0)
			return say_nbd(path, why);
		if (n == 0)
			return attach_why(why, -ETIMEDOUT,
					  "%s: the server does not answer within %d s", path,
					  HANDSHAKE_TIMEOUT_MS / 1000);
	}
	if (!nbd_aio_is_ready(nbd))
		return attach_why(why, -EPROTO, "%s: no NBD server that lets us in", path);
	return 0;
}

static uint64_t server_flags(struct nbd_handle *nbd)
{
	const struct {
		int (*is)(struct nbd_handle *);
		uint64_t flag;
	} flags[] = {
		{nbd_is_read_only, NBD_FLAG_READ_ONLY},
		{nbd_can_flush, NBD_FLAG_SEND_FLUSH},
		{nbd_can_fua, NBD_FLAG_SEND_FUA},
		{nbd_is_rotational, NBD_FLAG_ROTATIONAL},
		{nbd_can_trim, NBD_FLAG_SEND_TRIM},
		{nbd_can_zero, NBD_FLAG_SEND_WRITE_ZEROES},
		{nbd_can_multi_conn, NBD_FLAG_CAN_MULTI_CONN},
	};
	uint64_t all = NBD_FLAG_HAS_FLAGS;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (flags[i].is(nbd) > 0)
			all |= flags[i].flag;
	}
	return all;
}

int attach_handshake(const char *socket, int *ret_fd, uint64_t *ret_size, uint64_t *ret_flags,
		     char **why)
{
	struct nbd_handle *nbd;
	int64_t size = 0;
	int fd = -1, r;

	nbd = nbd_create();
	if (nbd == NULL)
		return attach_why(why, -ENOMEM, "%s", nbd_get_error());
	r = open_socket(socket, &fd, why);
	if (r == 0) {
		r = negotiate(nbd, socket, fd, why);
		if (r == 0 && (size = nbd_get_size(nbd)) < 0)
			r = say_nbd(socket, why);
		/* libnbd's copy has made it non-blocking. */
		if (r == 0 && fcntl(fd, F_SETFL, O_RDWR) < 0)
			r = attach_why(why, -errno, "%s: %m", socket);
		if (r == 0) {
			*ret_fd = fd;
			*ret_size = (uint64_t)size;
			*ret_flags = server_flags(nbd);
		} else {
			close(fd);
		}
	}
	/* This closes libnbd's copy without a word to the server. */
	nbd_close(nbd);
	return r;
}
