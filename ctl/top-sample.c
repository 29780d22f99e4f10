/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/os.h"
#include "common/util.h"
#include "ctl/top.h"

static size_t read_cells(struct json_object *list, uint8_t *ret_cells)
{
	size_t count = 0;

	if (!json_object_is_type(list, json_type_array))
		return 0;
	count = min_u64(json_object_array_length(list), TOP_CELLS_MAX);
	for (size_t i = 0; i < count; i++) {
		int share = json_object_get_int(json_object_array_get_idx(list, i));

		ret_cells[i] = (uint8_t)(share < 0 ? 0 : share > 255 ? 255 : share);
	}
	return count;
}

static int read_map(struct ctl_device *device, struct control_client *client, size_t cells,
		    struct top_sample *sample)
{
	struct json_object *arguments = json_object_new_object(), *result = NULL;
	struct json_object *number = json_object_new_int64((int64_t)cells);
	int ret = -ENOMEM;

	if (arguments && number && json_object_object_add(arguments, "cells", number) == 0)
		ret = control_call(client, "map", arguments, &result, &device->why);
	else
		json_object_put(number);
	if (ret == 0) {
		size_t live = read_cells(json_object_object_get(result, "live"), sample->live);
		size_t held = read_cells(json_object_object_get(result, "held"), sample->held);

		sample->cells = live < held ? live : held;
	}
	json_object_put(arguments);
	json_object_put(result);
	return ret;
}

static FILE *open_proc(pid_t pid, const char *task, const char *name)
{
	char path[320];

	snprintf(path, sizeof(path), "/proc/%ld/%s%s%s%s", (long)pid, task ? "task/" : "",
		 task ? task : "", task ? "/" : "", name);
	return fopen(path, "re");
}

static void read_memory(pid_t pid, struct top_sample *sample)
{
	FILE *status = open_proc(pid, NULL, "status");
	char line[128];

	sample->resident = sample->locked = sample->swapped = 0;
	while (status && fgets(line, sizeof(line), status)) {
		uint64_t kib;

		if (sscanf(line, "VmRSS: %" SCNu64, &kib) == 1)
			sample->resident = kib << 10;
		else if (sscanf(line, "VmLck: %" SCNu64, &kib) == 1)
			sample->locked = kib << 10;
		else if (sscanf(line, "VmSwap: %" SCNu64, &kib) == 1)
			sample->swapped = kib << 10;
	}
	if (status)
		fclose(status);
}

/* Name and CPU time of a thread, from a line "tid (name) state ...". */
static bool read_thread(pid_t pid, const char *tid, struct top_threads *ret_thread)
{
	FILE *file = open_proc(pid, tid, "stat");
	struct top_threads thread = {.main = strtol(tid, NULL, 10) == pid, .count = 1};
	uint64_t user, system;
	char line[512];
	char *name = NULL, *end = NULL;

	if (file && fgets(line, sizeof(line), file)) {
		/* The name may have parentheses of its own. */
		name = strchr(line, '(');
		end = strrchr(line, ')');
	}
	if (file)
		fclose(file);
	if (!name || !end ||
	    sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
		   &user, &system) != 2)
		return false;
	*end = '\0';
	snprintf(thread.name, sizeof(thread.name), "%s", name + 1);
	thread.ticks = user + system;
	*ret_thread = thread;
	return true;
}

/* Count THREAD among those that are called the same. */
static void add_thread(struct top_sample *sample, const struct top_threads *thread)
{
	for (size_t i = 0; i < sample->thread_count; i++) {
		struct top_threads *other = &sample->threads[i];

		if (other->main == thread->main && strcmp(other->name, thread->name) == 0) {
			other->count++;
			other->ticks += thread->ticks;
			return;
		}
	}
	if (sample->thread_count < TOP_THREADS_MAX)
		sample->threads[sample->thread_count++] = *thread;
}

static void read_threads(pid_t pid, struct top_sample *sample)
{
	struct top_threads thread;
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	sample->thread_count = 0;
	snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		if (entry->d_name[0] != '.' && read_thread(pid, entry->d_name, &thread))
			add_thread(sample, &thread);
	}
	if (tasks)
		closedir(tasks);
}

int top_sample_take(struct ctl_device *device, struct control_client **client, size_t cells,
		    struct top_sample *ret_sample)
{
	device->error = 0;
	if (!*client)
		device->error = control_connect(device->socket, CTL_TIMEOUT_MS, client);
	if (device->error == 0)
		ctl_device_query(device, *client);
	if (device->error == 0)
		device->error = read_map(device, *client, cells, ret_sample);
	if (device->error < 0) {
		control_close(*client);
		*client = NULL;
		return device->error;
	}
	ret_sample->when = os_now();
	json_object_put(ret_sample->stat);
	ret_sample->stat = json_object_get(device->stat);
	read_memory(device->pid, ret_sample);
	read_threads(device->pid, ret_sample);
	return 0;
}

void top_sample_clear(struct top_sample *sample)
{
	json_object_put(sample->stat);
	sample->stat = NULL;
}
