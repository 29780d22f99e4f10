/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: what a process has mapped of files is kept, in memory that is locked, as long as it is the last that
 * was looked at, and also when it has ended.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/text.h"

#define PAGE  4096
#define PAGES 16

static char dir[] = "/tmp/zcram-test-XXXXXX";
static struct text text;

static const char *path_of(const char *name)
{
	static char path[sizeof(dir) + 32];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* A file that is in memory, for it has just been written. */
static void make_file(const char *name, size_t pages)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char page[PAGE];

	assert_true(fd >= 0);
	memset(page, 'x', sizeof(page));
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	close(fd);
}

/* AT: where, or NULL: anywhere. */
static void map_pages(void *at, const char *name, size_t first, size_t pages, int flags)
{
	int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);

	if (fd < 0 || mmap(at, pages * PAGE, PROT_READ, flags | (at ? MAP_FIXED : 0), fd,
			   (off_t)(first * PAGE)) == MAP_FAILED)
		_exit(1);
	close(fd);
}

/* A process that has done MAPPINGS, and lives until it is ended. */
static pid_t begin(void (*mappings)(void))
{
	pid_t parent = getpid(), pid;
	int pipe[2];
	char c;

	assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		mappings();
		(void)!write(pipe[1], "x", 1);
		while (getppid() == parent)
			pause();
		_exit(1);
	}
	close(pipe[1]);
	assert_int_equal(read(pipe[0], &c, 1), 1);
	close(pipe[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* What /proc/self/smaps says of the file called NAME. */
struct kept {
	unsigned int mappings;
	unsigned long size, resident; /* pages */
	unsigned long inode;
	bool locked;
};

static struct kept look(const char *name)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	struct kept kept = {0};
	char line[512], path[64] = "";
	unsigned long kib, inode;
	bool its = false;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%*x-%*x %*s %*x %*s %lu %63s", &inode, path) >= 1) {
			its = strcmp(path, path_of(name)) == 0;
			kept.mappings += its;
			kept.inode = its ? inode : kept.inode;
		} else if (its && sscanf(line, "Size: %lu", &kib) == 1) {
			kept.size += kib * 1024 / PAGE;
		} else if (its && sscanf(line, "Rss: %lu", &kib) == 1) {
			kept.resident += kib * 1024 / PAGE;
		} else if (its && strncmp(line, "VmFlags:", 8) == 0) {
			kept.locked = strstr(line, " lo") != NULL;
		}
		*path = '\0';
	}
	fclose(maps);
	return kept;
}

static void is_kept(const char *name, size_t pages)
{
	struct kept kept = look(name);

	assert_int_equal(kept.mappings, 1);
	assert_int_equal(kept.size, pages);
	assert_int_equal(kept.resident, pages);
}

static void is_not_kept(const char *name)
{
	assert_int_equal(look(name).mappings, 0);
}

static void map_two(void)
{
	uint8_t *at = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		_exit(1);
	/* As programs are mapped: in parts, one behind the other, and not all of them. */
	map_pages(at, "a", 3, 1, MAP_PRIVATE);
	map_pages(at + PAGE, "a", 2, 3, MAP_PRIVATE);
	map_pages(at + 4 * (size_t)PAGE, "a", 5, 2, MAP_PRIVATE);
	map_pages(NULL, "b", 0, PAGES, MAP_PRIVATE);
	map_pages(NULL, "shared", 0, PAGES, MAP_SHARED);
}

static void map_another(void)
{
	map_pages(NULL, "b", 0, PAGES, MAP_PRIVATE);
	map_pages(NULL, "c", 1, 4, MAP_PRIVATE);
}

static int setup(void **state)
{
	make_file("a", PAGES);
	make_file("b", PAGES);
	make_file("c", PAGES);
	make_file("shared", PAGES);
	return 0;
}

static int teardown(void **state)
{
	text_drop(&text);
	assert_int_equal(text.count, 0);
	is_not_kept("a");
	is_not_kept("b");
	is_not_kept("c");
	return 0;
}

static void test_kept(void **state)
{
	pid_t pid = begin(map_two);

	text_keep(&text, pid);
	is_kept("a", 5);
	is_kept("b", PAGES);
	is_not_kept("shared");
	/* The process is nothing to it. */
	end(pid);
	is_kept("a", 5);
	text_keep(&text, pid);
	is_kept("a", 5);
	is_kept("b", PAGES);
}

/* Not reaped yet, it has a list of mappings, which is empty. */
static void test_dead(void **state)
{
	pid_t pid = begin(map_two);
	siginfo_t info;

	text_keep(&text, pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	text_keep(&text, pid);
	is_kept("a", 5);
	is_kept("b", PAGES);
	end(pid);
}

static const void *memory_of(size_t size)
{
	for (size_t i = 0; i < text.count; i++)
		if (text.files[i].size == size)
			return text.files[i].memory;
	return NULL;
}

static void test_another(void **state)
{
	pid_t first = begin(map_two), second = begin(map_another);
	const void *before;

	text_keep(&text, first);
	before = memory_of(PAGES * PAGE);
	text_keep(&text, second);
	is_not_kept("a");
	is_kept("b", PAGES);
	is_kept("c", 4);
	/* What both have has been there all the while. */
	assert_non_null(before);
	assert_ptr_equal(memory_of(PAGES * PAGE), before);
	end(first);
	end(second);
}

/* As an upgrade of a package does. */
static void test_replaced(void **state)
{
	pid_t pid = begin(map_two);
	char from[64];
	struct stat st;

	text_keep(&text, pid);
	make_file("new", PAGES);
	snprintf(from, sizeof(from), "%s", path_of("new"));
	assert_int_equal(stat(from, &st), 0);
	assert_int_equal(rename(from, path_of("a")), 0);
	assert_int_not_equal(look("a").inode, st.st_ino);
	text_keep(&text, pid);
	is_kept("a", 5);
	assert_int_equal(look("a").inode, st.st_ino);
	/* Shorter than what was mapped of the old one. */
	make_file("new", 4);
	assert_int_equal(rename(from, path_of("a")), 0);
	text_keep(&text, pid);
	is_kept("a", 2);
	unlink(path_of("a"));
	text_keep(&text, pid);
	is_not_kept("a");
	is_kept("b", PAGES);
	end(pid);
}

static void map_many(void)
{
	char name[16];

	for (int i = 0; i < 2 * TEXT_FILES; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		map_pages(NULL, name, 0, 1, MAP_PRIVATE);
	}
	map_pages(NULL, "large", 0, TEXT_MAX / PAGE, MAP_PRIVATE);
}

/* It is bounded, in files and bytes. */
static void test_many(void **state)
{
	char name[16];
	pid_t pid;

	for (int i = 0; i < 2 * TEXT_FILES; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		make_file(name, 1);
	}
	make_file("large", 0);
	assert_int_equal(truncate(path_of("large"), TEXT_MAX), 0);
	pid = begin(map_many);
	text_keep(&text, pid);
	assert_int_equal(text.count, TEXT_FILES);
	assert_true(text.size <= TEXT_MAX);
	is_not_kept("large");
	end(pid);
	for (int i = 0; i < 2 * TEXT_FILES; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		unlink(path_of(name));
	}
	unlink(path_of("large"));
}

static void map_large(void)
{
	map_pages(NULL, "large", 0, TEXT_MAX / PAGE + 1, MAP_PRIVATE);
	map_pages(NULL, "a", 0, 1, MAP_PRIVATE);
}

/* What is too large is left, and what comes behind it is not. */
static void test_large(void **state)
{
	pid_t pid;

	make_file("large", 0);
	assert_int_equal(truncate(path_of("large"), TEXT_MAX + PAGE), 0);
	pid = begin(map_large);
	text_keep(&text, pid);
	is_not_kept("large");
	is_kept("a", 1);
	end(pid);
	unlink(path_of("large"));
}

/* Where all memory is to be locked, as zcramd's is. */
static void test_locked(void **state)
{
	pid_t pid = begin(map_two);

	/* What is there already is beyond what some users may lock. */
	if (mlockall(MCL_FUTURE | MCL_ONFAULT) < 0) {
		end(pid);
		skip();
	}
	text_keep(&text, pid);
	is_kept("a", 5);
#ifndef __SANITIZE_ADDRESS__ /* which makes mlockall() nothing */
	assert_true(look("a").locked);
#endif
	munlockall();
	end(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path_of("a"));
	unlink(path_of("b"));
	unlink(path_of("c"));
	unlink(path_of("shared"));
	rmdir(dir);
	return failed;
}
