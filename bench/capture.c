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
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE	 4096
#define RUN	 64 /* pages read at a time, and taken or left together when a limit is set */
#define PRESENT	 (UINT64_C(1) << 63)
#define FILEPAGE (UINT64_C(1) << 61) /* or shared: not private anonymous memory */

struct process {
	const char *pid;
	int pagemap;
	int mem;
};

/* What is taken: of every WHOLE runs PART, spread evenly. */
struct capture {
	FILE *out;
	bool skip_same;
	uint64_t part, whole, credit;
	uint64_t written; /* pages */
};

static void complain(const char *pid, const char *what)
{
	fprintf(stderr, "zcram-capture: process %s: %s: %s\n", pid, what, strerror(errno));
}

static int open_proc(const char *pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool same_word(const unsigned char *page)
{
	return memcmp(page, page + 8, PAGE - 8) == 0;
}

/* 0, or -EIO when the output cannot be written. Pages that cannot be read are left out. */
static int write_pages(struct capture *capture, const struct process *process, uint64_t address,
		       size_t pages)
{
	static unsigned char buf[RUN * PAGE];
	ssize_t got = pread(process->mem, buf, pages * PAGE, (off_t)address);

	for (ssize_t at = 0; at + PAGE <= got; at += PAGE) {
		if (capture->skip_same && same_word(buf + at))
			continue;
		if (fwrite(buf + at, PAGE, 1, capture->out) != 1)
			return -EIO;
		capture->written++;
	}
	return 0;
}

/* The resident pages among RUN pages from ADDRESS on; written too when CAPTURE is not NULL. */
static int visit_run(struct capture *capture, const struct process *process, uint64_t address,
		     size_t pages, uint64_t *count)
{
	uint64_t map[RUN];
	ssize_t got = pread(process->pagemap, map, pages * sizeof(*map),
			    (off_t)(address / PAGE * sizeof(*map)));
	size_t known = got < 0 ? 0 : (size_t)got / sizeof(*map);
	size_t i = 0;

	while (i < known) {
		size_t first = i;
		int ret;

		while (i < known && (map[i] & PRESENT) && !(map[i] & FILEPAGE))
			i++;
		*count += i - first;
		if (capture && i > first) {
			ret = write_pages(capture, process, address + first * PAGE, i - first);
			if (ret < 0)
				return ret;
		}
		while (i < known && (!(map[i] & PRESENT) || (map[i] & FILEPAGE)))
			i++;
	}
	return 0;
}

static bool take_run(struct capture *capture)
{
	capture->credit += capture->part;
	if (capture->credit < capture->whole)
		return false;
	capture->credit -= capture->whole;
	return true;
}

/* Count the process's pages, and write those of the runs that CAPTURE takes unless it is NULL. */
static int visit_process(struct capture *capture, const struct process *process, uint64_t *count)
{
	int fd = open_proc(process->pid, "maps");
	FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
	uint64_t start, end;
	char access[5], *line = NULL;
	size_t size = 0;
	int ret = 0;

	if (!maps) {
		complain(process->pid, "maps");
		return 0;
	}
	while (ret == 0 && getline(&line, &size, maps) > 0) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, access) != 3 ||
		    strncmp(access, "rw", 2) != 0 || access[3] != 'p')
			continue;
		while (ret == 0 && start < end) {
			size_t left = (end - start) / PAGE;
			size_t pages = left < RUN ? left : RUN;

			if (!capture || take_run(capture))
				ret = visit_run(capture, process, start, pages, count);
			start += pages * PAGE;
		}
	}
	free(line);
	fclose(maps);
	return ret;
}

static bool open_process(struct process *process, const char *pid)
{
	process->pid = pid;
	process->pagemap = open_proc(pid, "pagemap");
	if (process->pagemap < 0) {
		complain(pid, "pagemap");
		return false;
	}
	process->mem = open_proc(pid, "mem");
	if (process->mem < 0) {
		complain(pid, "mem");
		close(process->pagemap);
		return false;
	}
	return true;
}

static void close_process(struct process *process)
{
	close(process->pagemap);
	close(process->mem);
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

static int capture_all(struct capture *capture, struct process *processes, int n, uint64_t limit)
{
	uint64_t total = 0, taken = 0;
	int ret = 0;

	for (int i = 0; i < n; i++) {
		uint64_t before = total;

		visit_process(NULL, &processes[i], &total);
		if (total == before)
			fprintf(stderr,
				"zcram-capture: process %s: no memory to read; it has ended?\n",
				processes[i].pid);
	}
	capture->whole = total;
	capture->part = limit < total ? limit : total;
	for (int i = 0; i < n && ret == 0; i++)
		ret = visit_process(capture, &processes[i], &taken);
	return ret;
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
	struct process *processes;
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
	if (sysconf(_SC_PAGESIZE) != PAGE) {
		fputs("zcram-capture: works where a page is 4096 bytes only\n", stderr);
		return EXIT_FAILURE;
	}
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
		close_process(&processes[--n]);
	free(processes);
	if (fclose(capture.out) != 0 || ret < 0) {
		fprintf(stderr, "zcram-capture: %s: cannot be written\n", path);
		return EXIT_FAILURE;
	}
	fprintf(stderr, "zcram-capture: %" PRIu64 " pages\n", capture.written);
	return capture.written ? EXIT_SUCCESS : EXIT_FAILURE;
}
