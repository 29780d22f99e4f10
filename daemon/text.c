/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/text.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/os.h"
#include "common/util.h"

#define PAGE 4096

/* ld.so(8) has it mapped before it knows any library, and no longer when the program runs. */
#define LINKER_CACHE "/etc/ld.so.cache"

/* Of a replaced file, behind its name in /proc/PID/maps; the next server takes what stands there now. */
#define REPLACED " (deleted)"

/* From the first to the last byte that is mapped of a file. */
struct span {
	char path[PATH_MAX];
	size_t start, end;
};

/* "7f00-7f10 r-xp 00000000 08:01 1234    /usr/lib/libc.so.6" */
static bool read_span(char *line, struct span *span)
{
	size_t from, to, len;
	char mode[5];
	int at = 0;

	if (sscanf(line, "%zx-%zx %4s %zx %*s %*s %n", &from, &to, mode, &span->start, &at) != 4)
		return false;
	/* What is shared is data: the pool, the connections. */
	if (at == 0 || line[at] != '/' || mode[3] != 'p')
		return false;
	line[strcspn(line, "\n")] = '\0';
	len = strlen(line + at);
	if (len > strlen(REPLACED) && strcmp(line + at + len - strlen(REPLACED), REPLACED) == 0)
		len -= strlen(REPLACED);
	if (len >= sizeof(span->path))
		return false;
	memcpy(span->path, line + at, len);
	span->path[len] = '\0';
	span->end = span->start + (to - from);
	return true;
}

static bool is_same(const struct text_file *a, const struct text_file *b)
{
	return a->device == b->device && a->inode == b->inode && a->start == b->start &&
	       a->size == b->size;
}

/* Have FILE's memory: what there was of it, which T no longer has then, or a mapping. */
static bool map(struct text_file *file, int fd, struct text *t)
{
	for (size_t i = 0; i < t->count; i++) {
		if (!is_same(&t->files[i], file))
			continue;
		file->memory = t->files[i].memory;
		t->files[i] = t->files[--t->count];
		return true;
	}
	file->memory = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, (off_t)file->start);
	if (file->memory == MAP_FAILED)
		return false;
	/* Children have no use for it. */
	madvise(file->memory, file->size, MADV_DONTFORK);
	return true;
}

/* Which part of which file: false: there is none, or it is no file. */
static bool look(struct text_file *file, int fd, const struct span *span)
{
	struct stat st;
	size_t end;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	end = (size_t)min_u64(span->end, align_up((size_t)st.st_size, PAGE));
	if (span->start >= end)
		return false;
	*file = (struct text_file){
		.device = st.st_dev,
		.inode = st.st_ino,
		.start = span->start,
		.size = end - span->start,
	};
	return true;
}

static bool has_room(const struct text *t, size_t size)
{
	return t->count < TEXT_FILES && size <= TEXT_MAX - t->size;
}

static void add(struct text *t, const struct text_file *file)
{
	t->files[t->count++] = *file;
	t->size += file->size;
}

/* One more of NEXT; OLD may have it. */
static void keep(struct text *next, struct text *old, const struct span *span)
{
	struct text_file file;
	int fd;

	/* What is a device by now is not to be waited for. */
	fd = open(span->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (look(&file, fd, span) && has_room(next, file.size) && map(&file, fd, old)) {
		/* To have it in the page tables is to have it locked. */
		os_map_resident(file.memory, file.size);
		add(next, &file);
	}
	close(fd);
}

/* The mappings of a file stand one behind the other. */
static void keep_all(struct text *next, struct text *old, FILE *maps)
{
	struct span last = {.path = LINKER_CACHE, .end = TEXT_MAX}, span;
	char line[PATH_MAX + 128];

	while (fgets(line, sizeof(line), maps) != NULL) {
		if (!read_span(line, &span))
			continue;
		if (strcmp(span.path, last.path) == 0) {
			last.start = (size_t)min_u64(last.start, span.start);
			last.end = (size_t)max_u64(last.end, span.end);
			continue;
		}
		keep(next, old, &last);
		last = span;
	}
	keep(next, old, &last);
}

/* All of OLD that there is room for. */
static void keep_rest(struct text *next, struct text *old)
{
	while (old->count > 0 && has_room(next, old->files[old->count - 1].size))
		add(next, &old->files[--old->count]);
}

/* A process that has ended has no mappings, from any line on. */
static bool has_ended(FILE *maps)
{
	char first[16];

	rewind(maps);
	return fgets(first, sizeof(first), maps) == NULL;
}

void text_keep(struct text *text, pid_t pid)
{
	struct text next = {0};
	char path[32];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	if (maps == NULL)
		return;
	keep_all(&next, text, maps);
	if (has_ended(maps))
		keep_rest(&next, text);
	fclose(maps);
	text_drop(text);
	*text = next;
}

void text_drop(struct text *text)
{
	for (size_t i = 0; i < text->count; i++)
		munmap(text->files[i].memory, text->files[i].size);
	*text = (struct text){0};
}
