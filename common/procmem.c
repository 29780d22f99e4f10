/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/procmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The kernel's words of /proc/PID/pagemap. */
#define PRESENT	  (UINT64_C(1) << 63)
#define SWAPPED	  (UINT64_C(1) << 62)
#define FILE_PAGE (UINT64_C(1) << 61) /* or shared: not private anonymous memory */

#ifndef PAGEMAP_SCAN /* Linux 6.7 */
#define PAGEMAP_SCAN	_IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_FILE	(1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)

struct pm_scan_arg {
	uint64_t size, flags;
	uint64_t start, end, walk_end;
	uint64_t vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct page_region {
	uint64_t start, end, categories;
};
#endif

static int open_proc(pid_t pid, const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

int procmem_open(pid_t pid, struct procmem *ret_process)
{
	int pagemap, mem;

	if (sysconf(_SC_PAGESIZE) != PROCMEM_PAGE)
		return -EOPNOTSUPP;
	pagemap = open_proc(pid, "pagemap");
	if (pagemap < 0)
		return pagemap;
	mem = open_proc(pid, "mem");
	if (mem < 0) {
		close(pagemap);
		return mem;
	}
	*ret_process = (struct procmem){.pid = pid, .pagemap = pagemap, .mem = mem};
	return 0;
}

void procmem_close(struct procmem *process)
{
	close(process->pagemap);
	close(process->mem);
}

static bool is_resident(uint64_t entry)
{
	return (entry & PRESENT) && !(entry & FILE_PAGE);
}

/* Report what is resident among at most PROCMEM_RUN pages from ADDRESS on. */
static int walk_run(const struct procmem *process, uint64_t address, size_t pages,
		    procmem_run_fn *fn, void *opaque, uint64_t *swapped)
{
	uint64_t map[PROCMEM_RUN];
	ssize_t got = pread(process->pagemap, map, pages * sizeof(*map),
			    (off_t)(address / PROCMEM_PAGE * sizeof(*map)));
	size_t known = got < 0 ? 0 : (size_t)got / sizeof(*map);
	size_t first = 0;

	for (size_t i = 0; i < known; i++) {
		int ret;

		if (is_resident(map[i]) && i + 1 < known)
			continue;
		*swapped += (map[i] & SWAPPED) != 0;
		/* The run ends before this page, or with it where the last one is resident too. */
		pages = i + is_resident(map[i]) - first;
		ret = pages ? fn(opaque, address + first * PROCMEM_PAGE, pages) : 0;
		if (ret != 0)
			return ret;
		first = i + 1;
	}
	return 0;
}

/*
 * Narrow [*start, *end) to the first part of it that has pages; false: there are none. Where the
 * kernel cannot tell, all of it may have some. There are mappings of terabytes, and hardly a page in
 * them: those of sanitizers, and of some runtimes.
 */
static bool next_part(const struct procmem *process, uint64_t *start, uint64_t *end)
{
	struct page_region part;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = *start,
		.end = *end,
		.vec = (uintptr_t)&part,
		.vec_len = 1,
		.category_inverted = PAGE_IS_FILE,
		.category_mask = PAGE_IS_FILE,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};
	int parts = ioctl(process->pagemap, PAGEMAP_SCAN, &arg);

	if (parts == 1) {
		*start = part.start;
		*end = part.end;
	}
	return parts != 0;
}

/* All of a mapping. */
static int walk_mapping(const struct procmem *process, uint64_t start, uint64_t end,
			procmem_run_fn *fn, void *opaque, uint64_t *swapped)
{
	uint64_t part_end = end;
	int ret = 0;

	for (; start < end && next_part(process, &start, &part_end); part_end = end) {
		while (ret == 0 && start < part_end) {
			size_t left = (part_end - start) / PROCMEM_PAGE;
			size_t pages = left < PROCMEM_RUN ? left : PROCMEM_RUN;

			ret = walk_run(process, start, pages, fn, opaque, swapped);
			start += pages * PROCMEM_PAGE;
		}
		if (ret != 0)
			break;
	}
	return ret;
}

int procmem_walk(const struct procmem *process, procmem_run_fn *fn, void *opaque,
		 uint64_t *ret_swapped)
{
	int fd = open_proc(process->pid, "maps");
	FILE *maps = fd < 0 ? NULL : fdopen(fd, "r");
	uint64_t start, end, swapped = 0;
	char access[5], *line = NULL;
	size_t size = 0;
	int ret = 0;

	if (ret_swapped)
		*ret_swapped = 0;
	if (!maps)
		return fd < 0 ? fd : -ENOMEM;
	while (ret == 0 && getline(&line, &size, maps) > 0) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, access) != 3 ||
		    strncmp(access, "rw", 2) != 0 || access[3] != 'p')
			continue;
		ret = walk_mapping(process, start, end, fn, opaque, &swapped);
	}
	free(line);
	fclose(maps);
	if (ret_swapped)
		*ret_swapped = swapped;
	return ret;
}

size_t procmem_read(const struct procmem *process, uint64_t address, void *buf, size_t pages)
{
	ssize_t got = pread(process->mem, buf, pages * PROCMEM_PAGE, (off_t)address);

	return got < 0 ? 0 : (size_t)got / PROCMEM_PAGE;
}
