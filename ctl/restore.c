/* SPDX-License-Identifier: BSD-3-Clause */
/* restore: a file that save has made, to a device. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/size.h"
#include "ctl/transfer.h"
#include "image/image.h"

static const struct ctl_option options[] = {
	{'f', "force", NULL, "also if there is something on the device: it is lost"},
	{0},
};

struct source {
	const char *path;
	int fd;
	uint64_t size, done;
	struct progress progress;
};

static ssize_t read_source(void *opaque, void *data, size_t n)
{
	struct source *source = opaque;
	char done[CTL_SIZE_TEXT], size[CTL_SIZE_TEXT];
	ssize_t got;

	if (transfer_is_interrupted())
		return -EINTR;
	got = read(source->fd, data, n);
	if (got < 0)
		return -errno;
	source->done += (size_t)got;
	if (progress_due(&source->progress))
		progress_show(&source->progress, "%s: checking: %s of %s", source->path,
			      ctl_size_human(source->done, done),
			      ctl_size_human(source->size, size));
	return got;
}

static int source_open(struct source *source, const char *path)
{
	struct stat st;

	*source =
		(struct source){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
	if (source->fd < 0 || fstat(source->fd, &st) < 0) {
		ctl_complain("%s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		ctl_complain("%s: not a file: it is read twice, first to see that it is sound",
			     path);
	} else {
		source->size = (uint64_t)st.st_size;
		return CTL_OK;
	}
	if (source->fd >= 0)
		close(source->fd);
	return CTL_FAILURE;
}

/* Can the device hold it? */
static int check_fit(const struct source *source, const struct ctl_device *device,
		     struct image_reader *reader)
{
	uint64_t limit = ctl_stat_number(device->stat, "mem-limit");
	uint64_t payload = image_reader_counts(reader)->payload;
	char text[2][CTL_SIZE_TEXT];

	if (limit == 0 || payload <= limit)
		return CTL_OK;
	ctl_complain("%s: %s compressed do not fit into a mem-limit of %s: set another first",
		     source->path, ctl_size_human(payload, text[0]),
		     ctl_size_human(limit, text[1]));
	return CTL_FAILURE;
}

static int check_size(const struct source *source, const struct ctl_device *device,
		      struct image_reader *reader)
{
	uint64_t image = image_reader_info(reader)->size;
	uint64_t size = ctl_stat_number(device->stat, "size");

	if (image == size)
		return CTL_OK;
	ctl_complain("%s: of a device of %" PRIu64 " bytes, and %s has %" PRIu64, source->path,
		     image, device->name, size);
	return CTL_FAILURE;
}

static int refuse(const struct source *source, const struct image_reader *reader, int r)
{
	const char *why = reader ? image_reader_why(reader) : NULL;

	if (r == -EINTR)
		why = "interrupted: nothing is changed";
	ctl_complain("%s: %s", source->path, why ? why : strerror(-r));
	return CTL_FAILURE;
}

/* Is all of it sound, and what the device can hold? Nothing is changed before that is known. */
static int verify(struct source *source, const struct ctl_device *device)
{
	struct image_reader *reader;
	int status = CTL_OK, r;

	progress_start(&source->progress);
	r = image_reader_new(read_source, source, &reader);
	if (r == 0)
		status = check_size(source, device, reader);
	if (r == 0 && status == CTL_OK)
		r = image_verify(reader);
	progress_end(&source->progress);
	if (r < 0)
		status = refuse(source, reader, r);
	else if (status == CTL_OK)
		status = check_fit(source, device, reader);
	image_reader_free(reader);
	if (status == CTL_OK && lseek(source->fd, 0, SEEK_SET) < 0)
		status = refuse(source, NULL, -errno);
	return status;
}

static int check(const struct transfer *t, const struct ctl_device *device,
		 const struct source *source, bool flushed)
{
	const char *message = t->message ? t->message : ctl_control_why(t->ret);

	if (t->ret == 0 && flushed)
		return CTL_OK;
	if (t->ret == 0)
		ctl_complain("%s: restored, but the kernel may show what it held before",
			     device->name);
	else if (t->interrupted)
		ctl_complain("%s: interrupted: %s", device->name, message);
	else if (t->error < 0)
		ctl_complain("%s: %s: %s", source->path, strerror(-t->error), message);
	else if (t->ret == -ENOTEMPTY)
		ctl_complain("%s: there is something on it: give --force to have it replaced",
			     device->name);
	else
		return ctl_device_failed(device, t->ret, t->message);
	return CTL_FAILURE;
}

static int report(const struct transfer *t, const struct ctl_device *device)
{
	uint64_t pages = ctl_stat_number(t->result, "objects") + ctl_stat_number(t->result, "same");
	uint64_t damaged = ctl_stat_number(t->result, "damaged");
	char content[CTL_SIZE_TEXT];

	if (damaged > 0)
		ctl_complain("%s: %" PRIu64 " pages were damaged when they were saved: reads of "
			     "them fail",
			     device->name, damaged);
	printf("%s: %s restored\n", device->name, ctl_size_human(pages * CTL_PAGE, content));
	return ctl_flush();
}

/* With the device held. */
static int transfer(struct transfer *t, const struct ctl_device *device, struct source *source)
{
	int status = verify(source, device);
	bool flushed;

	if (status != CTL_OK)
		return status;
	transfer_run(t, source->fd, false);
	flushed = hold_end(t->hold, true);
	status = check(t, device, source, flushed);
	return status == CTL_OK ? report(t, device) : status;
}

static int restore(struct ctl_device *device, struct control_client *client, struct source *source,
		   struct json_object *arguments)
{
	struct hold hold;
	struct transfer t = {
		.command = "restore",
		.arguments = arguments,
		.hold = &hold,
		.total = source->size,
	};
	int status = transfer_begin(&t, device, client, "restoring", NULL);

	if (status == CTL_OK) {
		status = transfer(&t, device, source);
		hold_end(&hold, false);
	}
	transfer_free(&t);
	return status;
}

static int run(struct ctl_args *args)
{
	struct json_object *arguments;
	struct control_client *client;
	struct ctl_device device;
	struct source source;
	bool force = false;
	int opt, status;

	while ((opt = ctl_next_option(args)) > 0)
		force = true;
	if (opt < 0 || !ctl_operands_fit(args, 2, 2))
		return args->status;
	transfer_catch_signals();
	status = source_open(&source, args->operands[1]);
	if (status != CTL_OK)
		return status;
	arguments = json_object_new_object();
	json_object_object_add(arguments, "force", json_object_new_boolean(force));
	status = ctl_device_connect(args->operands[0], &device, &client);
	if (status == CTL_OK) {
		status = restore(&device, client, &source, arguments);
		ctl_device_clear(&device);
	}
	json_object_put(arguments);
	close(source.fd);
	return status;
}

const struct ctl_command ctl_restore = {
	.name = "restore",
	.operands = "DEVICE FILE",
	.summary = "have a device hold what was saved, and nothing else",
	.options = options,
	.run = run,
};
