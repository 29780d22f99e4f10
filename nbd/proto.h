/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * proto: the transmission phase of the NBD protocol, as the kernel's client speaks it: requests and
 * simple replies. All numbers are big-endian on the wire; a cookie is the client's own.
 *
 * From the protocol's document, doc/proto.md of the NetworkBlockDevice project.
 */
#ifndef ZCRAM_PROTO_H
#define ZCRAM_PROTO_H

#include <assert.h>
#include <stdint.h>

#define PROTO_REQUEST_MAGIC 0x25609513u
#define PROTO_REPLY_MAGIC   0x67446698u

enum proto_type {
	PROTO_READ = 0,
	PROTO_WRITE = 1,
	PROTO_DISC = 2, /* has no reply */
	PROTO_FLUSH = 3,
	PROTO_TRIM = 4,
	PROTO_WRITE_ZEROES = 6,
};

#define PROTO_FLAG_FUA	     (1u << 0)
#define PROTO_FLAG_NO_HOLE   (1u << 1) /* of WRITE_ZEROES */
#define PROTO_FLAG_FAST_ZERO (1u << 4) /* of WRITE_ZEROES */

/* A write is followed by LENGTH bytes of data. */
struct proto_request {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t length;
} __attribute__((packed));

/* That of a read without an error is followed by the data. */
struct proto_reply {
	uint32_t magic, error;
	uint64_t cookie;
} __attribute__((packed));

static_assert(sizeof(struct proto_request) == 28, "as on the wire");
static_assert(sizeof(struct proto_reply) == 16, "as on the wire");

/* Errors on the wire. */
enum proto_error {
	PROTO_EPERM = 1,
	PROTO_EIO = 5,
	PROTO_ENOMEM = 12,
	PROTO_EINVAL = 22,
	PROTO_ENOSPC = 28,
	PROTO_EOVERFLOW = 75,
	PROTO_ENOTSUP = 95,
	PROTO_ESHUTDOWN = 108,
};

/* The error that stands for R, 0 or a negative errno; EIO for what has no word on the wire. */
uint32_t proto_error(int r);

#endif
