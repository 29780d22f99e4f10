/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: segments are there after their process, are claimed by one process at a time, are
 * told from others' and are gone when they are removed.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/segment.h"

#define PAGE 4096
#define SIZE (10 * PAGE)

static char name[SEGMENT_NAME_SIZE];

static int setup(void **state)
{
	snprintf(name, sizeof(name), "test-segment.%d", (int)getpid());
	return 0;
}

/* Whatever a test has left, and however it has failed. */
static int teardown(void **state)
{
	struct segment s;

	int id;

	if (segment_claim(name, 10000, &s) < 0)
		return -1;
	/* Also what segment_remove() would leave alone. */
	id = shmget(s.key, 0, 0);
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
	segment_remove(&s);
	return 0;
}

static struct segment claim(void)
{
	struct segment s;

	assert_int_equal(segment_claim(name, 0, &s), 0);
	return s;
}

static struct segment open_new(void)
{
	struct segment s = claim();
	bool made;

	assert_int_equal(segment_attach(&s, SIZE, &made), 0);
	assert_true(made);
	assert_int_equal(s.size, SIZE);
	return s;
}

static struct segment open_old(void)
{
	struct segment s = claim();
	bool made;

	assert_int_equal(segment_attach(&s, 2 * SIZE, &made), 0);
	assert_false(made);
	assert_int_equal(s.size, SIZE);
	return s;
}

static void assert_child(pid_t pid, int expected)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, expected);
}

static void test_names(void **state)
{
	char text[SEGMENT_NAME_SIZE + 1];
	struct segment s;

	memset(text, 'a', sizeof(text));
	text[SEGMENT_NAME_SIZE] = '\0';
	assert_false(segment_name_valid(text));
	text[SEGMENT_NAME_SIZE - 1] = '\0';
	assert_true(segment_name_valid(text));
	assert_true(segment_name_valid("A-Z_0.9"));
	assert_false(segment_name_valid(""));
	assert_false(segment_name_valid("a/b"));
	assert_false(segment_name_valid("a b"));
	assert_int_equal(segment_claim("a/b", 0, &s), -EINVAL);
}

static void test_absent(void **state)
{
	struct segment s = claim();
	bool made;

	assert_int_equal(segment_attach(&s, 0, &made), -ENOENT);
	assert_int_equal(segment_remove(&s), -ENOENT);
}

static void test_outlives(void **state)
{
	struct segment s;
	pid_t pid = fork();

	if (pid == 0) {
		s = open_new();
		for (size_t i = 0; i < SIZE; i++)
			if (((uint8_t *)s.memory)[i] != 0)
				_exit(1);
		memset(s.memory, 0x5a, SIZE);
		raise(SIGKILL);
	}
	assert_child(pid, SIGKILL);
	s = open_old();
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(((uint8_t *)s.memory)[i], 0x5a);
	segment_close(&s);
	s = open_old();
	assert_int_equal(segment_remove(&s), 0);
	s = open_new();
	assert_int_equal(*(uint8_t *)s.memory, 0);
	segment_close(&s);
}

static void test_claim(void **state)
{
	struct segment s = claim(), other;
	pid_t pid = fork();

	if (pid == 0) {
		if (segment_claim(name, 0, &other) != -EBUSY ||
		    segment_claim(name, 1, &other) != -EBUSY)
			_exit(1);
		/* A copy of the parent's is not claimed by the child, and closing it gives nothing back. */
		segment_close(&s);
		_exit(segment_claim(name, 0, &other) == -EBUSY ? 0 : 2);
	}
	assert_child(pid, 0);
	segment_close(&s);
	other = claim();
	segment_close(&other);
}

/* As a server that goes into the background: the parent claims, forks and is gone. */
static void test_reclaim(void **state)
{
	int ready[2], done[2];
	struct segment s;
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	pid = fork();
	if (pid == 0) {
		if (segment_claim(name, 0, &s) < 0 || segment_reclaim(&s, 0) < 0)
			_exit(1);
		if (fork() > 0)
			_exit(0);
		byte = segment_reclaim(&s, 10000) == 0;
		if (write(ready[1], &byte, 1) == 1)
			(void)!read(done[0], &byte, 1);
		_exit(0);
	}
	assert_child(pid, 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 1);
	assert_int_equal(segment_claim(name, 0, &s), -EBUSY);
	assert_int_equal(write(done[1], &byte, 1), 1);
	assert_int_equal(segment_claim(name, 10000, &s), 0);
	segment_close(&s);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(done[i]);
	}
}

/* Somebody else's segment under the same key is not touched. */
static void test_collision(void **state)
{
	struct segment s = claim();
	int id = shmget(s.key, SIZE, IPC_CREAT | IPC_EXCL | 0600), r;
	uint8_t *memory;
	bool made;

	assert_true(id >= 0);
	memory = shmat(id, NULL, 0);
	assert_ptr_not_equal(memory, (void *)-1);
	memory[100] = 1;
	r = segment_attach(&s, SIZE, &made);
	assert_int_equal(memory[100], 1);
	assert_int_equal(segment_remove(&s), -EADDRINUSE);
	shmdt(memory);
	assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
	assert_int_equal(r, -EADDRINUSE);
}

/* Made by a process that was killed before it wrote the head. */
static void test_stillborn(void **state)
{
	struct segment s = claim();
	bool made;

	assert_true(shmget(s.key, 3 * SIZE, IPC_CREAT | IPC_EXCL | 0600) >= 0);
	assert_int_equal(segment_attach(&s, SIZE, &made), 0);
	assert_true(made);
	assert_int_equal(s.size, SIZE);
	segment_close(&s);
}

static void test_too_short(void **state)
{
	struct segment s = claim();
	bool made;

	assert_true(shmget(s.key, 100, IPC_CREAT | IPC_EXCL | 0600) >= 0);
	assert_int_equal(segment_attach(&s, SIZE, &made), -EPROTO);
	assert_int_equal(segment_remove(&s), -EPROTO);
}

static void test_mode(void **state)
{
	struct segment s = open_new();
	struct shmid_ds state_of;

	assert_int_equal(shmctl(s.id, IPC_STAT, &state_of), 0);
	assert_int_equal(state_of.shm_perm.mode & 0777, 0600);
	segment_close(&s);
}

/* Whether it is allowed depends on who runs the test; that it is said does not. */
static void test_lock(void **state)
{
	struct segment s = open_new();
	int r = segment_lock(&s);
	struct shmid_ds state_of;

	assert_true(r == 0 || r == -EPERM || r == -ENOMEM);
	assert_int_equal(shmctl(s.id, IPC_STAT, &state_of), 0);
	assert_int_equal((state_of.shm_perm.mode & SHM_LOCKED) != 0, r == 0);
	segment_close(&s);
}

struct seen {
	unsigned int times;
	struct segment_info info;
	uint8_t first;
};

static int look(void *opaque, const struct segment_info *info)
{
	struct seen *seen = opaque;

	if (strcmp(info->name, name) != 0)
		return 0;
	seen->times++;
	seen->info = *info;
	seen->first = *(const uint8_t *)info->memory;
	return 0;
}

static struct seen list(void)
{
	struct seen seen = {0};

	assert_int_equal(segment_list(look, &seen), 0);
	return seen;
}

static void test_list(void **state)
{
	struct segment s;
	struct seen seen;

	assert_int_equal(list().times, 0);
	s = open_new();
	memset(s.memory, 7, 3 * PAGE);
	seen = list();
	assert_int_equal(seen.times, 1);
	assert_int_equal(seen.first, 7);
	assert_int_equal(seen.info.size, SIZE);
	assert_int_equal(seen.info.resident + seen.info.swapped, 4 * PAGE);
	assert_int_equal(seen.info.attached, 1);
	assert_int_equal(seen.info.claimant, getpid());
	assert_int_equal(seen.info.uid, geteuid());
	segment_close(&s);
	seen = list();
	assert_int_equal(seen.times, 1);
	assert_int_equal(seen.info.attached, 0);
	assert_int_equal(seen.info.claimant, 0);
	s = open_old();
	assert_int_equal(segment_remove(&s), 0);
	assert_int_equal(list().times, 0);
}

/* Seen while another process has the claim, claimed when that has given it back. */
static void test_expect(void **state)
{
	struct segment other = open_new(), s;
	bool made;

	*(uint8_t *)other.memory = 1;
	assert_int_equal(segment_expect(name, &s), 0);
	assert_int_equal(s.size, SIZE);
	*(uint8_t *)other.memory = 2;
	assert_int_equal(*(const uint8_t *)s.memory, 2);
	assert_int_equal(segment_reclaim(&s, 0), -EBUSY);
	assert_true(segment_is_claimed(&s));
	segment_close(&other);
	assert_false(segment_is_claimed(&s));
	assert_int_equal(segment_reclaim(&s, 0), 0);
	assert_int_equal(segment_attach(&s, 0, &made), 0);
	assert_false(made);
	assert_int_equal(*(const uint8_t *)s.memory, 2);
	assert_int_equal(segment_remove(&s), 0);
}

/* It is not there, or no longer, or there is another of the name. */
static void test_expect_in_vain(void **state)
{
	struct segment other, s;
	bool made;

	assert_int_equal(segment_expect("a/b", &s), -EINVAL);
	assert_int_equal(segment_expect(name, &s), -ENOENT);
	segment_close(&s);
	for (unsigned int i = 0; i < 2; i++) {
		other = open_new();
		assert_int_equal(segment_expect(name, &s), 0);
		assert_int_equal(segment_remove(&other), 0);
		if (i == 1) {
			other = open_new();
			segment_close(&other);
		}
		assert_int_equal(segment_reclaim(&s, 0), 0);
		assert_int_equal(segment_attach(&s, SIZE, &made), -ENOENT);
		assert_false(made);
		assert_null(s.memory);
		segment_close(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_absent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outlives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_claim, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reclaim, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expect_in_vain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collision, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stillborn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
