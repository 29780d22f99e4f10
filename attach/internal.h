/* SPDX-License-Identifier: BSD-3-Clause */
/* internal: what the files of this room share. */
#ifndef ZCRAM_ATTACH_INTERNAL_H
#define ZCRAM_ATTACH_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "attach/attach.h"

#define ATTACH_PATH_SIZE 4096

/* The kernel takes no smaller blocks into account, and swap writes none. */
#define ATTACH_BLOCK_SIZE 4096

/* Set *WHY, where it is NULL still, to a line that the caller frees. Returns R, for "return". */
__attribute__((format(printf, 3, 4))) int attach_why(char **why, int r, const char *format, ...);

/* ROOT and PATH in one, into BUF. -ENAMETOOLONG. */
int attach_path(const char *root, char buf[ATTACH_PATH_SIZE], const char *path);

/*
 * The first line of a file of the kernel's, without its newline. -ENOENT: there is no such file;
 * -ENOSPC: BUF is too small.
 */
int attach_read_line(const char *root, const char *path, char *buf, size_t size);

/*
 * Connect to SOCKET and shake hands, so that requests may follow on *ret_fd, which the caller
 * closes. Size and flags are the server's, the flags as NBD_FLAG_ bits.
 */
int attach_handshake(const char *socket, int *ret_fd, uint64_t *ret_size, uint64_t *ret_flags,
		     char **why);

struct attach_request {
	int index;
	uint64_t size, flags, timeout, dead_timeout;
	const char *identifier;
	const int *fds;
	size_t fd_count;
};

/* -ENODEV: nobody listens in the kernel. */
int attach_netlink_probe(char **why);

/* Ask the kernel to attach; its answer is *ret_index. */
int attach_netlink_connect(const struct attach_request *request, int *ret_index, char **why);
int attach_netlink_disconnect(int index, char **why);
int attach_netlink_reconnect(int index, const char *identifier, int socket, char **why);

#endif
