/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static void keep(struct output *output)
{
	static const char mark[] = "error: ";
	size_t len = strlen(output->all);

	if (strstr(output->line, mark) != NULL || strstr(output->last, mark) == NULL)
		strcpy(output->last, output->line);
	snprintf(output->all + len, sizeof(output->all) - len, "%s%s", len > 0 ? " " : "",
		 output->line + strspn(output->line, " \t"));
}

static void end_line(struct output *output)
{
	output->line[output->len] = '\0';
	if (output->len > 0) {
		keep(output);
		if (output->awaited != NULL && strcmp(output->line, output->awaited) == 0)
			output->seen = true;
		if (output->on_line != NULL)
			output->on_line(output->line);
	}
	output->len = 0;
}

static void take(struct output *output, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			end_line(output);
		else if (output->len < sizeof(output->line) - 1)
			output->line[output->len++] = text[i];
	}
}

void output_drain(struct output *output)
{
	char buf[4096];
	ssize_t len;

	if (output->source == NULL)
		return;
	while ((len = read(output->fd, buf, sizeof(buf))) > 0)
		take(output, buf, (size_t)len);
	/* At the end the descriptor would be readable for ever. */
	if (len == 0 || (errno != EAGAIN && errno != EINTR))
		sd_event_source_set_enabled(output->source, SD_EVENT_OFF);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	output_drain(opaque);
	return 0;
}

int output_open(struct output *output, struct loop *loop, int fd, void (*on_line)(const char *line))
{
	int r;

	*output = (struct output){.fd = fd, .on_line = on_line};
	r = sd_event_add_io(loop->event, &output->source, fd, EPOLLIN, on_readable, output);
	if (r < 0)
		close(fd);
	return r < 0 ? r : 0;
}

void output_forget(struct output *output)
{
	output_drain(output);
	output->len = 0;
	output->all[0] = output->last[0] = '\0';
}

void output_close(struct output *output)
{
	if (output->source == NULL)
		return;
	output_drain(output);
	end_line(output);
	output->source = sd_event_source_disable_unref(output->source);
	close(output->fd);
}
