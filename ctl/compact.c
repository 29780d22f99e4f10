/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * compact: have a device move its objects together, and wait until it is done.
 *
 * The call is waited for on a thread of its own, so that the main one can ask for the size of the
 * pool meanwhile, over a second connection.
 */
#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "ctl/devices.h"
#include "ctl/progress.h"
#include "ctl/size.h"

/* Written by the thread, read after it has been joined. */
struct call {
	struct control_client *client;
	struct json_object *result;
	char *message;
	int ret;
};

static void *make_call(void *opaque)
{
	struct call *call = opaque;

	call->ret = control_call(call->client, "compact", NULL, &call->result, &call->message);
	return NULL;
}

/* Has the thread ended, now or within a fifth of a second? */
static int joined(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 200000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

static void wait_for(pthread_t thread, struct ctl_device *device)
{
	struct control_client *second = NULL;
	struct progress progress;
	char pool[CTL_SIZE_TEXT];

	progress_start(&progress);
	while (!joined(thread)) {
		if (!progress_due(&progress))
			continue;
		if (!second && control_connect(device->socket, CTL_TIMEOUT_MS, &second) < 0)
			continue;
		ctl_device_query(device, second);
		if (device->error == 0)
			progress_show(&progress, "%s: compacting: pool %s", device->name,
				      ctl_size_human(ctl_stat_counter(device->stat, "pool"), pool));
	}
	progress_end(&progress);
	control_close(second);
}

static uint64_t pool(struct json_object *result, const char *when)
{
	return ctl_stat_number(json_object_object_get(result, when), "pool");
}

static int report(const struct ctl_device *device, struct json_object *result)
{
	uint64_t before = pool(result, "before"), after = pool(result, "after");
	uint64_t freed = before > after ? before - after : 0;
	char text[3][CTL_SIZE_TEXT];

	printf("%s: pool %s before, %s after: %s freed\n", device->name,
	       ctl_size_human(before, text[0]), ctl_size_human(after, text[1]),
	       ctl_size_human(freed, text[2]));
	return ctl_flush();
}

static int run(struct ctl_args *args)
{
	struct ctl_device device;
	struct call call = {0};
	pthread_t thread;
	int status, ret;

	if (ctl_next_option(args) < 0 || !ctl_operands_fit(args, 1, 1))
		return args->status;
	status = ctl_device_connect(args->operands[0], &device, &call.client);
	if (status != CTL_OK)
		return status;
	/* It takes as long as it takes. */
	control_set_timeout(call.client, -1);
	ret = pthread_create(&thread, NULL, make_call, &call);
	if (ret == 0)
		wait_for(thread, &device);
	else
		call.ret = -ret;
	status = call.ret < 0 ? ctl_device_failed(&device, call.ret, call.message)
			      : report(&device, call.result);
	json_object_put(call.result);
	free(call.message);
	control_close(call.client);
	ctl_device_clear(&device);
	return status;
}

const struct ctl_command ctl_compact = {
	.name = "compact",
	.operands = "DEVICE",
	.summary = "move stored pages together, and give free memory back",
	.run = run,
};
