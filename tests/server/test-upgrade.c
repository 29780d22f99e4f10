/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: zcramd, but for the kernel's part, is asked by zcramctl to upgrade its server, in use: it
 * does, or says why not; what it says of deaths and upgrades is right; and a server that dies meanwhile, or
 * after it, is brought back.
 */
#include <errno.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>

#include "codec/algorithm.h"
#include "common/segment.h"
#include "daemon/report.h"
#include "daemon/zcramd.h"
#include "device/store.h"
#include "tests/server/fixture.h"

#define NAME "zcram0"

static struct zcramd z;
static char root[64], server_path[96];

/* The part of the life of zcramd that is looked at here, from the point where the server is started. */

static void write_conf(void)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/etc", root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/etc/zcram.conf", root);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "[" NAME "]\nzram-size = 4\nallocator = zbud\n");
	fclose(file);
}

static void prepare(void)
{
	char *why = NULL;

	z = (struct zcramd){.root = root,
			    .server_path = server_path,
			    .looped = true,
			    .server = &z.servers[0],
			    .index = -1};
	assert_int_equal(conf_host_get(NULL, &z.host), 0);
	assert_int_equal(loop_open(&z.loop), 0);
	z.host.check_algorithm = codec_algorithm_check;
	if (conf_load(z.root, &z.host, &z.conf, &why) < 0)
		fail_msg("%s", why);
	z.device = conf_find(z.conf, NAME);
	assert_non_null(z.device);
	assert_int_equal(rundir_init(&z.rundir, NAME, &why), 0);
	assert_int_equal(rundir_lock(&z.rundir, &why), 0);
	assert_int_equal(server_open_log(&z.log, &z.loop, &z.rundir, &why), 0);
	z.connections.count = keeper.nr_connections;
	for (unsigned int i = 0; i < keeper.nr_connections; i++)
		z.connections.at[i] = (struct connection){
			.memory = keeper.connections[i].memory,
			.ring = keeper.connections[i].ring,
			.server = keeper.connections[i].server,
			.client = -1,
		};
}

static void start_server(void)
{
	struct server_line line = {.connections = &z.connections};
	char **argv, *why = NULL;

	assert_int_equal(zcramd_server_argv(&z, false, &argv), 0);
	line.argv = argv;
	if (server_start(z.server, &z.loop, &z.rundir, &z.log, &line, &why) < 0)
		fail_msg("%s", why);
	zcramd_free_argv(argv);
	assert_int_equal(revive_watch(&z), 0);
}

/* Zcramd wants its server locked, which not everybody may have. BEFORE: what is done first. */
static void install(const char *program, const char *before, const char *argument)
{
	FILE *file;

	unlink(server_path);
	file = fopen(server_path, "we");
	assert_non_null(file);
	fprintf(file,
		"#!/bin/sh\n%s\nfor a; do shift; [ \"$a\" = lock=on ] || set -- \"$@\" \"$a\"; "
		"done\n"
		"exec '%s' \"$@\" lock=off %s\n",
		before, program, argument);
	assert_int_equal(fchmod(fileno(file), 0700), 0);
	fclose(file);
}

static void install_server(void)
{
	install(getenv("ZCRAM_SERVER"), "", "");
}

static int begin(void **state)
{
	char *why = NULL;

	setup(state);
	snprintf(keeper.pool, sizeof(keeper.pool), NAME);
	setenv("ZCRAM_RUN_DIR", keeper.dir, 1);
	snprintf(root, sizeof(root), "/tmp/zcram-root-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(server_path, sizeof(server_path), "%s/zcram-server", root);
	install_server();
	write_conf();
	prepare();
	if (upgrade_listen(&z, &why) < 0)
		fail_msg("%s", why);
	start_server();
	write_page(0, 1);
	upgrade_look(&z);
	return 0;
}

static int end(void **state)
{
	char path[128];

	upgrade_stop(&z);
	revive_end(&z);
	server_stop(z.server, &z.loop);
	upgrade_end(&z);
	output_close(&z.log);
	rundir_remove(&z.rundir, RUNDIR_LOG);
	assert_int_equal(rundir_unlock(&z.rundir), 0);
	loop_close(&z.loop);
	conf_free(z.conf);
	unlink(server_path);
	snprintf(path, sizeof(path), "%s/etc/zcram.conf", root);
	unlink(path);
	snprintf(path, sizeof(path), "%s/etc", root);
	rmdir(path);
	assert_int_equal(rmdir(root), 0);
	return teardown(state);
}

/* One turn of what zcramd does while the device is in use. */
static void turn(void)
{
	loop_turn(&z.loop, UINT64_MAX);
	upgrade_look(&z);
}

/* zcramctl, with zcramd at work meanwhile; what it says is in SAID. */

static char said[4096];

static int zcramctl(const char *command)
{
	const char *argv[] = {getenv("ZCRAM_CTL"), command, NAME, NULL};
	struct child_job job = {.argv = argv};
	int file = memfd_create("said", MFD_CLOEXEC);
	struct child child;
	ssize_t n;

	job.output = file;
	/* Both of its outputs. */
	job.long_lived = true;
	assert_int_equal(child_start(&child, &z.loop, &job), 0);
	while (child.running)
		turn();
	n = pread(file, said, sizeof(said) - 1, 0);
	assert_true(n >= 0);
	said[n] = '\0';
	close(file);
	assert_int_equal(child.code, CLD_EXITED);
	return child.status;
}

static void says(const char *text)
{
	if (strstr(said, text) == NULL)
		fail_msg("'%s' is not in '%s'", text, said);
}

static void kill_server(void)
{
	unsigned int times = z.revive.times;

	kill(z.server->child.pid, SIGKILL);
	while (z.revive.times == times)
		turn();
	check_page(0, 1);
}

static bool has_argument(bool again, const char *argument)
{
	bool has = false;
	char **argv;

	assert_int_equal(zcramd_server_argv(&z, again, &argv), 0);
	for (size_t i = 0; argv[i] != NULL; i++)
		has = has || strcmp(argv[i], argument) == 0;
	zcramd_free_argv(argv);
	return has;
}

/* Where there is a pool it knows what it is, and whoever has changed the files since makes no difference. */
static void test_pool_knows(void **state)
{
	assert_true(has_argument(false, "size=4M"));
	assert_true(has_argument(false, "allocator=zbud"));
	assert_false(has_argument(true, "size=4M"));
	assert_false(has_argument(true, "allocator=zbud"));
	kill_server();
	assert_true(has_argument(true, "pool=" NAME));
}

static void test_upgrades(void **state)
{
	char line[128];

	for (int i = 1; i <= 3; i++) {
		pid_t old = z.server->child.pid;

		assert_int_equal(zcramctl("upgrade"), 0);
		snprintf(line, sizeof(line),
			 NAME ": pid %d (version " ZCRAM_VERSION
			      ") was replaced by pid %d (version " ZCRAM_VERSION
			      "): requests waited at most ",
			 (int)old, (int)z.server->child.pid);
		says(line);
		assert_int_not_equal(z.server->child.pid, old);
		check_page(1, 1);
	}
	/* It is looked after as the first one was. */
	kill_server();
	assert_int_equal(zcramctl("upgrade"), 0);
	kill_server();
	assert_int_equal(zcramctl("stat"), 0);
	snprintf(line, sizeof(line), "zcramd.server-pid: %d\n", (int)z.server->child.pid);
	says(line);
	says("zcramd.state: serving\n");
	says("zcramd.upgrades: 4\n");
	says("zcramd.deaths: 2\n");
	says("zcramd.restarts: 2\n");
	says("zcramd.last-death: killed by signal 9 (Killed)\n");
}

static void test_kept(void **state)
{
	pid_t old = z.server->child.pid;

	install("/bin/false", "", "");
	assert_int_equal(zcramctl("upgrade"), 1);
	says("zcramctl: " NAME
	     ": upgrade: the new server has ended before it was ready: exit status "
	     "1; the old one goes on\n");
	unlink(server_path);
	assert_int_equal(zcramctl("upgrade"), 1);
	says("cannot be run: No such file or directory; the old one goes on\n");
	assert_int_equal(z.server->child.pid, old);
	check_page(0, 1);
	install_server();
	kill_server();
	assert_int_equal(zcramctl("stat"), 0);
	says("zcramd.upgrades: 0\n");
	says("zcramd.deaths: 1\n");
	assert_int_equal(zcramctl("upgrade"), 0);
}

/* The program is gone for a while: that is neither a server's end nor its connections' fault. */
static void test_no_program(void **state)
{
	unsigned int deaths = z.revive.deaths.count, times = z.revive.times;

	unlink(server_path);
	kill(z.server->child.pid, SIGKILL);
	/* The server, and more tries than ends by itself that have its connections begun anew. */
	while (z.revive.deaths.count < deaths + 4)
		turn();
	assert_int_equal(z.revive.row, 0);
	install_server();
	while (z.revive.times == times)
		turn();
	check_page(0, 1);
	assert_int_equal(zcramctl("stat"), 0);
	says("zcramd.deaths: 1\n");
	says("zcramd.restarts: 1\n");
}

/* Change what the pool says of its layout, before the eyes of the server that is at work on it. */
static void set_layout(uint32_t version)
{
	struct segment segment;
	bool made;

	/* Its claim is not needed to look into it. */
	assert_int_equal(segment_claim(NAME, 0, &segment), -EBUSY);
	assert_int_equal(segment_attach(&segment, 0, &made), 0);
	((struct store_header *)segment.memory)->version = version;
	shmdt(segment.head);
}

/* As after an upgrade of the package to one with another layout of pools. */
static void test_other_layout(void **state)
{
	pid_t old = z.server->child.pid;
	char line[256];

	snprintf(line, sizeof(line),
		 "zcramctl: " NAME ": upgrade: the new server has ended before it was ready: exit "
		 "status 1: zcram-server: pool=" NAME
		 ": it has another layout version than this zcram's, which is %d; the old one goes "
		 "on\n",
		 DEVICE_STORE_LAYOUT);
	set_layout(DEVICE_STORE_LAYOUT - 1);
	assert_int_equal(zcramctl("upgrade"), 1);
	assert_string_equal(said, line);
	assert_int_equal(z.server->child.pid, old);
	check_page(0, 1);
	write_page(1, 2);
	set_layout(DEVICE_STORE_LAYOUT);
	assert_int_equal(zcramctl("upgrade"), 0);
	assert_int_not_equal(z.server->child.pid, old);
	check_page(1, 2);
}

/* A new one that ends when it has the pool: its pid file cannot be written. */
static void test_both_end(void **state)
{
	/* Only the first is so. */
	char before[256];

	snprintf(before, sizeof(before), "sed -i 's, --pidfile[=].*,,' '%s'", server_path);
	install(getenv("ZCRAM_SERVER"), before, "--pidfile=/nonexistent/pid");
	assert_int_equal(zcramctl("upgrade"), 1);
	says("the new server has ended before it served: exit status 1: zcram-server: "
	     "--pidfile=/nonexistent/pid: it cannot be written");
	says("; the old one had ended: another is started\n");
	while (z.status.state != STATUS_SERVING)
		turn();
	check_page(0, 1);
	assert_int_equal(zcramctl("stat"), 0);
	says("zcramd.restarts: 1\n");
}

static void test_refused(void **state)
{
	z.looped = false;
	assert_int_equal(zcramctl("upgrade"), 1);
	says("upgrade: the server is nbdkit, whose connections are its own");
	z.looped = true;
	status_enter(&z.status, STATUS_STARTING);
	z.server->serves = false;
	assert_int_equal(zcramctl("upgrade"), 1);
	says("upgrade: the device is being started");
	z.server->serves = true;
	upgrade_look(&z);
	upgrade_stop(&z);
	assert_int_equal(zcramctl("upgrade"), 1);
	says("upgrade: the device is being stopped");
	assert_int_equal(zcramctl("stat"), 0);
	says("zcramd.state: stopping\n");
}

/* Of one that is brought back: zcramctl sees that, too. */
static void test_without_server(void **state)
{
	/* One that never comes to serve. */
	install("false", "exec sleep 1000", "");
	kill(z.server->child.pid, SIGKILL);
	while (z.status.state != STATUS_RESTARTING)
		turn();
	assert_int_equal(zcramctl("stat"), 1);
	says("zcramctl: " NAME ": the server has died, and is being brought back (");
	says("zcramd.state: restarting\n");
	assert_int_equal(zcramctl("list"), 1);
	says(NAME " (restarting)");
	assert_int_equal(zcramctl("upgrade"), 1);
	says("upgrade: the server has died, and is being brought back");
	install_server();
	kill(z.server->child.pid, SIGKILL);
	while (z.status.state != STATUS_SERVING)
		turn();
	check_page(0, 1);
}

#define UPGRADE(name) cmocka_unit_test_setup_teardown(name, begin, end)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		UPGRADE(test_pool_knows),     UPGRADE(test_upgrades),	  UPGRADE(test_kept),
		UPGRADE(test_no_program),     UPGRADE(test_both_end),	  UPGRADE(test_refused),
		UPGRADE(test_without_server), UPGRADE(test_other_layout),
	};

	/* The pool is the machine's, by the name of the device. */
	if (unshare(CLONE_NEWIPC) < 0)
		return 77;
	unsetenv("JOURNAL_STREAM");
	report_device(NAME);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return keeper_guard(run_all);
}
