/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the server's socket as a file: its mode, what may stand in its place and is left
 * alone, who removes it, and that it is served by the process that was forked.
 */
#include <sys/wait.h>

#include "control/client.h"
#include "tests/control/serving.h"

static struct device *device;

static int make(struct control_server **ret_server)
{
	return serving_new(device, PATIENT, ret_server);
}

static void assert_there(bool there)
{
	assert_int_equal(access(fixture_path, F_OK), there ? 0 : -1);
}

static void test_mode(void **state)
{
	static const mode_t masks[] = {0, 022, 077};
	struct control_server *server;
	struct stat st;

	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		mode_t before = umask(masks[i]);

		assert_int_equal(make(&server), 0);
		umask(before);
		assert_int_equal(lstat(fixture_path, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | 0600);
		control_server_free(server);
		assert_there(false);
	}
}

/* As after SIGKILL: the process that made it is gone, and it is still there. */
static void leave_stale(bool start)
{
	struct control_server *server;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(make(&server) < 0 || (start && control_server_start(server) < 0));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_there(true);
}

static void test_stale(void **state)
{
	struct control_server *server;
	int fd;

	leave_stale(false);
	leave_stale(true);
	assert_int_equal(make(&server), 0);
	assert_int_equal(control_server_start(server), 0);
	fd = raw_connect();
	assert_served(fd);
	close(fd);
	control_server_stop(server);
	control_server_free(server);
	assert_there(false);
}

static void test_live(void **state)
{
	struct control_server *server, *second = NULL;
	int fd;

	assert_int_equal(make(&server), 0);
	/* Before it is served, and with its queue full of clients, it is as live as after. */
	assert_int_equal(make(&second), -EADDRINUSE);
	for (int i = 0; i < 64; i++)
		assert_int_equal(make(&second), -EADDRINUSE);
	assert_int_equal(control_server_start(server), 0);
	assert_int_equal(make(&second), -EADDRINUSE);
	assert_null(second);
	fd = raw_connect();
	assert_served(fd);
	close(fd);
	control_server_stop(server);
	control_server_free(server);
}

/* A socket of another type, live and stale. */
static void test_datagram(void **state)
{
	struct sockaddr_un address = fixture_address();
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct control_server *server = NULL;

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(make(&server), -EADDRINUSE);
	close(fd);
	assert_int_equal(make(&server), 0);
	control_server_free(server);
}

static void test_no_socket(void **state)
{
	struct control_server *server = NULL;
	struct stat st;

	assert_int_equal(mknod(fixture_path, S_IFREG | 0640, 0), 0);
	assert_int_equal(make(&server), -EEXIST);
	assert_int_equal(lstat(fixture_path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(unlink(fixture_path), 0);

	assert_int_equal(symlink("/nowhere", fixture_path), 0);
	assert_int_equal(make(&server), -EEXIST);
	assert_int_equal(unlink(fixture_path), 0);

	assert_int_equal(mkdir(fixture_path, 0700), 0);
	assert_int_equal(make(&server), -EEXIST);
	assert_int_equal(rmdir(fixture_path), 0);
	assert_null(server);
}

static int make_at(const char *path)
{
	struct control_server_options options = {.path = path, .device = device, .version = "0"};
	struct control_server *server;
	int r;

	r = control_server_new(&options, &server);
	if (r == 0)
		control_server_free(server);
	return r;
}

static void test_bad_paths(void **state)
{
	char path[CONTROL_PATH_MAX + 2];
	size_t len = strlen(fixture_dir);

	assert_int_equal(make_at(""), -ENOENT);
	assert_int_equal(make_at("/no/such/directory"), -ENOENT);
	assert_int_equal(make_at("/dev/null/control"), -ENOTDIR);
	assert_int_equal(make_at("/"), -EEXIST);
	/* The longest, and one that is longer. */
	memset(path, 'x', sizeof(path));
	memcpy(path, fixture_dir, len);
	path[len] = '/';
	path[CONTROL_PATH_MAX + 1] = '\0';
	assert_int_equal(make_at(path), -ENAMETOOLONG);
	path[CONTROL_PATH_MAX] = '\0';
	assert_int_equal(make_at(path), 0);
}

/* In the current directory, too. */
static void test_relative(void **state)
{
	char *before = getcwd(NULL, 0);

	assert_non_null(before);
	assert_int_equal(chdir(fixture_dir), 0);
	assert_int_equal(make_at("control"), 0);
	assert_int_equal(chdir(before), 0);
	free(before);
}

/* Somebody has put another one there: that is not ours to remove. */
static void test_replaced(void **state)
{
	struct control_server *server, *other;

	assert_int_equal(make(&server), 0);
	assert_int_equal(unlink(fixture_path), 0);
	assert_int_equal(make(&other), 0);
	control_server_free(server);
	assert_there(true);
	control_server_free(other);
	assert_there(false);
	/* Or has removed it. */
	assert_int_equal(make(&server), 0);
	assert_int_equal(unlink(fixture_path), 0);
	control_server_free(server);
}

/* The child's copy, which the child does not serve: it goes without taking the file. */
static void test_child_leaves_it(void **state)
{
	struct control_server *server;
	int status, fd;
	pid_t pid;

	assert_int_equal(make(&server), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		control_server_free(server);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_there(true);
	assert_int_equal(control_server_start(server), 0);
	fd = raw_connect();
	assert_served(fd);
	close(fd);
	control_server_stop(server);
	control_server_free(server);
}

static void serve_in_child(struct control_server *server, int ready, int go)
{
	char byte = 0;

	if (control_server_start(server) < 0 || write(ready, &byte, 1) != 1 ||
	    read(go, &byte, 1) != 1)
		_exit(1);
	control_server_stop(server);
	control_server_free(server);
	_exit(0);
}

/* As nbdkit does: made before the fork, served and removed by the child, whom the client sees. */
static void test_served_by_child(void **state)
{
	int ready[2], go[2], status;
	struct control_client *client;
	struct control_server *server;
	struct json_object *result;
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	assert_int_equal(make(&server), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		serve_in_child(server, ready[1], go[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(control_connect(fixture_path, -1, &client), 0);
	assert_int_equal(control_peer(client), pid);
	assert_int_equal(control_call(client, "stat", NULL, &result, NULL), 0);
	assert_int_equal(member_u64(result, "pid"), pid);
	json_object_put(result);
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_there(false);
	control_close(client);
	control_server_free(server);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(go[i]);
	}
}

/* Stopping ends connections, whatever they are at. */
static void test_stop(void **state)
{
	struct control_server *server;
	int idle, half;

	assert_int_equal(make(&server), 0);
	assert_int_equal(control_server_start(server), 0);
	idle = raw_connect();
	half = raw_connect();
	assert_served(idle);
	assert_served(half);
	raw_print(half, "{");
	control_server_stop(server);
	assert_closed(idle);
	raw_wait_closed(half);
	control_server_stop(server);
	control_server_free(server);
	control_server_free(NULL);
	close(idle);
	close(half);
}

static int begin(void **state)
{
	if (fixture_begin(state) < 0)
		return -1;
	device = serving_device();
	return 0;
}

static int end(void **state)
{
	device_free(device);
	return fixture_end(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_datagram),
		cmocka_unit_test(test_no_socket),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_child_leaves_it),
		cmocka_unit_test(test_served_by_child),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
