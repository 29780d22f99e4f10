/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/work.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "control/answer.h"
#include "device/save.h"

/* Seconds that a client may let an image wait: a disk that is written to may be slow. */
#define STREAM_PATIENCE 60

static int stream_error(void)
{
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

static int stream_write(void *opaque, const void *data, size_t n)
{
	const int *fd = opaque;

	for (size_t done = 0; done < n;) {
		ssize_t sent = send(*fd, (const char *)data + done, n - done, MSG_NOSIGNAL);

		if (sent < 0 && errno != EINTR)
			return stream_error();
		if (sent > 0)
			done += (size_t)sent;
	}
	return 0;
}

static ssize_t stream_read(void *opaque, void *data, size_t n)
{
	const int *fd = opaque;
	ssize_t got;

	do
		got = recv(*fd, data, n, 0);
	while (got < 0 && errno == EINTR);
	return got < 0 ? stream_error() : got;
}

static void set_patience(int fd)
{
	const struct timeval wait = {.tv_sec = STREAM_PATIENCE};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

static struct json_object *new_pool(uint64_t pool)
{
	struct json_object *object = json_object_new_object();

	if (control_add(object, "pool", json_object_new_uint64(pool)))
		return object;
	json_object_put(object);
	return NULL;
}

static uint64_t pool_of(struct device *device)
{
	struct device_stats stats;

	device_get_stats(device, &stats);
	return stats.pool;
}

static struct json_object *do_compact(struct device *device)
{
	uint64_t before = pool_of(device);
	struct json_object *result;
	bool ok;

	device_compact(device);
	result = json_object_new_object();
	ok = control_add(result, "before", new_pool(before));
	ok &= control_add(result, "after", new_pool(pool_of(device)));
	return answer_finish(result, ok);
}

static struct json_object *do_idle(struct device *device, uint64_t seconds)
{
	struct json_object *result;
	struct control_error error;
	uint64_t pages;
	int r = device_idle(device, seconds, &pages);

	if (r < 0) {
		control_error_set(&error, EINVAL,
				  "idle: %" PRIu64 " seconds: too long: give at most %" PRIu64
				  ": what is older is idle by itself",
				  seconds, device_idle_max());
		return control_answer_error(&error);
	}
	result = json_object_new_object();
	return answer_finish(result, control_add(result, "pages", json_object_new_uint64(pages)));
}

static struct json_object *recompress_failure(int number)
{
	struct control_error error;

	if (number == ENOENT)
		control_error_set(&error, EINVAL,
				  "recompress: there is no method to do it by: give one, or set "
				  "algorithm to several");
	else if (number == ECANCELED)
		control_error_set(&error, EBUSY, "recompress: the server is ending");
	else
		control_error_set(&error, number, "recompress: %s", strerror(number));
	return control_answer_error(&error);
}

static struct json_object *do_recompress(struct device *device,
					 const struct device_recompress *order)
{
	struct device_recompressed done;
	struct json_object *result;
	int r = device_recompress(device, order, &done);
	bool ok;

	if (r < 0)
		return recompress_failure(-r);
	result = json_object_new_object();
	ok = control_add(result, "pages", json_object_new_uint64(done.pages));
	ok &= control_add(result, "saved", json_object_new_uint64(done.saved));
	ok &= control_add(result, "bytes", json_object_new_uint64(done.bytes));
	return answer_finish(result, ok);
}

/* SIZE: of the device, in pages. PAGES: that were written before. */
static struct json_object *writeback_failure(int number, uint64_t size, uint64_t pages)
{
	struct control_error error;

	if (number == ENOENT)
		control_error_set(&error, EOPNOTSUPP,
				  "writeback: there is no backing store: the server was begun "
				  "without writeback=");
	else if (number == EINVAL)
		control_error_set(&error, EINVAL,
				  "argument pages: not pages of the device: it has %" PRIu64, size);
	else if (number == ECANCELED)
		control_error_set(&error, EBUSY,
				  "writeback: the server is ending: %" PRIu64 " pages were written",
				  pages);
	else
		control_error_set(&error, number, "writeback: %s: %" PRIu64 " pages were written",
				  number == ENOSPC     ? "the backing store is full"
				  : number == ENOTCONN ? "the backing store is gone"
						       : strerror(number),
				  pages);
	return control_answer_error(&error);
}

static struct json_object *do_writeback(struct device *device, const struct device_writeback *order)
{
	struct device_written_back done;
	struct json_object *result;
	int r = device_writeback(device, order, &done);
	bool ok;

	if (r < 0)
		return writeback_failure(
			-r, (device_size(device) + DEVICE_PAGE_SIZE - 1) / DEVICE_PAGE_SIZE,
			done.pages);
	result = json_object_new_object();
	ok = control_add(result, "pages", json_object_new_uint64(done.pages));
	ok &= control_add(result, "bytes", json_object_new_uint64(done.bytes));
	return answer_finish(result, ok);
}

static struct json_object *image_counts(const struct image_counts *counts)
{
	struct json_object *result = json_object_new_object();
	bool ok = control_add(result, "objects", json_object_new_uint64(counts->objects));

	ok &= control_add(result, "same", json_object_new_uint64(counts->same));
	ok &= control_add(result, "damaged", json_object_new_uint64(counts->damaged));
	ok &= control_add(result, "payload", json_object_new_uint64(counts->payload));
	return answer_finish(result, ok);
}

static struct json_object *image_failure(int number, const char *command,
					 const struct device_restored *image)
{
	const char *why = image->why;
	struct control_error error;

	if (why == NULL && number == ENOSPC)
		why = "mem-limit is reached";
	if (why == NULL && number == ENOTEMPTY)
		why = "there is something on the device";
	control_error_set(&error, number, "%s: %s%s", command, why ? why : strerror(number),
			  image->emptied ? ": the device is left empty" : "");
	return control_answer_error(&error);
}

static struct json_object *do_image(struct device *device, const struct control_request *request,
				    int stream)
{
	struct device_restored image = {0};
	int r;

	set_patience(stream);
	if (request->command == CONTROL_SAVE)
		r = device_save(device, stream_write, &stream, &image.counts);
	else
		r = device_restore(device, request->force, stream_read, &stream, &image);
	if (r < 0)
		return image_failure(-r, request_command_name(request->command), &image);
	return image_counts(&image.counts);
}

struct json_object *work_do(struct device *device, const struct control_request *request,
			    int stream)
{
	switch (request->command) {
	case CONTROL_IDLE:
		return do_idle(device, request->seconds);
	case CONTROL_RECOMPRESS:
		return do_recompress(device, &request->recompress);
	case CONTROL_WRITEBACK:
		return do_writeback(device, &request->writeback);
	case CONTROL_SAVE:
	case CONTROL_RESTORE:
		return do_image(device, request, stream);
	default:
		return do_compact(device);
	}
}
