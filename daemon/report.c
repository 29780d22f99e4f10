/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The field CODE_LINE= and its like would be of this file, always. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#define LINE_SIZE 1024

static const char *device = "";
static const char *current_step;

/* Is standard error the journal's? systemd says by what numbers it can be known. */
static bool under_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

void report_device(const char *name)
{
	device = name;
}

void report_step(const char *step)
{
	current_step = step;
}

static void say(int level, const char *line)
{
	if (under_journal() &&
	    sd_journal_send("MESSAGE=%s%s%s", device, *device ? ": " : "", line, "PRIORITY=%d",
			    level, "SYSLOG_IDENTIFIER=zcramd", "ZCRAM_DEVICE=%s", device,
			    "ZCRAM_STEP=%s", current_step ? current_step : "", NULL) >= 0)
		return;
	fprintf(stderr, "zcramd: %s%s%s\n", device, *device ? ": " : "", line);
}

void report(int level, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	say(level, line);
}

void report_lines(int level, const char *text)
{
	if (text == NULL)
		text = "no memory";
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		report(level, "%.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

void report_notify(const char *format, ...)
{
	char words[LINE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	sd_notify(0, words);
}

void report_status(const char *format, ...)
{
	char words[LINE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	report_notify("STATUS=%s", words);
}

void report_extend(uint64_t usec)
{
	report_notify("EXTEND_TIMEOUT_USEC=%" PRIu64, usec);
}
