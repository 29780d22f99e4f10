/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: a server is followed by another one, and whatever dies, refuses or hangs on the way: the
 * old one serves, or the new one, or it is said that there is none; and nothing that was written is lost.
 */
#include <errno.h>
#include <sched.h>

#include "daemon/report.h"
#include "tests/server/fixture.h"
#include "tests/server/zcramd.h"

static struct zcramd_part z;
static struct succession succession;

/* What a test does when the new server is ready, and nothing has been asked of the old one yet. */
static void (*when_ready)(void);

static int exits;

static void on_line(const char *line)
{
	if (when_ready != NULL && strstr(line, "ready to take over") != NULL)
		when_ready();
}

/* The same while it is started: the first event of all. */
static int on_defer(sd_event_source *source, void *opaque)
{
	void (**act)(void) = opaque;

	(*act)();
	return 0;
}

static void (*at_start)(void);

static void act_at_start(void (*fn)(void))
{
	at_start = fn;
	assert_true(sd_event_add_defer(z.loop.event, NULL, on_defer, &at_start) >= 0);
}

static void on_exit_count(struct child *child, void *opaque)
{
	assert_ptr_equal(opaque, &exits);
	exits++;
}

static int begin(void **state)
{
	setup(state);
	zcramd_init(&z, &keeper);
	z.log.on_line = on_line;
	memset(&succession, 0, sizeof(succession));
	when_ready = NULL;
	exits = 0;
	zcramd_start(&z, 2 << 20);
	z.server->child.on_exit = on_exit_count;
	z.server->child.opaque = &exits;
	write_page(0, 1);
	return 0;
}

static int end(void **state)
{
	zcramd_fini(&z);
	return teardown(state);
}

/* A new server with this argument besides --wait, or NULL. What comes of it, and a line. */
static enum successor_end succeed(const char *argument, char **ret_why)
{
	const char *extra[] = {"--wait", "reserve=256K", argument, NULL};
	struct server_line line = zcramd_line(&z, extra);

	*ret_why = NULL;
	return zcramd_succeed(&z, &line, &succession, ret_why);
}

/* The new one serves, in the place of OLD. */
static void assert_followed(pid_t old, bool died)
{
	char *why;

	if (succeed(NULL, &why) != SUCCESSOR_SERVES)
		fail_msg("%s", why);
	assert_int_equal(succession.died, died);
	assert_true(z.server->child.running && z.server->serves);
	assert_int_not_equal(z.server->child.pid, old);
	assert_int_equal(kill(old, 0), -1);
	assert_int_equal(exits, 0);
	check_page(0, 1);
}

/* The old one serves on, as it did; WHY, which is freed, has TEXT in it. */
static void assert_kept(enum successor_end what, pid_t old, char *why, const char *text)
{
	assert_int_equal(what, SUCCESSOR_KEPT);
	if (why == NULL || strstr(why, text) == NULL)
		fail_msg("'%s' is not in '%s'", text, why ? why : "");
	free(why);
	assert_int_equal(z.server->child.pid, old);
	assert_true(z.server->child.running && z.server->serves);
	check_page(0, 1);
	write_page(1, 2);
	/* And whoever was to know of its death still is. */
	zcramd_signal(&z, SIGKILL);
	assert_int_equal(exits, 1);
}

/* There is none, and another can go on. */
static void assert_none(enum successor_end what, char *why, const char *text)
{
	assert_int_equal(what, SUCCESSOR_NONE);
	if (why == NULL || strstr(why, text) == NULL)
		fail_msg("'%s' is not in '%s'", text, why ? why : "");
	free(why);
	assert_false(z.server->child.running);
	assert_int_equal(exits, 0);
	assert_true(z.server->child.on_exit == on_exit_count);
	zcramd_start(&z, 2 << 20);
	check_page(0, 1);
}

static void test_serves(void **state)
{
	for (int i = 0; i < 4; i++) {
		assert_followed(z.server->child.pid, false);
		write_page(1, (uint64_t)i + 2);
	}
	for (uint64_t i = 1; i < 6; i++)
		check_page(0, i);
}

static void test_new_refuses(void **state)
{
	pid_t old = z.server->child.pid;
	char *why;
	enum successor_end what = succeed("algorithm=lzo", &why);

	assert_kept(what, old, why,
		    "the new server has ended before it was ready: exit status 1: zcram-server: "
		    "algorithm=lzo: not an algorithm");
}

/* Any other program. */
static enum successor_end run_instead(const char *program, const char *argument, char **ret_why)
{
	char *argv[] = {(char *)program, (char *)"-c", (char *)argument, NULL};
	struct server_line line = {.argv = argv, .connections = &z.connections};

	*ret_why = NULL;
	return zcramd_succeed(&z, &line, &succession, ret_why);
}

static void test_no_program(void **state)
{
	pid_t old = z.server->child.pid;
	char *why;
	enum successor_end what = run_instead("/nonexistent/zcram-server", "", &why);

	assert_kept(what, old, why, "/nonexistent/zcram-server: cannot be run: No such file");
}

static void test_new_dies(void **state)
{
	pid_t old = z.server->child.pid;
	char *why;
	enum successor_end what = run_instead("sh", "kill -KILL $$", &why);

	assert_kept(what, old, why, "killed by signal 9 (Killed)");
}

static void stop_zcramd(void)
{
	kill(getpid(), SIGTERM);
}

static void test_canceled(void **state)
{
	pid_t old = z.server->child.pid;
	enum successor_end what;
	char *why;

	act_at_start(stop_zcramd);
	what = run_instead("sh", "exec sleep 1000", &why);
	assert_int_equal(z.loop.stops, 1);
	assert_kept(what, old, why, "zcramd is to stop");
}

static void test_never_ready(void **state)
{
	pid_t old = z.server->child.pid;
	enum successor_end what;
	char *why;

	succession.patience = 1;
	what = run_instead("sh", "exec sleep 1000", &why);
	assert_kept(what, old, why, "the new server is not ready in time");
}

static void kill_old(void)
{
	kill(z.server->child.pid, SIGKILL);
}

static void test_old_dies_first(void **state)
{
	act_at_start(kill_old);
	assert_followed(z.server->child.pid, true);
	assert_string_equal(succession.death, "killed by signal 9 (Killed)");
}

static void test_old_dies_when_ready(void **state)
{
	when_ready = kill_old;
	assert_followed(z.server->child.pid, true);
	assert_string_equal(succession.death, "killed by signal 9 (Killed)");
}

/* To be stopped by then does not keep it from being done. */
static void test_stop_when_ready(void **state)
{
	when_ready = stop_zcramd;
	assert_followed(z.server->child.pid, false);
	assert_int_equal(z.loop.stops, 1);
}

/* It hangs: it is killed, for what it leaves is all that is needed. */
static void hang_old(void)
{
	kill(z.server->child.pid, SIGSTOP);
	succession.patience = 1000;
}

static void test_old_hangs(void **state)
{
	when_ready = hang_old;
	assert_followed(z.server->child.pid, true);
	assert_string_equal(succession.death, "killed by signal 9 (Killed)");
}

/* Nothing can be asked of it. */
static void test_no_socket(void **state)
{
	pid_t old = z.server->child.pid;
	enum successor_end what;
	char *why;

	assert_int_equal(unlink(z.dir.files[RUNDIR_CONTROL]), 0);
	what = succeed(NULL, &why);
	assert_kept(what, old, why, "the old server does not hand over: No such");
}

/* The old one is asked, and the new one is there no more when it has answered. */
static void kill_new(void)
{
	kill(succession.next->child.pid, SIGKILL);
}

static void test_new_dies_when_ready(void **state)
{
	enum successor_end what;
	char *why;

	when_ready = kill_new;
	what = succeed(NULL, &why);
	assert_none(what, why, "before it served: killed by signal 9 (Killed)");
}

/* The same when it has the pool already. */
static void test_new_fails(void **state)
{
	enum successor_end what;
	char *why;

	what = succeed("--pidfile=/nonexistent/pid", &why);
	assert_none(what, why, "--pidfile=/nonexistent/pid: it cannot be written");
}

/* In a namespace where the pool's name is another pool's. */
static void clear_elsewhere(pid_t server)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWIPC) == 0)
			successor_clear(keeper.pool, server);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Left behind by a zcramd that was killed. */
static void test_clear(void **state)
{
	struct keeper_server waiting;
	siginfo_t info = {0};
	char control[128];

	snprintf(control, sizeof(control), "control=%s", z.dir.files[RUNDIR_CONTROL]);
	waiting = start("--wait", control, NULL);
	assert_true(keeper_await_line(&waiting, "zcram-server: ready to take over"));
	successor_clear("another-pool", z.server->child.pid);
	assert_int_equal(kill(waiting.pid, 0), 0);
	clear_elsewhere(z.server->child.pid);
	assert_int_equal(waitid(P_PID, (id_t)waiting.pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	assert_int_equal(info.si_pid, 0);
	successor_clear(keeper.pool, z.server->child.pid);
	/* It is dead by now. */
	assert_int_equal(waitid(P_PID, (id_t)waiting.pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	assert_int_equal(info.si_pid, waiting.pid);
	assert_int_equal(WTERMSIG(keeper_end(&waiting, 0)), SIGKILL);
	/* One that has taken over was started in the same way, and is not waiting any more. */
	assert_followed(z.server->child.pid, false);
	successor_clear(keeper.pool, z.server->child.pid);
	check_page(0, 1);
}

#define SUCCESSOR(name) cmocka_unit_test_setup_teardown(name, begin, end)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		SUCCESSOR(test_serves),		 SUCCESSOR(test_new_refuses),
		SUCCESSOR(test_no_program),	 SUCCESSOR(test_new_dies),
		SUCCESSOR(test_canceled),	 SUCCESSOR(test_never_ready),
		SUCCESSOR(test_old_dies_first),	 SUCCESSOR(test_old_dies_when_ready),
		SUCCESSOR(test_stop_when_ready), SUCCESSOR(test_old_hangs),
		SUCCESSOR(test_no_socket),	 SUCCESSOR(test_new_dies_when_ready),
		SUCCESSOR(test_new_fails),	 SUCCESSOR(test_clear),
	};

	unsetenv("JOURNAL_STREAM");
	report_device("zcram0");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return keeper_guard(run_all);
}
