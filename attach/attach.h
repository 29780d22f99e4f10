/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attach: the kernel's nbd client, by which an NBD server becomes /dev/nbdN.
 *
 * What is attached, to whom, and what it is used for is always read from the kernel: from
 * /sys/block/nbdN, /proc/swaps and /proc/self/mountinfo. Nothing is remembered here; any process
 * may ask, and a new one finds what another has left. All functions may block and allocate; none
 * of them keeps state, so that threads may call them at once.
 *
 * The calls that ask nobody but these files take ROOT, a directory that stands for "/" (NULL: the real one).
 */
#ifndef ZCRAM_ATTACH_H
#define ZCRAM_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A device NAME is attached with the identifier "zcram:NAME". */
#define ATTACH_PREFIX "zcram:"
/* Bytes that hold any identifier that we attach with, with its NUL. */
#define ATTACH_IDENTIFIER_SIZE 128
/* The kernel's nbd client sends no more connections' sockets in one message than fit into it. */
#define ATTACH_CONNECTIONS_MAX 64

struct attach_options {
	const char *socket; /* path of the server's Unix socket, for attach_connect() */
	unsigned int connections;
	int index; /* of /dev/nbdN, or -1: the first that is free */
	const char *identifier;
	unsigned int timeout;	   /* seconds that a request may take; 0: any time */
	unsigned int dead_timeout; /* seconds that requests wait for a new connection; 0: none */
};

/*
 * Is there a kernel's nbd client to attach with? Errors and *ret_why as below, for what can be
 * known before there is a server.
 */
int attach_probe(char **ret_why);

/*
 * Connect to the server, shake hands on every connection, and hand them to the kernel. When it
 * returns, /dev/nbdN has the server's size. The kernel keeps the connections: they outlive the
 * caller.
 *
 * On an error *ret_why is a line that says what failed and what would help, which the caller
 * frees, or NULL when there is no memory for it; nothing stays attached.
 * -ENODEV: the kernel has no nbd client loaded; -EPERM: it takes CAP_SYS_ADMIN; -EBUSY: the
 * device asked for is in use; -ENOENT, -ECONNREFUSED: nobody listens on the socket;
 * -ETIMEDOUT: the server does not answer; -EPROTO: what it says is not what we can use.
 */
int attach_connect(const struct attach_options *options, int *ret_index, char **ret_why);

/*
 * The same without a handshake, for who is the server, or has made its connections: one end of each in
 * SOCKETS, as many as options->connections, is the kernel's from then on, past any handshake; the
 * descriptors stay the caller's. SIZE bytes; FLAGS are NBD_FLAG_ bits of <linux/nbd.h>. Errors are
 * those of attach_connect() that come of the kernel.
 */
int attach_connect_sockets(const struct attach_options *options, const int *sockets, uint64_t size,
			   uint64_t flags, int *ret_index, char **ret_why);

/*
 * Have /dev/nbdN use SOCKET in the place of one that is dead. The kernel does not say whether it has:
 * where it knows of none that is dead, it does nothing, and keeps no reference. It must be attached
 * with IDENTIFIER. Errors and *ret_why as above.
 */
int attach_reconnect(int index, const char *identifier, int socket, char **ret_why);

/*
 * Take /dev/nbdN from the server, with errors for requests that are not answered yet. Asks nobody:
 * look at attach_use() first. Returns when the kernel has closed the connections, also when there
 * were none. Errors and *ret_why as above.
 */
int attach_disconnect(int index, char **ret_why);

/*
 * Have the kernel make no request to /dev/nbdN of more than KIB KiB, and have no more than WRITES writes (trims
 * among them) under way on a connection at a time, so that reads find a tag, and room at the server, beside
 * them: by the scheduler mq-deadline, which has no such bound for reads. What is as it should be is not
 * touched. Waits, where that takes setting more than the number of writes, until all requests under way
 * are answered; USED: the device is in use, and that is not done. It stays when the device is detached.
 * A negative errno and *ret_why: reads may have to wait for writes that wait.
 */
int attach_bound_writes(const char *root, int index, unsigned int kib, unsigned int writes,
			bool used, char **ret_why);

/* The device that is attached with IDENTIFIER. -ENOENT: none is. */
int attach_find(const char *root, const char *identifier, int *ret_index);

/*
 * What device INDEX is attached with, to BUF, SIZE bytes. -ENOENT: it is not attached, or without
 * an identifier; -ENOSPC: BUF is too small.
 */
int attach_identifier(const char *root, int index, char *buf, size_t size);

/*
 * All devices whose identifier begins with PREFIX, in order: an array that the caller frees, NULL
 * when there are none.
 */
int attach_list(const char *root, const char *prefix, int **ret_indexes, size_t *ret_count);

/* The size of device INDEX in bytes; 0 when it is not attached. -ENODEV: there is no such device. */
int attach_size(const char *root, int index, uint64_t *ret_size);

/* What a device and its partitions are used for. */
struct attach_use {
	pid_t pid; /* who attached it; may long be gone; 0: it is not attached */
	bool swap;
	uint64_t swap_size, swap_used; /* bytes */
	int swap_priority;
	char **mounts; /* mount points seen from here, unescaped */
	size_t mount_count;
	char **holders; /* names of block devices on top, such as dm-0 */
	size_t holder_count;
	/*
	 * Claimed by somebody, perhaps by what is above, perhaps by a mount in another mount
	 * namespace. Only known where ROOT is NULL and the caller may open the device.
	 */
	bool claimed;
};

/* Fill in *ret_use, which attach_use_free() empties. -ENODEV: there is no such device. */
int attach_use(const char *root, int index, struct attach_use *ret_use);

/* Is it in use for anything at all? */
bool attach_is_used(const struct attach_use *use);

/* Free what USE points to; all zeros is fine. */
void attach_use_free(struct attach_use *use);

/*
 * "as swap (123.4M in it)", "mounted on /srv", "by dm-0", "by somebody else": why it cannot be let
 * go of, in words to follow "in use ". A line that the caller frees; NULL: there is no memory.
 */
char *attach_use_describe(const struct attach_use *use);

#endif
