/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/server/machine.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control/client.h"
#include "tests/lib/check.h"

#define PATH_SIZE 96

static void path_of(const struct machine *m, char path[PATH_SIZE], const char *name)
{
	CHECK(snprintf(path, PATH_SIZE, "%s/%s", m->dir, name) < PATH_SIZE, "%s", name);
}

static void make_directory(const struct machine *m, const char *name)
{
	char path[PATH_SIZE];

	path_of(m, path, name);
	CHECK(mkdir(path, 0700) == 0, "%s: errno %d", path, errno);
}

static void write_file(const struct machine *m, const char *name, const char *text)
{
	char path[PATH_SIZE];
	FILE *file;

	path_of(m, path, name);
	unlink(path);
	file = fopen(path, "we");
	CHECK(file != NULL, "%s: errno %d", path, errno);
	fputs(text, file);
	CHECK(fchmod(fileno(file), 0700) == 0 && fclose(file) == 0, "%s: errno %d", path, errno);
}

void machine_install(struct machine *m, const char *program)
{
	char text[512];

	snprintf(text, sizeof(text), "#!/bin/sh\nexec '%s' \"$@\"\n",
		 program ? program : getenv("ZCRAM_SERVER"));
	write_file(m, "zcram-server", text);
}

/* A program that does nothing stands for the one that makes file systems. */
static void make_files(struct machine *m, unsigned int connections)
{
	char text[256];

	make_directory(m, "etc");
	make_directory(m, "run");
	make_directory(m, "bin");
	snprintf(text, sizeof(text),
		 "[" MACHINE_NAME "]\nzram-size = %d\nfs-type = ext4\nconnections = %u\n",
		 MACHINE_MIB, connections);
	write_file(m, "etc/zcram.conf", text);
	write_file(m, "bin/mkfs.ext4", "#!/bin/sh\nexit 0\n");
	machine_install(m, NULL);
	snprintf(text, sizeof(text), "%s/run", m->dir);
	setenv("ZCRAM_RUN_DIR", text, 1);
	snprintf(text, sizeof(text), "%s/bin:/usr/sbin:/usr/bin:/sbin:/bin", m->dir);
	setenv("PATH", text, 1);
}

int machine_init(struct machine *m, unsigned int connections)
{
	*m = (struct machine){.dir = "/tmp/zcram-test-XXXXXX"};
	/* The pool is the machine's, by the name of the device. */
	if (geteuid() != 0 || unshare(CLONE_NEWIPC) < 0)
		return 77;
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "errno %d", errno);
	CHECK(mkdtemp(m->dir) != NULL, "errno %d", errno);
	m->said = memfd_create("said", MFD_CLOEXEC);
	CHECK(m->said >= 0 && fcntl(m->said, F_SETFL, O_APPEND) == 0, "errno %d", errno);
	unsetenv("JOURNAL_STREAM");
	/* Who leaves frees nothing. */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 0);
	make_files(m, connections);
	kernel_init(&m->kernel, m->dir);
	return 0;
}

void machine_fini(struct machine *m)
{
	static const char *const names[] = {
		"etc/zcram.conf", "etc", "bin/mkfs.ext4", "bin", "zcram-server", "run", ""};
	char path[PATH_SIZE];

	/* Orphans, too. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	kernel_fini(&m->kernel);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		path_of(m, path, names[i]);
		CHECK(remove(path) == 0, "%s: errno %d", path, errno);
	}
	close(m->said);
}

/* zcramd. */

_Noreturn static void execute(const struct machine *m, const char *variable, const char *value)
{
	char root[PATH_SIZE], server[PATH_SIZE];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(m->said, STDERR_FILENO);
	if (variable != NULL)
		setenv(variable, value, 1);
	snprintf(root, sizeof(root), "--root=%s", m->dir);
	snprintf(server, sizeof(server), "--server=%s/zcram-server", m->dir);
	execl(getenv("ZCRAMD"), "zcramd", root, server, MACHINE_NAME, NULL);
	_exit(127);
}

bool machine_start(struct machine *m, const char *variable, const char *value, int *ret_status)
{
	struct pollfd fds[2] = {{.events = POLLIN}, {.fd = m->kernel.ready, .events = POLLIN}};
	eventfd_t count;

	eventfd_read(m->kernel.ready, &count);
	m->zcramd = fork();
	CHECK(m->zcramd >= 0, "errno %d", errno);
	if (m->zcramd == 0)
		execute(m, variable, value);
	m->pidfd = (int)syscall(SYS_pidfd_open, m->zcramd, 0);
	CHECK(m->pidfd >= 0, "errno %d", errno);
	fds[0].fd = m->pidfd;
	while (poll(fds, 2, -1) < 0)
		CHECK(errno == EINTR, "errno %d", errno);
	if (fds[0].revents == 0)
		return true;
	*ret_status = machine_end(m, 0);
	return false;
}

int machine_end(struct machine *m, int signal)
{
	int status;

	if (signal != 0)
		CHECK(kill(m->zcramd, signal) == 0, "errno %d", errno);
	CHECK(waitpid(m->zcramd, &status, 0) == m->zcramd, "errno %d", errno);
	close(m->pidfd);
	m->zcramd = 0;
	return status;
}

int machine_upgrade(struct machine *m)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0, "errno %d", errno);
	if (pid == 0) {
		dup2(m->said, STDOUT_FILENO);
		dup2(m->said, STDERR_FILENO);
		execl(getenv("ZCRAM_CTL"), "zcramctl", "upgrade", MACHINE_NAME, NULL);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid, "errno %d", errno);
	return WEXITSTATUS(status);
}

void machine_said(struct machine *m, char *text, size_t size)
{
	ssize_t len = pread(m->said, text, size - 1, m->heard);

	CHECK(len >= 0, "errno %d", errno);
	text[len] = '\0';
	m->heard += len;
}

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void machine_await_said(struct machine *m, const char *text)
{
	char all[8192];
	ssize_t len;

	do {
		nap();
		len = pread(m->said, all, sizeof(all) - 1, m->heard);
		CHECK(len >= 0, "errno %d", errno);
		all[len] = '\0';
	} while (strstr(all, text) == NULL);
}

/* Its servers. */

static int open_control(const struct machine *m, struct control_client **ret_client)
{
	char path[PATH_SIZE];

	path_of(m, path, "run/" MACHINE_NAME "/control");
	return control_connect(path, 60000, ret_client);
}

pid_t machine_server(struct machine *m)
{
	struct control_client *client;
	pid_t pid;

	/* One may just be about to listen. */
	while (open_control(m, &client) < 0)
		nap();
	pid = control_peer(client);
	control_close(client);
	return pid;
}

/* Is process PID a server of ours? It has our run directory among its arguments. */
static bool is_server(const struct machine *m, pid_t pid)
{
	char path[32], arguments[4096];
	int fd;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, arguments, sizeof(arguments));
	close(fd);
	return len > 0 && memmem(arguments, (size_t)len, "--connection", 12) != NULL &&
	       memmem(arguments, (size_t)len, m->dir, strlen(m->dir)) != NULL;
}

static unsigned int count_servers(const struct machine *m)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	unsigned int count = 0;

	CHECK(processes != NULL, "errno %d", errno);
	while ((entry = readdir(processes)) != NULL)
		count += isdigit((unsigned char)*entry->d_name) &&
			 is_server(m, (pid_t)atoi(entry->d_name));
	closedir(processes);
	return count;
}

void machine_await_one_server(struct machine *m)
{
	/* Who has been killed, or has handed over, is gone soon. */
	while (count_servers(m) != 1)
		nap();
}

void machine_kill_server(struct machine *m)
{
	pid_t pid = machine_server(m);

	CHECK(kill(pid, SIGKILL) == 0, "errno %d", errno);
	while (machine_server(m) == pid)
		nap();
}

static int number_of(struct json_object *list, unsigned int i, const char *name)
{
	struct json_object *number;

	CHECK(json_object_object_get_ex(json_object_array_get_idx(list, i), name, &number), "no %s",
	      name);
	return json_object_get_int(number);
}

void machine_damage(struct machine *m, unsigned int i)
{
	struct json_object *result, *list;
	struct control_client *client;
	char path[64];
	int fd;

	CHECK(open_control(m, &client) == 0, "no server");
	CHECK(control_call(client, "adopt", NULL, &result, NULL) == 0, "no answer");
	CHECK(json_object_object_get_ex(result, "connections", &list), "no connections");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)control_peer(client),
		 number_of(list, i, "region"));
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && pwrite(fd, "damaged", 7, 0) == 7, "%s: errno %d", path, errno);
	close(fd);
	json_object_put(result);
	control_close(client);
}
