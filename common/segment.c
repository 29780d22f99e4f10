/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#include "common/fnv1a.h"
#include "common/util.h"

#define HEAD_SIZE 4096
#define MAGIC	  UINT64_C(0x6765736d6172637a) /* "zcramseg", little-endian */
#define KEY_BASE  0x7a000000		       /* the rest of the key is of the name */
#define KEY_MASK  0x00ffffff

/* Written by who has the claim, the magic last of all. */
struct head {
	uint64_t magic;
	char name[SEGMENT_NAME_SIZE];
	uint64_t size; /* bytes behind the head's page */
};

bool segment_name_valid(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t len = strlen(name);

	return len > 0 && len < SEGMENT_NAME_SIZE && strspn(name, allowed) == len;
}

static int key_of(const char *name)
{
	uint64_t hash = fnv1a(FNV1A_START, name, strlen(name));

	return KEY_BASE | (int)((hash ^ hash >> 24 ^ hash >> 48) & KEY_MASK);
}

/*
 * Wait for 0 and make it 1, at once. A semaphore is 0 when it is made, and again when who has made
 * it 1 is dead: there is no moment at which it is there and says something else.
 */
static int take(int semaphore, int milliseconds)
{
	struct sembuf ops[] = {
		{.sem_op = 0, .sem_flg = milliseconds > 0 ? 0 : IPC_NOWAIT},
		{.sem_op = 1, .sem_flg = SEM_UNDO},
	};
	struct timespec limit = {
		.tv_sec = milliseconds / 1000,
		.tv_nsec = milliseconds % 1000 * 1000000L,
	};
	int r;

	do
		r = semtimedop(semaphore, ops, ARRAY_SIZE(ops), milliseconds > 0 ? &limit : NULL);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN ? -EBUSY : -errno;
	return 0;
}

static int claim(struct segment *s, int milliseconds)
{
	int r;

	/* Who had the claim may remove the semaphore with the segment, before our eyes. */
	do {
		s->semaphore = semget(s->key, 1, IPC_CREAT | 0600);
		if (s->semaphore < 0)
			return -errno;
		r = take(s->semaphore, milliseconds);
	} while (r == -EIDRM || r == -EINVAL);
	if (r == 0)
		s->claimant = getpid();
	return r;
}

int segment_claim(const char *name, int milliseconds, struct segment *ret_segment)
{
	struct segment *s = ret_segment;

	if (!segment_name_valid(name))
		return -EINVAL;
	*s = (struct segment){.key = key_of(name), .id = -1};
	memcpy(s->name, name, strlen(name) + 1);
	return claim(s, milliseconds);
}

int segment_reclaim(struct segment *s, int milliseconds)
{
	return s->claimant == getpid() ? 0 : claim(s, milliseconds);
}

static int attach(struct segment *s)
{
	struct shmid_ds state;
	void *head;

	if (shmctl(s->id, IPC_STAT, &state) < 0)
		return -errno;
	if (state.shm_segsz < HEAD_SIZE)
		return -EPROTO;
	head = shmat(s->id, NULL, 0);
	if (head == (void *)-1)
		return -errno;
	madvise(head, state.shm_segsz, MADV_DONTDUMP);
	/* A huge page would hold 2 MiB for the first bytes stored in it. */
	madvise(head, state.shm_segsz, MADV_NOHUGEPAGE);
	s->head = head;
	s->memory = (char *)head + HEAD_SIZE;
	s->size = (state.shm_segsz - HEAD_SIZE) / HEAD_SIZE * HEAD_SIZE;
	return 0;
}

static void detach(struct segment *s)
{
	if (s->head)
		shmdt(s->head);
	s->head = s->memory = NULL;
}

static int make(struct segment *s, uint64_t size)
{
	struct head *head;
	int r;

	if (size > SIZE_MAX - 2 * HEAD_SIZE)
		return -ENOMEM;
	size = align_up(size, HEAD_SIZE);
	s->id = shmget(s->key, HEAD_SIZE + size, IPC_CREAT | IPC_EXCL | SHM_NORESERVE | 0600);
	if (s->id < 0)
		return -errno;
	r = attach(s);
	if (r < 0) {
		shmctl(s->id, IPC_RMID, NULL);
		return r;
	}
	head = s->head;
	memcpy(head->name, s->name, sizeof(s->name));
	head->size = size;
	__atomic_store_n(&head->magic, MAGIC, __ATOMIC_RELEASE);
	return 0;
}

static bool is_blank(const struct head *head)
{
	const uint8_t *bytes = (const uint8_t *)head;

	for (size_t i = 0; i < HEAD_SIZE; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/*
 * Was it made by somebody who was killed before there was a head? Nobody else can be about to write
 * one, for we have the claim. A foreign segment with our key is not likely to be all of this.
 */
static bool is_stillborn(const struct segment *s)
{
	struct shmid_ds state;

	return is_blank(s->head) && shmctl(s->id, IPC_STAT, &state) == 0 && state.shm_nattch == 1 &&
	       state.shm_perm.uid == geteuid() && (state.shm_perm.mode & 0777) == 0600;
}

static bool is_named(const struct segment *s)
{
	const struct head *head = s->head;

	return head->magic == MAGIC && memcmp(head->name, s->name, strlen(s->name) + 1) == 0;
}

int segment_expect(const char *name, struct segment *ret_segment)
{
	struct segment *s = ret_segment;
	int r;

	if (!segment_name_valid(name))
		return -EINVAL;
	*s = (struct segment){.key = key_of(name), .id = -1};
	memcpy(s->name, name, strlen(name) + 1);
	s->id = shmget(s->key, 0, 0);
	r = s->id < 0 ? -errno : attach(s);
	if (r == 0 && !is_named(s)) {
		detach(s);
		r = -EADDRINUSE;
	}
	if (r < 0)
		s->id = -1;
	return r;
}

/* Who has the claim of a key. */
static pid_t claimant_of(int key)
{
	int semaphore = semget(key, 1, 0);

	if (semaphore < 0 || semctl(semaphore, 0, GETVAL) <= 0)
		return 0;
	return semctl(semaphore, 0, GETPID);
}

bool segment_is_claimed(const struct segment *s)
{
	return claimant_of(s->key) != 0;
}

/* Is the segment that was attached before it was claimed still the name's? */
static int follow(struct segment *s, int expected)
{
	if (s->id == expected)
		return 0;
	detach(s);
	s->id = -1;
	return -ENOENT;
}

int segment_attach(struct segment *s, uint64_t size, bool *ret_made)
{
	int r, expected = s->head ? s->id : -1;

	*ret_made = false;
	s->id = shmget(s->key, 0, 0);
	if (expected >= 0)
		return follow(s, expected);
	if (s->id < 0 && errno != ENOENT)
		return -errno;
	if (s->id >= 0) {
		r = attach(s);
		if (r < 0 || is_named(s))
			return r;
		r = is_stillborn(s) ? 0 : -EADDRINUSE;
		detach(s);
		if (r == 0 && shmctl(s->id, IPC_RMID, NULL) < 0)
			r = -errno;
		s->id = -1;
		if (r < 0)
			return r;
	}
	if (size == 0)
		return -ENOENT;
	r = make(s, size);
	*ret_made = r == 0;
	return r;
}

int segment_lock(const struct segment *s)
{
	return shmctl(s->id, SHM_LOCK, NULL) < 0 ? -errno : 0;
}

void segment_close(struct segment *s)
{
	struct sembuf give = {.sem_op = -1, .sem_flg = SEM_UNDO | IPC_NOWAIT};

	/* Nothing is left of what never was. */
	if (s->claimant == getpid() && s->id < 0)
		semctl(s->semaphore, 0, IPC_RMID);
	else if (s->claimant == getpid())
		semop(s->semaphore, &give, 1);
	s->claimant = 0;
	/* Who waits for it need not wait for that, too: of much memory it takes long. */
	detach(s);
}

int segment_remove(struct segment *s)
{
	bool made;
	/* To remove one that is another's needs more than its key. */
	int r = s->head ? 0 : segment_attach(s, 0, &made);

	if (r == 0 && shmctl(s->id, IPC_RMID, NULL) < 0)
		r = -errno;
	detach(s);
	/* Who waits for it learns that it is gone, and makes another. */
	if (s->claimant == getpid())
		semctl(s->semaphore, 0, IPC_RMID);
	s->claimant = 0;
	return r;
}

/* Tell FN of one segment, if it is one of ours. */
static int tell(int key, int id, struct segment_info *info,
		int (*fn)(void *opaque, const struct segment_info *info), void *opaque)
{
	const struct head *head = shmat(id, NULL, SHM_RDONLY);
	int r = 0;

	if (head == (const void *)-1)
		return 0; /* another user's, or gone */
	if (head->magic == MAGIC && memchr(head->name, '\0', sizeof(head->name)) &&
	    segment_name_valid(head->name) && key_of(head->name) == key) {
		memcpy(info->name, head->name, sizeof(head->name));
		info->memory = (const char *)head + HEAD_SIZE;
		info->claimant = claimant_of(key);
		r = fn(opaque, info);
	}
	shmdt(head);
	return r;
}

/*
 * A line of /proc/sysvipc/shm, which unlike SHM_STAT says what is resident: key shmid perms size
 * cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap. False: of something else's.
 */
static bool read_line(const char *line, int *ret_key, int *ret_id, struct segment_info *ret_info)
{
	uint64_t size;

	if (sscanf(line,
		   "%d %d %*o %" SCNu64 " %*d %*d %" SCNu64 " %u %*u %*u %*u %*d %*d %*d %" SCNu64
		   " %" SCNu64,
		   ret_key, ret_id, &size, &ret_info->attached, &ret_info->uid, &ret_info->resident,
		   &ret_info->swapped) != 7)
		return false;
	ret_info->size = size >= HEAD_SIZE ? (size - HEAD_SIZE) / HEAD_SIZE * HEAD_SIZE : 0;
	return size >= HEAD_SIZE && (*ret_key & ~KEY_MASK) == KEY_BASE;
}

int segment_list(int (*fn)(void *opaque, const struct segment_info *info), void *opaque)
{
	FILE *file = fopen("/proc/sysvipc/shm", "re");
	char line[512];
	int r = 0;

	if (!file)
		return -errno;
	while (r == 0 && fgets(line, sizeof(line), file)) {
		struct segment_info info = {0};
		int key, id;

		if (read_line(line, &key, &id, &info))
			r = tell(key, id, &info, fn, opaque);
	}
	fclose(file);
	return r;
}
