/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Description: images through the control socket: descriptors that come with a request are used or
 * closed; whoever goes away, client or server, breaks a save or restore off; and one is done at a time.
 */
#include <dirent.h>
#include <fcntl.h>

#include "control/client.h"
#include "tests/control/serving.h"

#define SAVE	   "{\"version\":1,\"command\":\"save\"}\n"
#define RESTORE	   "{\"version\":1,\"command\":\"restore\"}\n"
#define COMPACT	   "{\"version\":1,\"command\":\"compact\"}\n"
#define IDLE	   "{\"version\":1,\"command\":\"idle\",\"arguments\":{\"seconds\":0}}\n"
#define RECOMPRESS "{\"version\":1,\"command\":\"recompress\"}\n"

/* More than a socket holds. */
#define CONTENT (8 * MIB)

/* All open descriptors of this process, the server's among them. */
static unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* Send LINE with COUNT descriptors FD. */
static void send_with(int socket, const char *line, int fd, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (char *)(uintptr_t)line, .iov_len = strlen(line)};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(header) + i * sizeof(fd), &fd, sizeof(fd));
	assert_int_equal(sendmsg(socket, &message, MSG_NOSIGNAL), strlen(line));
}

/* Send LINE with one end of a stream; the other is returned. */
static int send_stream(int socket, const char *line)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	send_with(socket, line, ends[1], 1);
	close(ends[1]);
	return ends[0];
}

/* All that comes, to *ret_data, which is to be freed. */
static size_t read_stream(int stream, char **ret_data)
{
	size_t size = 0;
	ssize_t n;

	*ret_data = malloc(2 * CONTENT);
	assert_non_null(*ret_data);
	while ((n = recv(stream, *ret_data + size, 2 * CONTENT - size, 0)) > 0)
		size += (size_t)n;
	assert_int_equal(n, 0);
	return size;
}

/* Until the server takes no more, and says why. */
static void send_part(int stream, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = send(stream, data, size, MSG_NOSIGNAL);

		if (n < 0)
			break;
		data += n;
		size -= (size_t)n;
	}
}

static void write_stream(int stream, const char *data, size_t size)
{
	send_part(stream, data, size);
	shutdown(stream, SHUT_WR);
}

/* Content that does not shrink. */
static void fill(struct device *device)
{
	uint64_t *content = malloc(CONTENT);
	uint64_t x = 1;

	assert_non_null(content);
	for (size_t i = 0; i < CONTENT / sizeof(*content); i++) {
		x = x * UINT64_C(6364136223846793005) + 1; /* Knuth's, TAOCP 3.3.4 */
		content[i] = x ^ x >> 29;
	}
	assert_int_equal(device_write(device, content, MIB, CONTENT), 0);
	free(content);
}

static struct serving begin_filled(void)
{
	struct serving serving = serving_begin(PATIENT);

	fill(serving.device);
	return serving;
}

static void assert_counts(int fd)
{
	struct json_object *result = expect_result(fd);

	assert_int_equal(member_u64(result, "objects"), CONTENT / 4096);
	assert_int_equal(member_u64(result, "payload"), CONTENT);
	assert_int_equal(member_u64(result, "same"), 0);
	assert_int_equal(member_u64(result, "damaged"), 0);
	json_object_put(result);
}

static void test_there_and_back(void **state)
{
	struct serving serving = begin_filled();
	int fd = raw_connect(), stream;
	unsigned int descriptors;
	char *image;
	size_t size;

	(void)state;
	assert_served(fd);
	descriptors = count_descriptors();
	stream = send_stream(fd, SAVE);
	size = read_stream(stream, &image);
	close(stream);
	assert_counts(fd);
	assert_true(size > CONTENT);

	/* Refused, and the connection is good for more. */
	stream = send_stream(fd, RESTORE);
	write_stream(stream, image, size);
	close(stream);
	expect_error(fd, ENOTEMPTY, "restore: there is something on the device");
	stream = send_stream(
		fd, "{\"version\":1,\"command\":\"restore\",\"arguments\":{\"force\":true}}\n");
	write_stream(stream, image, size - 1);
	close(stream);
	expect_error(fd, ENODATA, "truncated: it ends too early: the device is left empty");
	stream = send_stream(fd, RESTORE);
	write_stream(stream, image, size);
	close(stream);
	assert_counts(fd);
	assert_int_equal(count_descriptors(), descriptors);
	free(image);
	close(fd);
	serving_end(&serving);
}

/* The descriptor is none, is not a stream's, or was not asked for. */
static void test_descriptors(void **state)
{
	struct serving serving = begin_filled();
	int fd = raw_connect(), null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), stream;
	unsigned int descriptors;

	(void)state;
	assert_true(null >= 0 && datagrams >= 0);
	assert_served(fd);
	descriptors = count_descriptors();
	for (unsigned int i = 0; i < 20; i++) {
		raw_print(fd, SAVE);
		expect_error(fd, EINVAL, "save: there is no stream socket with it");
		send_with(fd, SAVE, null, 1);
		expect_error(fd, EINVAL, "save: there is no stream socket with it");
		send_with(fd, RESTORE, datagrams, 3);
		expect_error(fd, EINVAL, "restore: there is no stream socket with it");
		send_with(fd, STAT, null, 8);
		json_object_put(expect_result(fd));
		send_with(fd, "nonsense\n", null, 2);
		expect_error(fd, EINVAL, "not JSON");
		/* Only the last of several counts. */
		send_with(fd, "{\"version\":1,", null, 2);
		stream = send_stream(fd, "\"command\":\"save\",\"arguments\":{\"x\":1}}\n");
		expect_error(fd, EINVAL, "argument x: unknown");
		close(stream);
	}
	assert_served(fd);
	assert_int_equal(count_descriptors(), descriptors);
	close(null);
	close(datagrams);
	close(fd);
	serving_end(&serving);
}

/* One that nobody reads keeps the others out, and goes with its client. */
static void test_client_gone(void **state)
{
	struct serving serving = begin_filled();
	int fd = raw_connect(), other = raw_connect(), stream = send_stream(fd, SAVE), second;
	char first;

	(void)state;
	assert_int_equal(recv(stream, &first, 1, 0), 1);
	raw_print(other, COMPACT);
	expect_error(other, EBUSY, "compact: one is under way, or something else");
	raw_print(other, IDLE);
	expect_error(other, EBUSY, "idle: one is under way, or something else");
	raw_print(other, RECOMPRESS);
	expect_error(other, EBUSY, "recompress: one is under way, or something else");
	second = send_stream(other, RESTORE);
	expect_error(other, EBUSY, "restore: one is under way");
	assert_int_equal(recv(second, &first, 1, 0), 0);
	close(second);
	assert_served(other);
	/* The stream stays open, and yet it ends. */
	close(fd);
	raw_wait_closed(stream);
	close(stream);
	close(other);
	serving_end(&serving);
}

/* The stream goes, and the client stays. */
static void test_stream_gone(void **state)
{
	struct serving serving = begin_filled();
	int fd = raw_connect(), stream = send_stream(fd, SAVE);
	char first;

	(void)state;
	assert_int_equal(recv(stream, &first, 1, 0), 1);
	close(stream);
	expect_error(fd, EIO, "save: ");
	assert_served(fd);
	close(fd);
	serving_end(&serving);
}

/* The server ends, and waits for nobody. */
static void test_stop_saving(void **state)
{
	struct serving serving = begin_filled();
	int fd = raw_connect(), stream = send_stream(fd, SAVE);
	char first;

	(void)state;
	assert_int_equal(recv(stream, &first, 1, 0), 1);
	control_server_stop(serving.server);
	raw_wait_closed(stream);
	assert_closed(fd);
	close(stream);
	close(fd);
	serving_end(&serving);
}

static void test_stop_restoring(void **state)
{
	struct serving serving = begin_filled();
	int fd = raw_connect(), stream = send_stream(fd, SAVE);
	struct device_stats stats;
	char *image;
	size_t size = read_stream(stream, &image);

	(void)state;
	assert_counts(fd);
	assert_int_equal(device_trim(serving.device, 0, DEVICE_SIZE), 0);
	close(stream);
	stream = send_stream(fd, RESTORE);
	/* More than a socket holds: it is under way when this returns. */
	send_part(stream, image, size - 1);
	control_server_stop(serving.server);
	raw_wait_closed(stream);
	assert_closed(fd);
	device_get_stats(serving.device, &stats);
	assert_int_equal(stats.pages_pool, 0);
	free(image);
	close(stream);
	close(fd);
	serving_end(&serving);
}

/* By the client's side of it. */
static void test_call(void **state)
{
	struct serving serving = begin_filled();
	struct control_client *client;
	struct json_object *result;
	char *message;
	unsigned int descriptors;

	(void)state;
	assert_int_equal(control_connect(fixture_path, PATIENT, &client), 0);
	assert_int_equal(control_call(client, "stat", NULL, &result, NULL), 0);
	json_object_put(result);
	descriptors = count_descriptors();
	assert_int_equal(control_call_with(client, "save", NULL, open("/dev/null", O_RDWR), &result,
					   &message),
			 -EINVAL);
	assert_non_null(strstr(message, "send one as SCM_RIGHTS"));
	free(message);
	/* It was taken over. */
	assert_int_equal(count_descriptors(), descriptors);
	assert_int_equal(control_call(client, "stat", NULL, &result, NULL), 0);
	json_object_put(result);
	control_close(client);
	serving_end(&serving);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_client_gone),    cmocka_unit_test(test_stream_gone),
		cmocka_unit_test(test_stop_saving),    cmocka_unit_test(test_stop_restoring),
		cmocka_unit_test(test_call),
	};

	return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
