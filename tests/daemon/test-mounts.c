/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the mount namespace is given to the service manager to be kept, and whatever that does with
 * it, or does not, zcramd goes on, and has no descriptor more than before.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/mounts.h"
#include "daemon/report.h"

static char dir[] = "/tmp/zcram-test-XXXXXX";
static char path[sizeof(dir) + 16];

static unsigned int count_descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(list);
	while (readdir(list) != NULL)
		n++;
	closedir(list);
	return n;
}

/* What mounts_keep() says on standard error, in TEXT; it leaves no descriptor. */
static void keep(char *text, size_t size)
{
	int said = memfd_create("stderr", MFD_CLOEXEC), before = dup(STDERR_FILENO);
	unsigned int had = count_descriptors();
	ssize_t len;

	assert_true(said >= 0 && before >= 0);
	dup2(said, STDERR_FILENO);
	mounts_keep();
	dup2(before, STDERR_FILENO);
	assert_int_equal(count_descriptors(), had);
	len = pread(said, text, size - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
	close(said);
	close(before);
}

/* The service manager's end. */
static int manage(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

/* A message of it; returns the descriptor that came with it. */
static int take(int fd, char *words, size_t size)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec part = {.iov_base = words, .iov_len = size - 1};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int taken;

	assert_true(len > 0);
	words[len] = '\0';
	assert_true(message.msg_controllen >= sizeof(control.header));
	assert_int_equal(control.header.cmsg_type, SCM_RIGHTS);
	assert_int_equal(control.header.cmsg_len, CMSG_LEN(sizeof(taken)));
	memcpy(&taken, CMSG_DATA(&control.header), sizeof(taken));
	return taken;
}

static void test_kept(void **state)
{
	struct stat given, ours;
	char text[512], words[256];
	int fd = manage(), taken;

	keep(text, sizeof(text));
	assert_string_equal(text, "");
	taken = take(fd, words, sizeof(words));
	assert_string_equal(words, "FDSTORE=1\nFDNAME=mounts");
	assert_int_equal(fstat(taken, &given), 0);
	assert_int_equal(stat("/proc/self/ns/mnt", &ours), 0);
	assert_true(given.st_dev == ours.st_dev && given.st_ino == ours.st_ino);
	close(taken);
	close(fd);
}

/* A store of no size, or one that is full, or no right to one: it does not say so. */
static void test_refused(void **state)
{
	char text[512], words[256];
	int fd = manage();

	for (int i = 0; i < 3; i++) {
		keep(text, sizeof(text));
		assert_string_equal(text, "");
		close(take(fd, words, sizeof(words)));
	}
	close(fd);
}

static void test_no_manager(void **state)
{
	char text[512];

	unsetenv("NOTIFY_SOCKET");
	keep(text, sizeof(text));
	assert_string_equal(text, "");
}

/* Its socket is of no use: that is said once, and nothing more comes of it. */
static void assert_warned(const char *reason)
{
	char text[512], expected[128];

	keep(text, sizeof(text));
	snprintf(expected, sizeof(expected),
		 "zcramd: zcram0: the mount namespace cannot be kept: %s: ", reason);
	if (strncmp(text, expected, strlen(expected)) != 0)
		fail_msg("'%s' does not begin with '%s'", text, expected);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void test_dead_manager(void **state)
{
	close(manage());
	assert_warned("Connection refused");
	unlink(path);
	assert_warned("No such file or directory");
}

/* Those that it gives back are for no program that is started. */
static void test_given_back(void **state)
{
	int fd = open("/proc/self/ns/mnt", O_RDONLY);
	char text[16];

	/* sd_listen_fds(3): they begin with 3. */
	assert_true(fd >= 3);
	for (int number = 3; number < fd; number++)
		assert_int_equal(dup2(fd, number), number);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%d", fd - 2);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", "mounts", 1);
	mounts_kept();
	for (int number = 3; number <= fd; number++)
		assert_int_equal(fcntl(number, F_GETFD), FD_CLOEXEC);
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_PID"));
	close(fd);
	/* What is none of ours is left alone. */
	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "nonsense", 1);
	mounts_kept();
	assert_null(getenv("LISTEN_FDS"));
}

static int setup(void **state)
{
	unsetenv("JOURNAL_STREAM");
	report_device("zcram0");
	snprintf(path, sizeof(path), "%s/notify", dir);
	return 0;
}

static int teardown(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	unlink(path);
	return 0;
}

#define MOUNTS(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MOUNTS(test_kept),	   MOUNTS(test_refused),    MOUNTS(test_no_manager),
		MOUNTS(test_dead_manager), MOUNTS(test_given_back),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return EXIT_FAILURE;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
