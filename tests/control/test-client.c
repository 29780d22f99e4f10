/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: the client against a server that the test plays: answers of every kind, those that
 * are none, none at all, and sockets that cannot be connected to.
 */
#include <pthread.h>

#include "control/client.h"
#include "tests/control/fixture.h"

#define LONG_TIME  -1
#define SHORT_TIME 20 /* ms */

static int listener;

static void begin_listening(int backlog)
{
	struct sockaddr_un address = fixture_address();

	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, backlog), 0);
}

static void end_listening(void)
{
	close(listener);
	assert_int_equal(unlink(fixture_path), 0);
}

struct pair {
	struct control_client *client;
	int server;
};

static struct pair pair_make(int timeout)
{
	struct pair pair;

	begin_listening(1);
	assert_int_equal(control_connect(fixture_path, timeout, &pair.client), 0);
	pair.server = accept(listener, NULL, NULL);
	assert_true(pair.server >= 0);
	return pair;
}

static void pair_end(struct pair *pair)
{
	control_close(pair->client);
	if (pair->server >= 0)
		close(pair->server);
	end_listening();
}

static int call(struct pair *pair)
{
	struct json_object *result = NULL;
	char *message = (char *)-1;
	int r;

	r = control_call(pair->client, "stat", NULL, &result, &message);
	assert_null(message);
	json_object_put(result);
	return r;
}

static void test_call(void **state)
{
	struct pair pair = pair_make(LONG_TIME);
	struct json_object *arguments = json_tokener_parse("{\"cells\":8}"), *result = NULL;
	char *line, *message = (char *)-1;

	assert_int_equal(control_peer(pair.client), getpid());
	/* Answers wait in the socket. */
	raw_print(pair.server, "{\"version\":1,\"result\":{\"a\":7}}\n");
	assert_int_equal(control_call(pair.client, "map", arguments, &result, &message), 0);
	assert_int_equal(json_object_get_int(json_object_object_get(result, "a")), 7);
	assert_null(message);
	json_object_put(result);
	line = raw_line(pair.server);
	assert_string_equal(line,
			    "{\"version\":1,\"command\":\"map\",\"arguments\":{\"cells\":8}}");
	free(line);
	/* The arguments are still the caller's. */
	assert_int_equal(json_object_put(arguments), 1);

	raw_print(pair.server, "{\"version\":1,\"result\":{}}\n");
	assert_int_equal(call(&pair), 0);
	line = raw_line(pair.server);
	assert_string_equal(line, "{\"version\":1,\"command\":\"stat\"}");
	free(line);
	pair_end(&pair);
}

static void test_errors(void **state)
{
	struct pair pair = pair_make(LONG_TIME);
	struct json_object *result = NULL;
	char *message = NULL;

	raw_print(
		pair.server,
		"{\"version\":1,\"error\":{\"errno\":\"EBUSY\",\"message\":\"a\\n\\u001b[2J\"}}\n");
	assert_int_equal(control_call(pair.client, "compact", NULL, &result, &message), -EBUSY);
	assert_string_equal(message, "a??[2J");
	free(message);
	raw_print(pair.server, "{\"version\":1,\"error\":{\"errno\":\"EODD\",\"message\":\"\"}}\n");
	assert_int_equal(control_call(pair.client, "compact", NULL, &result, NULL), -EIO);
	assert_null(result);
	/* Neither has spoilt the connection. */
	raw_print(pair.server, "{\"version\":1,\"result\":{}}\n");
	assert_int_equal(call(&pair), 0);
	pair_end(&pair);
}

/* What is no answer ends the connection's use. */
static void assert_broken(const char *answer, int expected)
{
	struct pair pair = pair_make(LONG_TIME);

	raw_print(pair.server, answer);
	shutdown(pair.server, SHUT_WR);
	assert_int_equal(call(&pair), expected);
	assert_int_equal(call(&pair), -ENOTCONN);
	pair_end(&pair);
}

static void test_no_answers(void **state)
{
	assert_broken("\n", -EPROTO);
	assert_broken("hello\n", -EPROTO);
	assert_broken("{\"version\":2,\"result\":{}}\n", -EPROTO);
	assert_broken("{\"version\":1,\"result\":{}}\n{", -EPROTO);
	assert_broken("{\"version\":1,\"result\":{}}\n{\"version\":1,\"result\":{}}\n", -EPROTO);
	assert_broken("{\"version\":1,\"result\":{}}", -ECONNRESET);
	assert_broken("", -ECONNRESET);
}

/* A server that is full says so and closes, before it has heard a word. */
static void test_turned_away(void **state)
{
	struct pair pair = pair_make(LONG_TIME);
	struct json_object *result = NULL;
	char *message = NULL;

	raw_print(pair.server,
		  "{\"version\":1,\"error\":{\"errno\":\"EAGAIN\",\"message\":\"full\"}}\n");
	close(pair.server);
	pair.server = -1;
	assert_int_equal(control_call(pair.client, "stat", NULL, &result, &message), -EAGAIN);
	assert_string_equal(message, "full");
	free(message);
	assert_int_equal(call(&pair), -ECONNRESET);
	pair_end(&pair);
}

static void test_timeout(void **state)
{
	struct pair pair = pair_make(SHORT_TIME);

	assert_int_equal(call(&pair), -ETIMEDOUT);
	/* The answer that comes too late is not taken for the next one's. */
	raw_print(pair.server, "{\"version\":1,\"result\":{}}\n");
	assert_int_equal(call(&pair), -ENOTCONN);
	pair_end(&pair);

	pair = pair_make(0);
	assert_int_equal(call(&pair), -ETIMEDOUT);
	pair_end(&pair);
	/* It can be changed. */
	pair = pair_make(0);
	control_set_timeout(pair.client, LONG_TIME);
	raw_print(pair.server, "{\"version\":1,\"result\":{}}\n");
	assert_int_equal(call(&pair), 0);
	control_set_timeout(pair.client, SHORT_TIME);
	assert_int_equal(call(&pair), -ETIMEDOUT);
	pair_end(&pair);
}

static struct json_object *text_arguments(size_t len)
{
	struct json_object *arguments = json_object_new_object();
	char *text = malloc(len);

	assert_non_null(text);
	memset(text, 'x', len);
	assert_true(control_add(arguments, "filter", json_object_new_string_len(text, (int)len)));
	free(text);
	return arguments;
}

static void test_long_requests(void **state)
{
	size_t most = CONTROL_REQUEST_MAX -
		      strlen("{\"version\":1,\"command\":\"set\",\"arguments\":{\"filter\":\"\"}}");
	struct pair pair = pair_make(LONG_TIME);
	struct json_object *fits = text_arguments(most), *long_one = text_arguments(most + 1);
	struct json_object *result = NULL;

	assert_int_equal(control_call(pair.client, "set", long_one, &result, NULL), -EMSGSIZE);
	/* Nothing of it was sent. */
	raw_print(pair.server, "{\"version\":1,\"result\":{}}\n");
	assert_int_equal(control_call(pair.client, "set", fits, &result, NULL), 0);
	json_object_put(result);
	json_object_put(fits);
	json_object_put(long_one);
	pair_end(&pair);
}

struct writer {
	int fd;
	size_t blanks, step;
};

/* An answer of so many blanks more than it needs, a few bytes at a time. The client may not stay. */
static void *write_answer(void *argument)
{
	static const char answer[] = "{\"version\":1,\"result\":{}}";
	const struct writer *w = argument;
	size_t size = w->blanks + sizeof(answer);
	char *text = malloc(size);

	memset(text, ' ', size);
	memcpy(text + w->blanks, answer, sizeof(answer) - 1);
	text[size - 1] = '\n';
	for (size_t done = 0; done < size;) {
		size_t n = size - done < w->step ? size - done : w->step;
		ssize_t sent = send(w->fd, text + done, n, MSG_NOSIGNAL);

		if (sent < 0)
			break;
		done += (size_t)sent;
	}
	free(text);
	return NULL;
}

static int call_with_writer(size_t len, size_t step)
{
	struct pair pair = pair_make(LONG_TIME);
	struct writer writer = {
		.fd = pair.server,
		.blanks = len - strlen("{\"version\":1,\"result\":{}}"),
		.step = step,
	};
	pthread_t thread;
	int r;

	assert_int_equal(pthread_create(&thread, NULL, write_answer, &writer), 0);
	r = call(&pair);
	control_close(pair.client);
	pthread_join(thread, NULL);
	pair.client = NULL;
	pair_end(&pair);
	return r;
}

static void test_long_answers(void **state)
{
	assert_int_equal(call_with_writer(CONTROL_ANSWER_MAX, 65536), 0);
	assert_int_equal(call_with_writer(CONTROL_ANSWER_MAX + 1, 65536), -EPROTO);
	assert_int_equal(call_with_writer(100, 1), 0);
	assert_int_equal(call_with_writer(4096, 4096), 0);
	assert_int_equal(call_with_writer(4095, 7), 0);
}

static void test_no_server(void **state)
{
	struct control_client *client = NULL;
	char path[CONTROL_PATH_MAX + 2];

	assert_int_equal(control_connect(fixture_path, LONG_TIME, &client), -ENOENT);
	assert_int_equal(control_connect("", LONG_TIME, &client), -ENOENT);
	/* Nobody listens any more. */
	begin_listening(1);
	close(listener);
	assert_int_equal(control_connect(fixture_path, LONG_TIME, &client), -ECONNREFUSED);
	assert_int_equal(unlink(fixture_path), 0);
	assert_int_equal(mknod(fixture_path, S_IFREG | 0600, 0), 0);
	assert_int_equal(control_connect(fixture_path, LONG_TIME, &client), -ENOTSOCK);
	assert_int_equal(unlink(fixture_path), 0);
	memset(path, 'x', sizeof(path));
	path[CONTROL_PATH_MAX + 1] = '\0';
	assert_int_equal(control_connect(path, LONG_TIME, &client), -ENAMETOOLONG);
	path[CONTROL_PATH_MAX] = '\0';
	assert_int_equal(control_connect(path, LONG_TIME, &client), -ENOENT);
	assert_null(client);
	control_close(NULL);
}

/* A server that does not accept, with its queue full, is waited for no longer than was said. */
static void test_full_queue(void **state)
{
	struct control_client *clients[3];
	int n = 0, r = 0;

	begin_listening(0);
	while (r == 0 && n < 3) {
		r = control_connect(fixture_path, SHORT_TIME, &clients[n]);
		n += r == 0;
	}
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(control_connect(fixture_path, 0, &clients[n]), -ETIMEDOUT);
	while (n > 0)
		control_close(clients[--n]);
	end_listening();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),	     cmocka_unit_test(test_errors),
		cmocka_unit_test(test_no_answers),   cmocka_unit_test(test_turned_away),
		cmocka_unit_test(test_timeout),	     cmocka_unit_test(test_long_requests),
		cmocka_unit_test(test_long_answers), cmocka_unit_test(test_no_server),
		cmocka_unit_test(test_full_queue),
	};

	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
