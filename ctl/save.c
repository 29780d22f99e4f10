/* SPDX-License-Identifier: BSD-3-Clause */
/* save: the content of a device to a file, compressed as it is. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/size.h"
#include "ctl/transfer.h"

/*
 * Where it is written until it is complete: a file without a name, which goes with this process whatever it
 * dies of, or, where the file system has none such, one beside the file that is meant.
 */
struct target {
	const char *given; /* as it was; "-": standard output */
	char *path;	   /* what is replaced at the end; NULL: nothing */
	char *temporary;   /* beside it */
	char *place;	   /* the directory of these, or "/dev/stdout" */
	int fd;
	bool named; /* it is the temporary one */
};

/* By which a file without a name can be given one; 32 bytes. */
#define OWN_FD	      "/proc/self/fd/%d"

#define TEMPORARY     "XXXXXX" /* as mkostemp() wants it */
#define TEMPORARY_LEN strlen(TEMPORARY)

static bool is_stdout(const struct target *target)
{
	return target->path == NULL;
}

static int fail(const struct target *target, int error)
{
	ctl_complain("%s: %s", is_stdout(target) ? "standard output" : target->given,
		     strerror(error));
	return CTL_FAILURE;
}

static void target_free(struct target *target)
{
	free(target->path);
	free(target->temporary);
	free(target->place);
}

static int init_stdout(struct target *target)
{
	if (isatty(STDOUT_FILENO))
		return ctl_misused("save: -: standard output is a terminal: give a file");
	target->fd = STDOUT_FILENO;
	target->place = strdup("/dev/stdout");
	return target->place ? CTL_OK : fail(target, ENOMEM);
}

/* The path that is replaced, and those beside it. */
static int init_paths(struct target *target)
{
	char *slash = strrchr(target->path, '/');

	target->place =
		slash ? strndup(target->path, (size_t)(slash - target->path) + 1) : strdup(".");
	if (asprintf(&target->temporary, "%s." TEMPORARY, target->path) < 0)
		target->temporary = NULL;
	return target->place && target->temporary ? CTL_OK : fail(target, ENOMEM);
}

/* What GIVEN means, and what it is called meanwhile. Touches nothing. */
static int target_init(struct target *target, const char *given)
{
	struct stat st;

	*target = (struct target){.given = given, .fd = -1};
	if (strcmp(given, "-") == 0)
		return init_stdout(target);
	/* A link stays one; what is no file is not replaced by one. */
	target->path = realpath(given, NULL);
	if (!target->path && errno == ENOENT)
		target->path = strdup(given);
	if (!target->path) {
		ctl_complain("%s: %s", given, strerror(errno));
		return CTL_FAILURE;
	}
	if (stat(target->path, &st) == 0 && !S_ISREG(st.st_mode)) {
		ctl_complain("%s: not a file: give another name, or - for standard output", given);
		return CTL_FAILURE;
	}
	return init_paths(target);
}

/* Mode 0600: it is the content of a disk. A negative errno: there is none without a name. */
static int open_unnamed(struct target *target)
{
	char own[32];

	target->fd = open(target->place, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (target->fd < 0)
		return -errno;
	snprintf(own, sizeof(own), OWN_FD, target->fd);
	if (access(own, F_OK) == 0)
		return 0;
	close(target->fd);
	return -ENOENT;
}

static int target_open(struct target *target)
{
	if (is_stdout(target) || open_unnamed(target) == 0)
		return CTL_OK;
	target->fd = mkostemp(target->temporary, O_CLOEXEC);
	target->named = target->fd >= 0;
	return target->named ? CTL_OK : fail(target, errno);
}

/* Give it the temporary name, by which it can replace another file; that takes no time. */
static int name_it(struct target *target)
{
	char *end = target->temporary + strlen(target->temporary) - TEMPORARY_LEN;
	char own[32];
	uint32_t number;

	snprintf(own, sizeof(own), OWN_FD, target->fd);
	do {
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -errno;
		snprintf(end, TEMPORARY_LEN + 1, "%06" PRIx32, number & 0xffffff);
		if (linkat(AT_FDCWD, own, AT_FDCWD, target->temporary, AT_SYMLINK_FOLLOW) == 0) {
			target->named = true;
			return 0;
		}
	} while (errno == EEXIST);
	return -errno;
}

/* Have the directory's entry on the disk, as far as its file system can. */
static void sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

/* It is complete: have it under its name; or it is not, and nothing is left of it. */
static int target_close(struct target *target, bool complete)
{
	int status = complete ? CTL_OK : CTL_FAILURE;

	if (is_stdout(target))
		return status;
	if (complete && fsync(target->fd) < 0)
		status = fail(target, errno);
	if (status == CTL_OK && !target->named) {
		int r = name_it(target);

		status = r < 0 ? fail(target, -r) : CTL_OK;
	}
	if (close(target->fd) < 0 && status == CTL_OK)
		status = fail(target, errno);
	if (status == CTL_OK && rename(target->temporary, target->path) < 0)
		status = fail(target, errno);
	if (status == CTL_OK)
		sync_directory(target->place);
	else if (target->named)
		unlink(target->temporary);
	return status;
}

/* CTL_OK: what was transferred is all there is. */
static int check(const struct transfer *t, const struct ctl_device *device,
		 const struct target *target, bool held)
{
	if (t->interrupted) {
		ctl_complain("%s: interrupted: nothing is saved", device->name);
		return CTL_FAILURE;
	}
	if (t->error < 0)
		return fail(target, -t->error);
	if (t->ret < 0)
		return ctl_device_failed(device, t->ret, t->message);
	if (held)
		return CTL_OK;
	ctl_complain("%s: it took too long, and was not frozen to the end: nothing is saved",
		     device->name);
	return CTL_FAILURE;
}

static int report(const struct transfer *t, const struct ctl_device *device,
		  const struct target *target)
{
	uint64_t pages = ctl_stat_number(t->result, "objects") + ctl_stat_number(t->result, "same");
	uint64_t damaged = ctl_stat_number(t->result, "damaged");
	char content[CTL_SIZE_TEXT], bytes[CTL_SIZE_TEXT];

	if (damaged > 0)
		ctl_complain("%s: %" PRIu64 " pages are damaged, and are saved as such",
			     device->name, damaged);
	if (is_stdout(target))
		return CTL_OK;
	printf("%s: %s saved, in %s\n", device->name, ctl_size_human(pages * CTL_PAGE, content),
	       ctl_size_human(t->bytes, bytes));
	return ctl_flush();
}

/* TARGET is open. */
static int transfer(struct transfer *t, const struct ctl_device *device, struct target *target)
{
	bool held;
	int status;

	transfer_run(t, target->fd, true);
	/* Before the file is waited for. */
	held = hold_end(t->hold, false);
	status = check(t, device, target, held);
	if (target_close(target, status == CTL_OK) != CTL_OK)
		return CTL_FAILURE;
	return report(t, device, target);
}

static int save(struct ctl_device *device, struct control_client *client, struct target *target)
{
	struct hold hold;
	struct transfer t = {.command = "save", .hold = &hold};
	int status = transfer_begin(&t, device, client, "saving", target->place);

	if (status == CTL_OK) {
		t.total = ctl_stat_counter(device->stat, "payload");
		status = target_open(target);
		if (status == CTL_OK)
			status = transfer(&t, device, target);
		hold_end(&hold, false);
	}
	transfer_free(&t);
	return status;
}

static int run(struct ctl_args *args)
{
	struct control_client *client;
	struct ctl_device device;
	struct target target;
	int status;

	if (ctl_next_option(args) < 0 || !ctl_operands_fit(args, 2, 2))
		return args->status;
	transfer_catch_signals();
	status = target_init(&target, args->operands[1]);
	if (status == CTL_OK)
		status = ctl_device_connect(args->operands[0], &device, &client);
	if (status == CTL_OK) {
		status = save(&device, client, &target);
		ctl_device_clear(&device);
	}
	target_free(&target);
	return status;
}

const struct ctl_command ctl_save = {
	.name = "save",
	.operands = "DEVICE FILE",
	.summary = "write all that a device holds to a file, compressed as it is",
	.run = run,
};
