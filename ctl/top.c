/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/top.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl.h"

enum {
	OPT_ONCE = 256,
	OPT_INTERVAL,
};

static const struct ctl_option options[] = {
	{OPT_INTERVAL, "interval", "SECONDS", "how often to look, 0.1 to 3600 (1)"},
	{'b', "batch", NULL, "print one view after the other, for files and pipes"},
	{'n', "count", "N", "end after so many views"},
	{OPT_ONCE, "once", NULL, "the same as --batch --count 1"},
	{0},
};

static void keys_help(FILE *out)
{
	fputs("\nOf the arena, first to last extent: \"memory\", how much of it has memory, and "
	      "\"objects\",\nhow much of it stored pages fill. q: quit.\n",
	      out);
}

struct top {
	struct ctl_device device;
	struct control_client *client;
	struct top_layout layout;
	struct top_sample samples[2];
	size_t taken; /* the last one is samples[taken % 2] */
	int interval; /* milliseconds */
	bool batch;
	unsigned int count; /* 0: for ever */
};

static int parse_interval(const char *text, int *ret_milliseconds)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !(seconds >= 0.1 && seconds <= 3600))
		return ctl_misused("top: --interval %s: give seconds, 0.1 to 3600", text);
	*ret_milliseconds = (int)(seconds * 1000);
	return CTL_OK;
}

static int set_option(struct top *top, int opt)
{
	switch (opt) {
	case OPT_INTERVAL:
		return parse_interval(optarg, &top->interval);
	case 'n':
		return ctl_parse_number("top: --count", optarg, 1, 1000000000, &top->count)
			       ? CTL_OK
			       : CTL_USAGE;
	case OPT_ONCE:
		top->batch = true;
		top->count = 1;
		return CTL_OK;
	default:
		top->batch = true;
		return CTL_OK;
	}
}

/* The only device that there is. */
static int find_only(struct ctl_device *ret_device)
{
	struct ctl_device *devices;
	size_t count;
	int status = ctl_devices_find(NULL, 0, &devices, &count);

	if (status != CTL_OK)
		return status;
	if (count == 1) {
		*ret_device = devices[0];
		free(devices);
		return CTL_OK;
	}
	ctl_devices_free(devices, count);
	if (count == 0) {
		ctl_complain("top: no device is running");
		return CTL_FAILURE;
	}
	return ctl_misused("top: there are %zu devices: give one, as zcramctl list shows them",
			   count);
}

static int take(struct top *top)
{
	struct top_sample *next = &top->samples[(top->taken + 1) % 2];
	int ret = top_sample_take(&top->device, &top->client, top_view_cells(&top->layout), next);

	if (ret == 0)
		top->taken++;
	return ret;
}

static void print(const struct top *top, FILE *out)
{
	const struct top_sample *before = &top->samples[(top->taken + 1) % 2];

	top_view_print(out, &top->layout, &top->device, before->stat ? before : NULL,
		       &top->samples[top->taken % 2]);
}

static void pause_for(int milliseconds)
{
	struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* Views with rates in them only; so the first one comes after the first interval. */
static int run_batch(struct top *top)
{
	int ret = 0, status = CTL_OK;

	top_screen_layout(&top->layout);
	top->layout.height = UINT_MAX; /* whatever there is to say */
	ret = take(top);
	for (unsigned int shown = 0; ret == 0 && status == CTL_OK; shown++) {
		if (top->count && shown == top->count)
			return CTL_OK;
		pause_for(top->interval);
		ret = take(top);
		if (ret < 0)
			break;
		if (shown)
			putchar('\n');
		print(top, stdout);
		status = ctl_flush();
	}
	return ret < 0 ? ctl_device_failed(&top->device, ret, top->device.why) : status;
}

/* A view; or, when the server did not answer, that. */
static void show(const struct top *top, int taken)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	if (taken == 0)
		print(top, out);
	else
		fprintf(out, "%s: control socket: %s\n", top->device.name, ctl_control_why(taken));
	fclose(out);
	top_screen_show(text);
	free(text);
}

static int run_screen(struct top *top)
{
	int ret;

	if (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		return ctl_misused("top: standard input and output are no terminal: give --batch");
	/* What is wrong from the beginning is said where it stays to be read. */
	top_screen_layout(&top->layout);
	ret = take(top);
	if (ret < 0)
		return ctl_device_failed(&top->device, ret, top->device.why);
	ret = top_screen_open();
	if (ret < 0) {
		ctl_complain("top: terminal: %s", strerror(-ret));
		return CTL_FAILURE;
	}
	for (unsigned int shown = 1;; shown++) {
		show(top, ret);
		if (top_screen_wait(top->interval) == TOP_QUIT || shown == top->count)
			break;
		top_screen_layout(&top->layout);
		ret = take(top);
	}
	top_screen_close();
	return CTL_OK;
}

static int run(struct ctl_args *args)
{
	static struct top top = {.interval = 1000};
	int opt, status;

	while ((opt = ctl_next_option(args)) > 0) {
		status = set_option(&top, opt);
		if (status != CTL_OK)
			return status;
	}
	if (opt < 0 || !ctl_operands_fit(args, 0, 1))
		return args->status;
	status = args->count ? ctl_device_resolve(args->operands[0], &top.device)
			     : find_only(&top.device);
	if (status != CTL_OK)
		return status;
	status = top.batch ? run_batch(&top) : run_screen(&top);
	control_close(top.client);
	top_sample_clear(&top.samples[0]);
	top_sample_clear(&top.samples[1]);
	ctl_device_clear(&top.device);
	return status;
}

const struct ctl_command ctl_top = {
	.name = "top",
	.operands = "[DEVICE]",
	.summary = "a live view of a device",
	.options = options,
	.run = run,
	.help = keys_help,
};
