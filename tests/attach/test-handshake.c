/* SPDX-License-Identifier: BSD-3-Clause */
/* Description: a server that is none, or none for us, is refused with a line that names its socket. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "attach/internal.h"
#include "tests/attach/tree.h"
#include "tests/lib/rng.h"

#define UNTOUCHED (-77)

/* A server that answers its one client with some bytes, and hangs up. */
struct server {
	char path[64];
	int listener;
	pthread_t thread;
	char answer[512];
	size_t len;
};

static void *serve(void *opaque)
{
	struct server *server = opaque;
	int fd = accept(server->listener, NULL, NULL);
	char ignored[64];

	if (fd < 0)
		return NULL;
	(void)!send(fd, server->answer, server->len, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (recv(fd, ignored, sizeof(ignored), 0) > 0)
		;
	close(fd);
	return NULL;
}

static void bind_server(struct server *server, const char *root)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(server->path, sizeof(server->path), "%s/socket", root);
	strcpy(address.sun_path, server->path);
	unlink(server->path);
	server->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* Returns what attach_handshake() gives; a line it says must name the socket. */
static int shake(const char *path)
{
	uint64_t size = 77, flags = 77;
	char *why = NULL;
	int fd = UNTOUCHED, r;

	r = attach_handshake(path, &fd, &size, &flags, &why);
	if (r == 0) {
		assert_null(why);
		assert_int_equal(close(fd), 0);
		return 0;
	}
	assert_true(r < 0);
	assert_non_null(why);
	assert_non_null(strstr(why, path));
	assert_null(strchr(why, '\n'));
	free(why);
	assert_int_equal(fd, UNTOUCHED);
	assert_int_equal(size, 77);
	assert_int_equal(flags, 77);
	return r;
}

static int shake_with(struct server *server, const char *root)
{
	int r;

	bind_server(server, root);
	assert_int_equal(listen(server->listener, 1), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	r = shake(server->path);
	pthread_join(server->thread, NULL);
	close(server->listener);
	return r;
}

static void test_nobody(void **state)
{
	char path[200];
	struct server server;

	snprintf(path, sizeof(path), "%s/none", (char *)*state);
	assert_int_equal(shake(path), -ENOENT);
	bind_server(&server, *state);
	assert_int_equal(shake(server.path), -ECONNREFUSED);
	close(server.listener);
	assert_int_equal(shake(server.path), -ECONNREFUSED);
	memset(path, 'x', 150);
	path[150] = '\0';
	assert_int_equal(shake(path), -ENAMETOOLONG);
}

static void test_no_nbd(void **state)
{
	static const char *const answers[] = {"", "HTTP/1.1 400 Bad Request\r\n\r\n", "NBDMAGIC",
					      "NBDMAGICIHAVEOPX"};
	struct server server;

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		server.len = strlen(answers[i]);
		memcpy(server.answer, answers[i], server.len);
		assert_true(shake_with(&server, *state) < 0);
	}
}

/* What begins well, and then is anything: some of it is what an old server might say. */
static void test_noise(void **state)
{
	static const char opening[] = "NBDMAGICIHAVEOPT\0\3";
	struct rng rng = rng_make(test_seed(0));
	struct server server;

	for (uint64_t i = test_ops(200); i > 0; i--) {
		rng_bytes(&rng, server.answer, sizeof(server.answer));
		memcpy(server.answer, opening, rng_below(&rng, sizeof(opening)));
		server.len = rng_below(&rng, sizeof(server.answer));
		shake_with(&server, *state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nobody, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_no_nbd, tree_setup, tree_teardown),
		cmocka_unit_test_setup_teardown(test_noise, tree_setup, tree_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
