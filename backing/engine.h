/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * engine: reads and writes at an offset, asynchronously, and how large it all is. Three of them:
 * io_uring (uring.c) and threads (threads.c) on a file or block device (file.c), and libnbd
 * (remote.c).
 */
#ifndef ZCRAM_BACKING_ENGINE_H
#define ZCRAM_BACKING_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backing/backing.h"

/* What buffers and offsets are aligned to at most; an engine with larger sectors is refused. */
#define ENGINE_BLOCK_MAX 4096

enum engine_op { ENGINE_READ, ENGINE_WRITE, ENGINE_FLUSH };

struct engine;

/* A request. The caller's until it is submitted, and again from when `done` is called. */
struct engine_io {
	enum engine_op op;
	uint32_t
		len; /* bytes; like OFFSET and BUF a multiple of the engine's block; 0 of a flush */
	void *buf;
	uint64_t offset;
	/*
	 * All LEN bytes have been moved (error 0), or not: a negative errno. Called once, on any
	 * thread, perhaps inside engine_submit(). May wake somebody, and submit; must not block.
	 */
	void (*done)(struct engine_io *io, int error);
	/* the engine's */
	struct engine *engine;
	struct engine_io *next, *previous; /* next: the caller's until then, to submit several */
	uint32_t moved;
	uint64_t deadline; /* ns */
};

/* Is there somebody to ask? Only an export can be gone. */
enum engine_link { ENGINE_UP, ENGINE_GONE, ENGINE_FOREIGN };

struct engine_ops {
	/* IO, and what is linked behind it by `next`. */
	void (*submit)(struct engine *engine, struct engine_io *io);
	/* No request may be under way. */
	void (*close)(struct engine *engine);
	/* NULL: what is under way ends by itself. See engine_cancel(). */
	void (*cancel)(struct engine *engine);
	/* NULL: always up */
	enum engine_link (*link)(const struct engine *engine, uint64_t *ret_reconnects);
	/* NULL: nobody can exchange it. See engine_identify(). */
	void (*identify)(struct engine *engine, const void *header);
};

struct engine {
	const struct engine_ops *ops;
	uint64_t size;	/* bytes, a multiple of the block */
	uint32_t block; /* bytes: a power of two */
	bool direct, io_uring, remote;
};

struct engine_options {
	const char *where;
	uint64_t file_size;
	unsigned int patience; /* ms */
	unsigned int requests; /* under way at a time at most */
	enum backing_engine engine;
	void *memory; /* page aligned: most buffers that are read into are in it */
	size_t memory_size;
	void (*begin_thread)(void *opaque);
	void *opaque;
};

/* The engine for options->where. Blocks, allocates. Errors as backing_open(). */
int engine_open(const struct engine_options *options, struct engine **ret_engine, char *ret_why);

/*
 * Without having it: the first ENGINE_BLOCK_MAX bytes of what is at WHERE into HEADER, which is aligned to
 * as many, and how large it is. 1; 0: it is an export, of which nothing can be seen; or as backing_open().
 * Blocks.
 */
int engine_look(const char *where, void *header, uint64_t *ret_size, char *ret_why);
int engine_look_at_file(const char *path, void *header, uint64_t *ret_size, char *ret_why);

int engine_open_file(const struct engine_options *options, struct engine **ret_engine,
		     char *ret_why);
int engine_open_remote(const struct engine_options *options, struct engine **ret_engine,
		       char *ret_why);

/* On FD, which is the engine's if they succeed. -EPERM, -ENOSYS: there is no io_uring for us. */
int engine_new_uring(const struct engine_options *options, int fd, struct engine **ret_engine);
int engine_new_threads(const struct engine_options *options, int fd, struct engine **ret_engine);

/* IO, and all that is linked behind it, which saves calls of the kernel, and a disk the bell for each. */
static inline void engine_submit(struct engine *engine, struct engine_io *io)
{
	engine->ops->submit(engine, io);
}

static inline enum engine_link engine_link(const struct engine *engine, uint64_t *ret_reconnects)
{
	*ret_reconnects = 0;
	return engine->ops->link ? engine->ops->link(engine, ret_reconnects) : ENGINE_UP;
}

/*
 * From now on the first ENGINE_BLOCK_MAX bytes of the store are HEADER's, which must stay. An
 * export that comes back without them is another's: all requests fail with -ESTALE from then on.
 */
static inline void engine_identify(struct engine *engine, const void *header)
{
	if (engine->ops->identify)
		engine->ops->identify(engine, header);
}

/* All that is under way, and all to come, fails with -ECANCELED, soon; of a file it goes on. */
static inline void engine_cancel(struct engine *engine)
{
	if (engine->ops->cancel)
		engine->ops->cancel(engine);
}

static inline void engine_close(struct engine *engine)
{
	if (engine)
		engine->ops->close(engine);
}

/* Submit and wait. */
int engine_do(struct engine *engine, enum engine_op op, void *buf, uint32_t len, uint64_t offset);

/*
 * The kernel has said RESULT, a number of bytes or a negative errno, of what was left of IO. True:
 * it is finished, with *ret_error; false: ask again for what is left. Short counts are rounded down
 * to whole sectors, as what is left has to begin at one.
 */
bool engine_advance(const struct engine *engine, struct engine_io *io, int64_t result,
		    int *ret_error);

/* Write the reason down, and return ERROR. */
int engine_why(char *why, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
