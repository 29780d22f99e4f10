/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/nbd-handshake.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define NBD_MAGIC      0x4e42444d41474943u
#define OPTION_MAGIC   0x49484156454f5054u
#define REPLY_MAGIC    0x0003e889045565a9u
#define FIXED_NEWSTYLE 1
#define NO_ZEROES      2

enum { OPTION_EXPORT_NAME = 1, OPTION_ABORT = 2, OPTION_INFO = 6, OPTION_GO = 7 };
enum { REPLY_ACK = 1, REPLY_INFO = 3 };
#define REPLY_UNSUPPORTED 0x80000001u

/* has flags, flush, FUA, trim, write zeroes, many connections */
#define EXPORT_FLAGS (1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 8)

struct option {
	uint64_t magic;
	uint32_t code, length;
} __attribute__((packed));

static bool take(int socket, void *buf, size_t size)
{
	return recv(socket, buf, size, MSG_WAITALL) == (ssize_t)size;
}

static bool give(int socket, const void *buf, size_t size)
{
	return send(socket, buf, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool reply(int socket, uint32_t option, uint32_t type, const void *data, uint32_t length)
{
	struct {
		uint64_t magic;
		uint32_t option, type, length;
	} __attribute__((packed)) header = {
		.magic = htobe64(REPLY_MAGIC),
		.option = option,
		.type = htobe32(type),
		.length = htobe32(length),
	};

	return give(socket, &header, sizeof(header)) && (length == 0 || give(socket, data, length));
}

static bool reply_export(int socket, uint32_t option, uint64_t size)
{
	struct {
		uint16_t type;
		uint64_t size;
		uint16_t flags;
	} __attribute__((packed)) info = {
		.size = htobe64(size),
		.flags = htobe16(EXPORT_FLAGS),
	};

	return reply(socket, option, REPLY_INFO, &info, sizeof(info)) &&
	       reply(socket, option, REPLY_ACK, NULL, 0);
}

static bool end_old_style(int socket, uint64_t size, bool zeroes)
{
	struct {
		uint64_t size;
		uint16_t flags;
		uint8_t zeroes[124];
	} __attribute__((packed)) export = {
		.size = htobe64(size),
		.flags = htobe16(EXPORT_FLAGS),
	};

	return give(socket, &export, zeroes ? sizeof(export) : offsetof(typeof(export), zeroes));
}

bool handshake_serve(int socket, uint64_t size)
{
	struct {
		uint64_t magic, option_magic;
		uint16_t flags;
	} __attribute__((packed)) hello = {
		.magic = htobe64(NBD_MAGIC),
		.option_magic = htobe64(OPTION_MAGIC),
		.flags = htobe16(FIXED_NEWSTYLE | NO_ZEROES),
	};
	struct option option;
	char data[4096];
	uint32_t flags;

	if (!give(socket, &hello, sizeof(hello)) || !take(socket, &flags, sizeof(flags)))
		return false;
	while (take(socket, &option, sizeof(option))) {
		uint32_t length = be32toh(option.length);

		if (option.magic != htobe64(OPTION_MAGIC) || length > sizeof(data) ||
		    (length > 0 && !take(socket, data, length)))
			return false;
		switch (be32toh(option.code)) {
		case OPTION_EXPORT_NAME:
			return end_old_style(socket, size, (be32toh(flags) & NO_ZEROES) == 0);
		case OPTION_ABORT:
			reply(socket, option.code, REPLY_ACK, NULL, 0);
			return false;
		case OPTION_GO:
			return reply_export(socket, option.code, size);
		case OPTION_INFO:
			if (!reply_export(socket, option.code, size))
				return false;
			break;
		default:
			if (!reply(socket, option.code, REPLY_UNSUPPORTED, NULL, 0))
				return false;
		}
	}
	return false;
}
