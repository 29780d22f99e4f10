/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: handover and adopt against a server in this process: what they are refused with, that
 * a handover is answered when it is done and not before, also when who asked has moved or gone; and
 * a socket that waits for another to go.
 */
#include <pthread.h>
#include <semaphore.h>

#include "tests/control/serving.h"

#define HANDOVER "{\"version\":1,\"command\":\"handover\"}\n"
#define ADOPT	 "{\"version\":1,\"command\":\"adopt\"}\n"

/* What the callbacks were told, and what they say. */
static struct {
	int begin_result, allow_result;
	sem_t begun;
	pid_t allowed;
} said;

static int begin(void *opaque, const char **ret_why)
{
	assert_ptr_equal(opaque, &said);
	*ret_why = "not now";
	if (said.begin_result == 0)
		sem_post(&said.begun);
	return said.begin_result;
}

static int allow(void *opaque, pid_t pid)
{
	assert_ptr_equal(opaque, &said);
	said.allowed = pid;
	return said.allow_result;
}

static const struct control_descriptors connections[] = {{5, 6, 7}, {12, 11, 10}};
static const struct control_succession succession = {
	.connections = connections,
	.nr_connections = 2,
	.begin = begin,
	.allow = allow,
	.opaque = &said,
};

static struct serving begin_serving(void)
{
	struct serving serving = {.device = serving_device()};
	struct control_server_options options = {
		.path = fixture_path,
		.device = serving.device,
		.version = "1.2.3",
		.patience = PATIENT,
		.succession = &succession,
	};

	said.begin_result = said.allow_result = 0;
	said.allowed = 0;
	sem_init(&said.begun, 0, 0);
	assert_int_equal(control_server_new(&options, &serving.server), 0);
	assert_int_equal(control_server_start(serving.server), 0);
	return serving;
}

static void wait_begun(void)
{
	while (sem_wait(&said.begun) < 0)
		;
}

static void test_not_here(void **state)
{
	struct serving serving = serving_begin(PATIENT);
	int fd = raw_connect();

	raw_print(fd, HANDOVER ADOPT);
	expect_error(fd, EOPNOTSUPP, "handover: this server's connections are its own");
	expect_error(fd, EOPNOTSUPP, "adopt: this server's connections are its own");
	assert_served(fd);
	close(fd);
	serving_end(&serving);
}

static void test_adopt(void **state)
{
	struct serving serving = begin_serving();
	struct json_object *result;
	int fd = raw_connect();

	result = ask(fd, ADOPT);
	assert_string_equal(json_object_to_json_string_ext(result, JSON_C_TO_STRING_PLAIN),
			    "{\"connections\":[{\"region\":5,\"ring\":6,\"socket\":7},"
			    "{\"region\":12,\"ring\":11,\"socket\":10}]}");
	json_object_put(result);
	assert_int_equal(said.allowed, getpid());
	said.allow_result = -EPERM;
	raw_print(fd, ADOPT);
	expect_error(fd, EPERM, "cannot be allowed to");
	close(fd);
	serving_end(&serving);
}

static void test_handover(void **state)
{
	struct serving serving = begin_serving();
	int first = raw_connect(), fd, other;
	char *line;

	/* Who asks is not the first, and will be moved to another's place. */
	assert_served(first);
	fd = raw_connect();
	said.begin_result = -EINVAL;
	raw_print(fd, HANDOVER);
	expect_error(fd, EINVAL, "handover: not now");
	said.begin_result = 0;
	raw_print(fd, HANDOVER);
	wait_begun();
	close(first);
	/* Others are answered meanwhile, but not with another handover. */
	other = raw_connect();
	assert_served(other);
	raw_print(other, HANDOVER);
	expect_error(other, EBUSY, "handover: one is under way");
	control_server_stop(serving.server);
	assert_closed(other);
	assert_int_equal(recv(fd, &(char){0}, 1, MSG_DONTWAIT), -1);
	control_server_handed_over(serving.server);
	line = raw_line(fd);
	assert_string_equal(line, "{\"version\":1,\"result\":{}}");
	free(line);
	serving_end(&serving);
	assert_closed(fd);
	close(fd);
	close(other);
}

/* Nobody is there to be answered. */
static void test_asker_gone(void **state)
{
	struct serving serving = begin_serving();
	int fd = raw_connect(), other;

	raw_print(fd, HANDOVER);
	wait_begun();
	close(fd);
	other = raw_connect();
	assert_served(other);
	control_server_stop(serving.server);
	control_server_handed_over(serving.server);
	serving_end(&serving);
	close(other);
}

/* It comes to nothing: who asked sees that the server has ended without it. */
static void test_no_handover(void **state)
{
	struct serving serving = begin_serving();
	int fd = raw_connect();

	raw_print(fd, HANDOVER);
	wait_begun();
	serving_end(&serving);
	assert_closed(fd);
	close(fd);
}

static void *make_waiting(void *opaque)
{
	struct serving *serving = opaque;
	struct control_server_options options = {
		.path = fixture_path,
		.device = serving->device,
		.version = "1.2.3",
		.wait = PATIENT,
	};

	assert_int_equal(control_server_new(&options, &serving->server), 0);
	return NULL;
}

static void test_waits_for_socket(void **state)
{
	struct serving serving = begin_serving(), next = {.device = serving_device()};
	struct control_server *none;
	struct control_server_options options = {
		.path = fixture_path,
		.device = next.device,
		.version = "1.2.3",
		.wait = 1,
	};
	pthread_t thread;
	int fd;

	/* Not for ever. */
	assert_int_equal(control_server_new(&options, &none), -EADDRINUSE);
	assert_int_equal(pthread_create(&thread, NULL, make_waiting, &next), 0);
	serving_end(&serving);
	pthread_join(thread, NULL);
	assert_int_equal(control_server_start(next.server), 0);
	fd = raw_connect();
	assert_served(fd);
	close(fd);
	serving_end(&next);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_here),    cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_handover),    cmocka_unit_test(test_asker_gone),
		cmocka_unit_test(test_no_handover), cmocka_unit_test(test_waits_for_socket),
	};

	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
