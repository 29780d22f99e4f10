/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/internal.h"

#define SCHEDULER "mq-deadline"

/* What is to be set, of whose queue, and for whom. */
struct setting {
	const char *root;
	int index;
	bool used;
	char **why;
};

static void path_of(const struct setting *s, const char *name, char *path, size_t size)
{
	snprintf(path, size, "/sys/block/nbd%d/queue/%s", s->index, name);
}

static int fail(const struct setting *s, int r, const char *name, const char *value)
{
	return attach_why(s->why, r, "nbd%d: queue/%s cannot be set to %s: %s", s->index, name,
			  value, strerror(-r));
}

static int set(const struct setting *s, const char *name, const char *value)
{
	char path[128], full[ATTACH_PATH_SIZE];
	int fd, r;

	path_of(s, name, path, sizeof(path));
	r = attach_path(s->root, full, path);
	if (r < 0)
		return fail(s, r, name, value);
	fd = open(full, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return fail(s, -errno, name, value);
	r = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return r < 0 ? fail(s, r, name, value) : 0;
}

static int set_number(const struct setting *s, const char *name, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return set(s, name, text);
}

static int get(const struct setting *s, const char *name, char *line, size_t size)
{
	char path[128];
	int r;

	path_of(s, name, path, sizeof(path));
	r = attach_read_line(s->root, path, line, size);
	if (r < 0)
		attach_why(s->why, r, "nbd%d: queue/%s cannot be read: %s", s->index, name,
			   strerror(-r));
	return r;
}

static int get_number(const struct setting *s, const char *name, unsigned int *ret_value)
{
	char line[32], *end;
	unsigned long value;
	int r = get(s, name, line, sizeof(line));

	if (r < 0)
		return r;
	value = strtoul(line, &end, 10);
	if (end == line || *end != '\0' || value > UINT_MAX)
		return attach_why(s->why, -EPROTO, "nbd%d: queue/%s is \"%s\"", s->index, name,
				  line);
	*ret_value = (unsigned int)value;
	return 0;
}

/* To set these stops the queue, which takes memory and all requests to be answered: not for swap in use. */
static int check_unused(const struct setting *s, const char *name)
{
	if (!s->used)
		return 0;
	return attach_why(s->why, -EBUSY,
			  "nbd%d: queue/%s is not changed while the device is in use", s->index,
			  name);
}

/* Where it is a module, the kernel loads it. */
static int choose_scheduler(const struct setting *s)
{
	char line[256];
	int r = get(s, "scheduler", line, sizeof(line));

	if (r < 0 || strstr(line, "[" SCHEDULER "]") != NULL)
		return r;
	r = check_unused(s, "scheduler");
	return r < 0 ? r : set(s, "scheduler", SCHEDULER);
}

static int bound_requests(const struct setting *s, unsigned int kib)
{
	unsigned int most;
	int r = get_number(s, "max_sectors_kb", &most);

	if (r < 0 || most <= kib)
		return r;
	r = check_unused(s, "max_sectors_kb");
	return r < 0 ? r : set_number(s, "max_sectors_kb", kib);
}

/*
 * Kernels in which the scheduler keeps a quarter of its tags from writes by itself (until 6.9, and the stable ones
 * of that time) take the number for another than they should: more writes are let through, and who waits for a
 * tag may not be woken (Linux commit 39823b47bbd4).
 */
static bool is_miscounting(unsigned int depth, unsigned int tags)
{
	return depth == tags * 3 / 4;
}

static int bound_writes(const struct setting *s, unsigned int writes)
{
	unsigned int tags, depth;
	int r = get_number(s, "nr_requests", &tags);

	if (r == 0)
		r = get_number(s, "iosched/async_depth", &depth);
	if (r < 0 || depth <= writes)
		return r;
	if (is_miscounting(depth, tags))
		return attach_why(s->why, -EOPNOTSUPP,
				  "nbd%d: the " SCHEDULER " of this kernel cannot bound writes",
				  s->index);
	return set_number(s, "iosched/async_depth", writes);
}

int attach_bound_writes(const char *root, int index, unsigned int kib, unsigned int writes,
			bool used, char **ret_why)
{
	struct setting s = {.root = root, .index = index, .used = used, .why = ret_why};
	int r;

	*ret_why = NULL;
	r = bound_requests(&s, kib);
	if (r == 0)
		r = choose_scheduler(&s);
	return r < 0 ? r : bound_writes(&s, writes);
}
