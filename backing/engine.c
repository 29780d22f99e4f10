/* SPDX-License-Identifier: BSD-3-Clause */
#include "backing/engine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/parking.h"
#include "common/util.h"

int engine_why(char *why, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, BACKING_WHY, format, args);
	va_end(args);
	return error;
}

static bool is_uri(const char *where)
{
	static const char *const schemes[] = {"nbd:", "nbds:", "nbd+unix:", "nbds+unix:"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (strncmp(where, schemes[i], strlen(schemes[i])) == 0)
			return true;
	return false;
}

#ifndef HAVE_LIBNBD
int engine_open_remote(const struct engine_options *options, struct engine **ret_engine,
		       char *ret_why)
{
	return engine_why(ret_why, -EOPNOTSUPP, "NBD exports need libnbd, built without it");
}
#endif

#ifndef HAVE_LIBURING
int engine_new_uring(const struct engine_options *options, int fd, struct engine **ret_engine)
{
	return -ENOSYS;
}
#endif

int engine_open(const struct engine_options *options, struct engine **ret_engine, char *ret_why)
{
	return is_uri(options->where) ? engine_open_remote(options, ret_engine, ret_why)
				      : engine_open_file(options, ret_engine, ret_why);
}

int engine_look(const char *where, void *header, uint64_t *ret_size, char *why)
{
	return is_uri(where) ? 0 : engine_look_at_file(where, header, ret_size, why);
}

bool engine_advance(const struct engine *engine, struct engine_io *io, int64_t result,
		    int *ret_error)
{
	uint32_t moved;

	*ret_error = 0;
	if (io->op == ENGINE_FLUSH && result >= 0)
		return true;
	/* Nothing has happened yet, or the thread that submitted it has ended meanwhile. */
	if (result == -EAGAIN || result == -EINTR || result == -ECANCELED)
		return false;
	if (result < 0) {
		*ret_error = (int)result;
		return true;
	}
	if (result == io->len - io->moved) {
		io->moved = io->len;
		return true;
	}
	moved = (uint32_t)result & ~(engine->block - 1);
	io->moved += moved;
	if (moved > 0)
		return false;
	/* The end of a file that was cut short, or no room for a whole sector. */
	*ret_error = io->op == ENGINE_WRITE ? -ENOSPC : -EIO;
	return true;
}

struct waiting {
	struct engine_io io;
	struct parking parking;
	uint32_t done;
	int error;
};

static void wake(struct engine_io *io, int error)
{
	struct waiting *w = (struct waiting *)(void *)io;

	w->error = error;
	__atomic_store_n(&w->done, 1, __ATOMIC_SEQ_CST);
	parking_notify(&w->parking, true);
	__atomic_store_n(&w->done, 2, __ATOMIC_RELEASE);
}

int engine_do(struct engine *engine, enum engine_op op, void *buf, uint32_t len, uint64_t offset)
{
	struct waiting w = {
		.io = {.op = op, .buf = buf, .len = len, .offset = offset, .done = wake}};

	engine_submit(engine, &w.io);
	while (__atomic_load_n(&w.done, __ATOMIC_SEQ_CST) == 0) {
		uint32_t sequence = parking_enter(&w.parking);

		if (__atomic_load_n(&w.done, __ATOMIC_SEQ_CST) != 0)
			parking_leave(&w.parking);
		else
			parking_wait(&w.parking, sequence);
	}
	/* The other side has done with this stack frame only now. */
	while (__atomic_load_n(&w.done, __ATOMIC_ACQUIRE) != 2)
		cpu_pause();
	return w.error;
}
