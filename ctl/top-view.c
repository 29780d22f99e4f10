/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "ctl/size.h"
#include "ctl/top.h"

#define LABEL 8 /* characters before each line's content */
/* Lines other than those of the picture and of threads. */
#define FIXED_LINES 9
#define STRIPS_MAX  4

struct view {
	FILE *out;
	const struct top_layout *layout;
	const struct top_sample *before, *now;
	unsigned int lines;
};

/* One line, as much of it as there is room for. */
static void print_line(struct view *view, const char *text)
{
	unsigned int columns = 0;
	size_t len = 0;

	if (view->lines == view->layout->height)
		return;
	view->lines++;
	/* Bytes 10xxxxxx continue a character of UTF-8. */
	for (; text[len]; len++) {
		if ((text[len] & 0xc0) != 0x80 && columns++ == view->layout->width)
			break;
	}
	fprintf(view->out, "%.*s\n", (int)len, text);
}

__attribute__((format(printf, 3, 4))) static void line(struct view *view, const char *label,
						       const char *format, ...)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "%-*s", LABEL, label);
	va_list args;

	va_start(args, format);
	vsnprintf(text + len, sizeof(text) - (size_t)len, format, args);
	va_end(args);
	print_line(view, text);
}

static uint64_t counter(const struct view *view, const char *name)
{
	return ctl_stat_counter(view->now->stat, name);
}

/* How much more of it there is a second than before; negative: unknown. */
static double rate_of(const struct view *view, uint64_t before, uint64_t now)
{
	double seconds;

	if (!view->before)
		return -1;
	seconds = (double)(view->now->when - view->before->when) / 1e9;
	/* A server that was started anew counts from 0. */
	return now >= before ? ctl_ratio((double)(now - before), seconds) : -1;
}

static double rate(const struct view *view, const char *name)
{
	uint64_t before = view->before ? ctl_stat_counter(view->before->stat, name) : 0;

	return rate_of(view, before, counter(view, name));
}

/* Space for the text of a number. */
struct text {
	char buf[CTL_SIZE_TEXT + 4];
};

static const char *size_rate(const struct view *view, const char *name, struct text *text)
{
	double value = rate(view, name);

	if (value < 0)
		return "-";
	ctl_size_human((uint64_t)value, text->buf);
	return text->buf;
}

static const char *count_rate(const struct view *view, const char *name, struct text *text)
{
	double value = rate(view, name);

	if (value < 0)
		return "-";
	snprintf(text->buf, sizeof(text->buf), "%.0f", value);
	return text->buf;
}

/* The share of one CPU that nanoseconds are spent at. */
static const char *share(const struct view *view, const char *name, struct text *text)
{
	double value = rate(view, name);

	if (value < 0)
		return "-";
	snprintf(text->buf, sizeof(text->buf), "%.1f%%", value / 1e7);
	return text->buf;
}

static void print_head(struct view *view, const struct ctl_device *device)
{
	const struct json_object *stat = view->now->stat;
	char node[32] = "not attached";

	if (device->index >= 0)
		snprintf(node, sizeof(node), "/dev/nbd%d", device->index);
	line(view, "zcram", "%s  %s  %s  filter %s  compact %s", device->name, node,
	     ctl_stat_text(stat, "algorithm"), ctl_stat_text(stat, "filter"),
	     ctl_stat_text(stat, "compact"));
}

static void print_content(struct view *view)
{
	const struct json_object *stat = view->now->stat;
	uint64_t data = ctl_stat_data(stat), total = ctl_stat_total(stat);
	uint64_t payload = counter(view, "payload"), pages = data / CTL_PAGE;
	struct text t[5];

	line(view, "data", "%s of %s  ratio %.2f  payload %s  held %s (%.3fx)",
	     ctl_size_human(data, t[0].buf),
	     ctl_size_human(ctl_stat_number(stat, "size"), t[1].buf),
	     ctl_ratio((double)data, (double)total), ctl_size_human(payload, t[2].buf),
	     ctl_size_human(total, t[3].buf), ctl_ratio((double)total, (double)payload));
	line(view, "pages",
	     "%" PRIu64 ": same-filled %.1f%%  incompressible %.1f%%  shuffled %.1f%%", pages,
	     ctl_ratio(100.0 * (double)counter(view, "pages_same"), (double)pages),
	     ctl_ratio(100.0 * (double)counter(view, "pages_raw"), (double)pages),
	     ctl_ratio(100.0 * (double)counter(view, "pages_filter"), (double)pages));
}

/* The share of pages that have not been touched for FROM to less than TO seconds, at least. */
static double age_share(const struct json_object *stat, uint64_t from, uint64_t to)
{
	uint64_t all = 0, some = 0;

	for (size_t i = 0; i < ctl_stat_ages(stat); i++) {
		uint64_t seconds = ctl_stat_age(stat, i, "seconds");
		uint64_t pages = ctl_stat_age(stat, i, "pages");

		all += pages;
		some += seconds >= from && seconds < to ? pages : 0;
	}
	return ctl_ratio(100.0 * (double)some, (double)all);
}

/* The last class is idle; the others are joined to four. */
static void print_ages(struct view *view)
{
	const struct json_object *stat = view->now->stat;
	size_t classes = ctl_stat_ages(stat);
	uint64_t idle = classes ? ctl_stat_age(stat, classes - 1, "seconds") : 0;

	if (classes == 0)
		line(view, "age", "unknown");
	else
		line(view, "age",
		     "new %.1f%%  2 minutes %.1f%%  17 minutes %.1f%%  9 hours %.1f%%  idle %.1f%%",
		     age_share(stat, 0, 100), age_share(stat, 100, min_u64(1000, idle)),
		     age_share(stat, 1000, min_u64(32000, idle)), age_share(stat, 32000, idle),
		     age_share(stat, idle, UINT64_MAX));
}

static void print_memory(struct view *view, const struct ctl_device *device)
{
	const struct top_sample *now = view->now;
	uint64_t limit = ctl_stat_number(now->stat, "mem-limit");
	struct text t[6];

	line(view, "pool", "%s  limit %s  most %s  reserve %s  tables %s  streams %s",
	     ctl_size_human(counter(view, "pool"), t[0].buf),
	     limit ? ctl_size_human(limit, t[1].buf) : "none",
	     ctl_size_human(counter(view, "pool_max"), t[2].buf),
	     ctl_size_human(counter(view, "reserve"), t[3].buf),
	     ctl_size_human(counter(view, "metadata"), t[4].buf),
	     ctl_size_human(counter(view, "streams"), t[5].buf));
	line(view, "server", "process %ld  resident %s  swapped %s  locked %s (address space)",
	     (long)device->pid, ctl_size_human(now->resident, t[0].buf),
	     ctl_size_human(now->swapped, t[1].buf), ctl_size_human(now->locked, t[2].buf));
}

static void print_work(struct view *view)
{
	struct text t[6];

	line(view, "I/O", "reads %s/s %s/s  writes %s/s %s/s  trims %s/s  failed %" PRIu64,
	     count_rate(view, "reads", &t[0]), size_rate(view, "bytes_read", &t[1]),
	     count_rate(view, "writes", &t[2]), size_rate(view, "bytes_written", &t[3]),
	     count_rate(view, "trims", &t[4]),
	     counter(view, "failed_reads") + counter(view, "failed_writes"));
	line(view, "time", "compress %s  decompress %s  waits/s: stream %s  slot %s  memory %s",
	     share(view, "compress_ns", &t[0]), share(view, "decompress_ns", &t[1]),
	     count_rate(view, "stream_waits", &t[2]), count_rate(view, "slot_waits", &t[3]),
	     count_rate(view, "refills", &t[4]));
}

/* The picture's cells in a row. */
static size_t strip_cells(const struct top_layout *layout)
{
	return layout->width > LABEL ? min_u64(layout->width - LABEL, TOP_CELLS_MAX / STRIPS_MAX)
				     : 1;
}

/* Rows of cells, each of which is two lines: half of what the fixed lines leave. */
static size_t strips(const struct top_layout *layout)
{
	unsigned int left = layout->height > FIXED_LINES ? layout->height - FIXED_LINES : 0;

	return max_u64(1, min_u64(left / 4, STRIPS_MAX));
}

size_t top_view_cells(const struct top_layout *layout)
{
	return strip_cells(layout) * strips(layout);
}

/* Shares of 0 to 255 as characters of that height. */
static void print_strip(struct view *view, const char *label, const uint8_t *cells, size_t count)
{
	static const char *const blocks[] = {"\u00b7", "\u2581", "\u2582", "\u2583", "\u2584",
					     "\u2585", "\u2586", "\u2587", "\u2588"};
	static const char *const letters[] = {".", "1", "2", "3", "4", "5", "6", "7", "8"};
	const char *const *levels = view->layout->unicode ? blocks : letters;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	fprintf(out, "%-*s", LABEL, label);
	/* What is not empty has at least the lowest block. */
	for (size_t i = 0; i < count; i++)
		fputs(levels[(cells[i] * 8 + 254) / 255], out);
	fclose(out);
	print_line(view, text);
	free(text);
}

static void print_arena(struct view *view)
{
	const struct top_sample *now = view->now;
	size_t row = strip_cells(view->layout);

	if (now->cells == 0)
		line(view, "arena", "nothing was ever stored");
	for (size_t at = 0; at < now->cells; at += row) {
		size_t count = now->cells - at < row ? now->cells - at : row;

		print_strip(view, at == 0 ? "memory" : "", now->held + at, count);
		print_strip(view, at == 0 ? "objects" : "", now->live + at, count);
	}
}

static const char *role(const struct top_threads *threads)
{
	static const struct {
		const char *name, *role;
	} roles[] = {
		{"zs-keeper", "keeps memory ready, and gives it back"},
		{"zs-mover", "compacts and migrates"},
		{"zcram-control", "answers on the control socket"},
		{"zcram-job", "does on demand what takes long"},
		{"zcram-relief", "makes room at the limit"},
		{"zcram-proxy", "puts in place what was compressed again"},
		{"zcram-cold", "finds cold pages, and compresses them"},
	};

	if (threads->main)
		return "accepts connections";
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (strcmp(roles[i].name, threads->name) == 0)
			return roles[i].role;
	}
	return "serve requests";
}

/* The share of one CPU; negative: unknown. */
static double cpu(const struct view *view, const struct top_threads *threads)
{
	double ticks = (double)sysconf(_SC_CLK_TCK);

	for (size_t i = 0; view->before && i < view->before->thread_count; i++) {
		const struct top_threads *other = &view->before->threads[i];

		if (other->main == threads->main && strcmp(other->name, threads->name) == 0)
			return 100 * rate_of(view, other->ticks, threads->ticks) / ticks;
	}
	return -1;
}

static void print_threads(struct view *view)
{
	for (size_t i = 0; i < view->now->thread_count; i++) {
		const struct top_threads *threads = &view->now->threads[i];
		double used = cpu(view, threads);
		struct text t;

		if (used < 0)
			snprintf(t.buf, sizeof(t.buf), "%6s", "-");
		else
			snprintf(t.buf, sizeof(t.buf), "%5.1f%%", used);
		line(view, i == 0 ? "CPU" : "", "%s  %3u %-15s  %s", t.buf, threads->count,
		     threads->name, role(threads));
	}
}

void top_view_print(FILE *out, const struct top_layout *layout, const struct ctl_device *device,
		    const struct top_sample *before, const struct top_sample *now)
{
	struct view view = {.out = out, .layout = layout, .before = before, .now = now};

	print_head(&view, device);
	print_content(&view);
	print_ages(&view);
	print_memory(&view, device);
	print_work(&view);
	print_arena(&view);
	print_threads(&view);
}
