/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file or block device, and which engine works on it.
 *
 * O_DIRECT, where the file system has it: the page cache would hold a second copy of what was
 * written to have memory for something else.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backing/engine.h"
#include "common/os.h"
#include "common/util.h"

#define BUSY_WAIT_MS 5000
#define BUSY_LOOK_MS 10

struct found {
	int fd;
	uint64_t size;
	uint32_t block;
	bool direct;
};

/* True: look again. WAITED ms have passed. */
static bool wait_a_little(int *waited)
{
	const uint32_t never = 0;

	if (*waited >= BUSY_WAIT_MS)
		return false;
	os_wait(&never, 0, BUSY_LOOK_MS);
	*waited += BUSY_LOOK_MS;
	return true;
}

/*
 * One server at a time: a block device is opened exclusively, so that it is neither mounted nor
 * anything else's, and a file is locked. Both hold for as long as the file is open, and that is
 * until nothing is under way on it: while the kernel still executes what a killed process asked
 * for, they are not to be had, but will be.
 */
static int open_waiting(const char *path, int flags)
{
	int waited = 0, fd;

	do
		fd = open(path, flags, 0600);
	while (fd < 0 && errno == EBUSY && wait_a_little(&waited));
	return fd;
}

static int lock(int fd, char *why)
{
	int waited = 0, r;

	do
		r = flock(fd, LOCK_EX | LOCK_NB);
	while (r < 0 && (errno == EINTR || (errno == EWOULDBLOCK && wait_a_little(&waited))));
	if (r == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return engine_why(why, -EBUSY, "in use by another server");
	return engine_why(why, -errno, "cannot be locked: %s", strerror(errno));
}

static int open_path(const struct engine_options *o, struct found *f, char *why)
{
	struct stat st;
	int flags = O_RDWR | O_CLOEXEC, fd;

	if (stat(o->where, &st) < 0) {
		if (errno != ENOENT || o->file_size == 0)
			return engine_why(why, -errno, "cannot be found: %s", strerror(errno));
		flags |= O_CREAT;
	} else if (S_ISBLK(st.st_mode)) {
		flags |= O_EXCL;
	} else if (!S_ISREG(st.st_mode)) {
		return engine_why(why, -EINVAL, "neither a file nor a block device");
	}
	fd = open_waiting(o->where, flags | O_DIRECT);
	f->direct = fd >= 0;
	if (fd < 0 && errno == EINVAL)
		fd = open_waiting(o->where, flags);
	if (fd < 0)
		return engine_why(why, -errno, "cannot be opened: %s", strerror(errno));
	f->fd = fd;
	return 0;
}

/* Have a file be as large as asked for, with room for all of it where the file system can promise
 * that. */
static int grow(int fd, uint64_t size, char *why)
{
	if (fallocate(fd, 0, 0, (off_t)size) == 0)
		return 0;
	if (errno != EOPNOTSUPP || ftruncate(fd, (off_t)size) < 0)
		return engine_why(why, -errno, "cannot be made %llu bytes large: %s",
				  (unsigned long long)size, strerror(errno));
	return 0;
}

/* What offsets and lengths are to be multiples of. */
static uint32_t block_of_file(int fd, const struct stat *st)
{
#ifdef STATX_DIOALIGN /* Linux 6.1 */
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    stx.stx_mask & STATX_DIOALIGN && stx.stx_dio_offset_align > 0)
		return stx.stx_dio_offset_align;
#endif
	/* A file system's own blocks are enough, and no sector is larger than a page. */
	return (uint32_t)min_u64(max_u64((uint64_t)st->st_blksize, 512), ENGINE_BLOCK_MAX);
}

static int measure(const struct engine_options *o, struct found *f, char *why)
{
	struct stat st;
	int sector, r;

	if (fstat(f->fd, &st) < 0)
		return engine_why(why, -errno, "cannot be looked at: %s", strerror(errno));
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(f->fd, BLKGETSIZE64, &f->size) < 0 ||
		    ioctl(f->fd, BLKSSZGET, &sector) < 0)
			return engine_why(why, -errno, "its size is not known: %s",
					  strerror(errno));
		f->block = (uint32_t)sector;
		return 0;
	}
	f->size = (uint64_t)st.st_size;
	if (o->file_size > f->size) {
		r = grow(f->fd, o->file_size, why);
		if (r < 0)
			return r;
		f->size = o->file_size;
	}
	f->block = f->direct ? block_of_file(f->fd, &st) : 512;
	return 0;
}

/* Not to be had: forbidden, not in this kernel, or no memory that may be locked for it. */
static bool no_uring(int error)
{
	return error == -EPERM || error == -ENOSYS || error == -EACCES || error == -ENOMEM;
}

static int make(const struct engine_options *o, const struct found *f, struct engine **ret_engine,
		char *why)
{
	int r = -ENOSYS;

	if (o->engine == BACKING_AUTO)
		r = engine_new_uring(o, f->fd, ret_engine);
	if (no_uring(r))
		r = engine_new_threads(o, f->fd, ret_engine);
	return r < 0 ? engine_why(why, r, "no requests can be made: %s", strerror(-r)) : 0;
}

int engine_open_file(const struct engine_options *options, struct engine **ret_engine, char *why)
{
	struct found f = {.fd = -1};
	int r = open_path(options, &f, why);

	if (r < 0)
		return r;
	r = lock(f.fd, why);
	if (r == 0)
		r = measure(options, &f, why);
	if (r == 0)
		r = make(options, &f, ret_engine, why);
	if (r < 0) {
		close(f.fd);
		return r;
	}
	(*ret_engine)->size = f.size & ~(uint64_t)(f.block - 1);
	(*ret_engine)->block = f.block;
	(*ret_engine)->direct = f.direct;
	return 0;
}

/* Neither exclusively nor locked: whoever has it is not disturbed. Past the page cache, as he writes. */
static int open_to_look(const char *path, char *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT);

	if (fd < 0 && errno == EINVAL)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return engine_why(why, -errno, "cannot be opened: %s", strerror(errno));
	return fd;
}

static int read_header(int fd, void *header, uint64_t *ret_size, char *why)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return engine_why(why, -errno, "cannot be looked at: %s", strerror(errno));
	*ret_size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, ret_size) < 0)
		return engine_why(why, -errno, "its size is not known: %s", strerror(errno));
	memset(header, 0, ENGINE_BLOCK_MAX);
	n = pread(fd, header, ENGINE_BLOCK_MAX, 0);
	return n < 0 ? engine_why(why, -errno, "cannot be read: %s", strerror(errno)) : 1;
}

int engine_look_at_file(const char *path, void *header, uint64_t *ret_size, char *why)
{
	struct stat st;
	int fd, r;

	if (stat(path, &st) < 0)
		return engine_why(why, -errno, "cannot be found: %s", strerror(errno));
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return engine_why(why, -EINVAL, "neither a file nor a block device");
	if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0)
		return engine_why(why, -errno, "cannot be opened: %s", strerror(errno));
	fd = open_to_look(path, why);
	if (fd < 0)
		return fd;
	r = read_header(fd, header, ret_size, why);
	close(fd);
	return r;
}
