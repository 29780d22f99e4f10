/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * zcram-capture: write the memory of running processes to a file, as real input for tests and
 * benchmarks: their resident, writable, anonymous pages, which are the ones a system swaps out.
 *
 * Works on whatever /proc lets the caller read: as root on all processes, else on one's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/procmem.h"

/* What is taken: of every WHOLE runs PART, spread evenly. */
struct capture {
	FILE *out;
	bool skip_same;
	uint64_t part, whole, credit;
	uint64_t written; /* pages */
};

/* What a walk needs: the process whose pages it is told of, and what to do with them. */
struct visit {
	struct capture *capture;
	const struct procmem *process;
	uint64_t count; /* pages */
};

static void complain(const char *pid, int error)
{
	fprintf(stderr, "zcram-capture: process %s: %s\n", pid, strerror(-error));
}

static bool same_word(const unsigned char *page)
{
	return memcmp(page, page + 8, PROCMEM_PAGE - 8) == 0;
}

/* 0, or -EIO when the output cannot be written. Pages that cannot be read are left out. */
static int write_run(void *opaque, uint64_t address, size_t pages)
{
	static unsigned char buf[PROCMEM_RUN * PROCMEM_PAGE];
	const struct visit *visit = opaque;
	struct capture *capture = visit->capture;

	capture->credit += capture->part;
	if (capture->credit < capture->whole)
		return 0;
	capture->credit -= capture->whole;
	pages = procmem_read(visit->process, address, buf, pages);
	for (size_t i = 0; i < pages; i++) {
		const unsigned char *page = buf + i * PROCMEM_PAGE;

		if (capture->skip_same && same_word(page))
			continue;
		if (fwrite(page, PROCMEM_PAGE, 1, capture->out) != 1)
			return -EIO;
		capture->written++;
	}
	return 0;
}

static int count_run(void *opaque, uint64_t address, size_t pages)
{
	struct visit *visit = opaque;

	visit->count += pages;
	return 0;
}

static bool parse_pid(const char *text, pid_t *ret_pid)
{
	char *end;
	long pid = strtol(text, &end, 10);

	*ret_pid = (pid_t)pid;
	return end != text && *end == '\0' && pid > 0 && pid <= INT_MAX;
}

static bool open_process(struct procmem *process, const char *text)
{
	pid_t pid;
	int ret = parse_pid(text, &pid) ? procmem_open(pid, process) : -ESRCH;

	if (ret < 0)
		complain(text, ret);
	return ret == 0;
}

static bool parse_mib(const char *text, uint64_t *ret_pages)
{
	char *end;
	unsigned long mib = strtoul(text, &end, 10);

	if (end == text || *end || mib == 0 || mib > UINT32_MAX)
		return false;
	*ret_pages = (uint64_t)mib * 256;
	return true;
}

static int usage(void)
{
	fputs("usage: zcram-capture [-s] [-m MAX_MIB] -o FILE PID...\n"
	      "  -o FILE     write the pages to FILE; - is standard output\n"
	      "  -m MAX_MIB  take about so much of it at most, evenly from all of the memory\n"
	      "  -s          leave out pages that hold one 8-byte word over and over\n",
	      stderr);
	return EXIT_FAILURE;
}

static int capture_all(struct capture *capture, struct procmem *processes, int n, uint64_t limit)
{
	uint64_t total = 0;
	int ret = 0;

	for (int i = 0; i < n; i++) {
		struct visit visit = {.process = &processes[i]};

		procmem_walk(&processes[i], count_run, &visit, NULL);
		total += visit.count;
		if (visit.count == 0)
			fprintf(stderr,
				"zcram-capture: process %ld: no memory to read; it has ended?\n",
				(long)processes[i].pid);
	}
	capture->whole = total;
	capture->part = limit < total ? limit : total;
	for (int i = 0; i < n && ret != -EIO; i++) {
		struct visit visit = {.capture = capture, .process = &processes[i]};

		ret = procmem_walk(&processes[i], write_run, &visit, NULL);
	}
	return ret == -EIO ? ret : 0;
}

static FILE *open_output(const char *path)
{
	/* Other processes' memory: for nobody else to read. */
	int fd = strcmp(path, "-") == 0
			 ? dup(STDOUT_FILENO)
			 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd < 0 ? NULL : fdopen(fd, "w");
}

int main(int argc, char **argv)
{
	struct capture capture = {.out = NULL};
	uint64_t limit = UINT64_MAX;
	const char *path = NULL;
	struct procmem *processes;
	int opt, ret, n = 0;

	while ((opt = getopt(argc, argv, "sm:o:")) != -1) {
		if (opt == 's')
			capture.skip_same = true;
		else if (opt == 'o')
			path = optarg;
		else if (opt != 'm' || !parse_mib(optarg, &limit))
			return usage();
	}
	if (!path || optind == argc)
		return usage();
	processes = calloc((size_t)(argc - optind), sizeof(*processes));
	capture.out = processes ? open_output(path) : NULL;
	if (!capture.out) {
		fprintf(stderr, "zcram-capture: %s: %s\n", path, strerror(errno));
		free(processes);
		return EXIT_FAILURE;
	}
	for (int i = optind; i < argc; i++)
		n += open_process(&processes[n], argv[i]);
	ret = capture_all(&capture, processes, n, limit);
	while (n > 0)
		procmem_close(&processes[--n]);
	free(processes);
	if (fclose(capture.out) != 0 || ret < 0) {
		fprintf(stderr, "zcram-capture: %s: cannot be written\n", path);
		return EXIT_FAILURE;
	}
	fprintf(stderr, "zcram-capture: %" PRIu64 " pages\n", capture.written);
	return capture.written ? EXIT_SUCCESS : EXIT_FAILURE;
}
