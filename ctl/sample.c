/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/sample.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/procmem.h"

/* A chosen page. */
struct pick {
	pid_t pid; /* 0: of the file */
	uint64_t address;
};

struct sample {
	struct progress *progress;
	struct sample_counts counts;
	struct pick *picks;
	size_t capacity, picked;
	unsigned char *pages;
	int file;
	unsigned short random[3];
};

int sample_new(size_t capacity, struct progress *progress, struct sample **ret_sample)
{
	struct sample *sample = calloc(1, sizeof(*sample));

	if (!sample)
		return -ENOMEM;
	sample->progress = progress;
	sample->capacity = capacity;
	sample->file = -1;
	sample->picks = calloc(capacity, sizeof(*sample->picks));
	/* Of any quality: the choice is to be even, not secret. */
	if (!sample->picks ||
	    getrandom(sample->random, sizeof(sample->random), GRND_INSECURE) < 0) {
		sample_free(sample);
		return -ENOMEM;
	}
	*ret_sample = sample;
	return 0;
}

void sample_free(struct sample *sample)
{
	if (!sample)
		return;
	if (sample->file >= 0)
		close(sample->file);
	free(sample->picks);
	free(sample->pages);
	free(sample);
}

/* One page more is seen: the n-th takes the place of one of CAPACITY others in CAPACITY of n. */
static void see(struct sample *sample, pid_t pid, uint64_t address)
{
	uint64_t seen = sample->counts.seen++;
	uint64_t place = seen;

	if (seen >= sample->capacity)
		place = (uint64_t)(erand48(sample->random) * (double)(seen + 1));
	else
		sample->picked++;
	if (place < sample->capacity)
		sample->picks[place] = (struct pick){.pid = pid, .address = address};
}

struct walk {
	struct sample *sample;
	pid_t pid;
};

static int see_run(void *opaque, uint64_t address, size_t pages)
{
	const struct walk *walk = opaque;

	for (size_t i = 0; i < pages; i++)
		see(walk->sample, walk->pid, address + i * PROCMEM_PAGE);
	if (progress_due(walk->sample->progress))
		progress_show(walk->sample->progress, "looking for pages: %ju so far",
			      (uintmax_t)walk->sample->counts.seen);
	return 0;
}

int sample_add_process(struct sample *sample, pid_t pid)
{
	struct walk walk = {.sample = sample, .pid = pid};
	uint64_t before = sample->counts.seen, swapped;
	struct procmem process;
	int ret = procmem_open(pid, &process);

	if (ret == 0) {
		ret = procmem_walk(&process, see_run, &walk, &swapped);
		sample->counts.swapped += swapped;
		sample->counts.processes += sample->counts.seen > before;
		procmem_close(&process);
	}
	if (ret == -EACCES || ret == -EPERM)
		sample->counts.unreadable++;
	return ret;
}

int sample_add_system(struct sample *sample)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);

		/* What has ended meanwhile, or is not ours to read, is not there. */
		if (*end == '\0' && pid > 0 && pid != getpid())
			sample_add_process(sample, (pid_t)pid);
	}
	closedir(proc);
	return 0;
}

int sample_add_file(struct sample *sample, const char *path)
{
	struct stat st;
	off_t size;

	sample->file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (sample->file < 0)
		return -errno;
	if (fstat(sample->file, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return -ESPIPE;
	size = lseek(sample->file, 0, SEEK_END);
	if (size < 0)
		return -errno;
	for (off_t at = 0; at + PROCMEM_PAGE <= size; at += PROCMEM_PAGE)
		see(sample, 0, (uint64_t)at);
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->address < y->address ? -1 : x->address > y->address;
}

static size_t read_process(const struct pick *picks, size_t count, unsigned char *buf)
{
	struct procmem process;
	size_t read = 0;

	if (procmem_open(picks->pid, &process) < 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		read += procmem_read(&process, picks[i].address, buf + read * PROCMEM_PAGE, 1);
	procmem_close(&process);
	return read;
}

static int read_file(struct sample *sample)
{
	for (size_t i = 0; i < sample->picked; i++) {
		if (pread(sample->file, sample->pages + i * PROCMEM_PAGE, PROCMEM_PAGE,
			  (off_t)sample->picks[i].address) != PROCMEM_PAGE)
			return -EIO;
		if (progress_due(sample->progress))
			progress_show(sample->progress, "reading: %zu of %zu pages", i,
				      sample->picked);
	}
	return 0;
}

int sample_read(struct sample *sample, const unsigned char **ret_pages, size_t *ret_count)
{
	const struct pick *picks = sample->picks;
	size_t read = 0, first = 0;

	*ret_count = 0;
	if (sample->picked == 0)
		return 0;
	sample->pages = malloc(sample->picked * PROCMEM_PAGE);
	if (!sample->pages)
		return -ENOMEM;
	/* In order, so that each process is opened once and a file read from front to back. */
	qsort(sample->picks, sample->picked, sizeof(*sample->picks), by_place);
	*ret_pages = sample->pages;
	if (sample->file >= 0) {
		int ret = read_file(sample);

		*ret_count = ret < 0 ? 0 : sample->picked;
		return ret;
	}
	for (size_t i = 1; i <= sample->picked; i++) {
		if (i < sample->picked && picks[i].pid == picks[first].pid)
			continue;
		read += read_process(&picks[first], i - first, sample->pages + read * PROCMEM_PAGE);
		first = i;
		if (progress_due(sample->progress))
			progress_show(sample->progress, "reading: %zu of %zu pages", i,
				      sample->picked);
	}
	*ret_count = read;
	return 0;
}

void sample_get_counts(const struct sample *sample, struct sample_counts *ret_counts)
{
	*ret_counts = sample->counts;
}
