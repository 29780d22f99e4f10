/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handshake: shake hands with a server, and speak to it as the kernel would.
 *
 *	handshake SOCKET
 *
 * Prints its size and flags, and what a plain read of the first page on the connection brings.
 */
#include <endian.h>
#include <err.h>
#include <inttypes.h>
#include <linux/nbd.h>
#include <stdio.h>
#include <sys/socket.h>

#include "attach/internal.h"

int main(int argc, char **argv)
{
	struct nbd_request request = {
		.magic = htobe32(NBD_REQUEST_MAGIC),
		.type = htobe32(NBD_CMD_READ),
		.len = htobe32(4096),
	};
	struct nbd_reply reply;
	char page[4096], *why = NULL;
	uint64_t size, flags;
	int fd;

	if (argc != 2)
		errx(2, "usage: handshake SOCKET");
	if (attach_handshake(argv[1], &fd, &size, &flags, &why) < 0)
		errx(1, "%s", why);
	printf("size %" PRIu64 " flags %" PRIu64 "\n", size, flags);
	if (send(fd, &request, sizeof(request), 0) != sizeof(request) ||
	    recv(fd, &reply, sizeof(reply), MSG_WAITALL) != sizeof(reply) ||
	    recv(fd, page, sizeof(page), MSG_WAITALL) != sizeof(page))
		err(1, "%s", argv[1]);
	printf("reply 0x%x error %u first byte %d\n", be32toh(reply.magic), be32toh(reply.error),
	       page[0]);
	return 0;
}
