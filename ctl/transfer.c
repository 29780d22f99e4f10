/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl/transfer.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/size.h"

/* As much as is moved at a time. */
#define BUFFER ((size_t)256 << 10)

/* Milliseconds between two looks, and signs to who keeps the device still, while nothing comes. */
#define LOOK_MS 1000

static volatile sig_atomic_t caught;

static void note(int signal)
{
	caught = signal;
}

/* Those that would end the program; they stay blocked but where they are waited for. Constant soon. */
static sigset_t ending;

/* What is ignored, as nohup has it, stays so. */
static void catch_one(int number)
{
	const struct sigaction action = {.sa_handler = note};
	struct sigaction before;

	sigaction(number, NULL, &before);
	if (before.sa_handler == SIG_IGN)
		return;
	sigaction(number, &action, NULL);
	sigaddset(&ending, number);
}

void transfer_catch_signals(void)
{
	sigemptyset(&ending);
	catch_one(SIGINT);
	catch_one(SIGTERM);
	catch_one(SIGHUP);
	catch_one(SIGQUIT);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
}

bool transfer_is_interrupted(void)
{
	sigset_t pending;

	sigpending(&pending);
	sigandset(&pending, &pending, &ending);
	return caught != 0 || !sigisemptyset(&pending);
}

/* Wait until the socket is ready for EVENTS. False: a signal has come. */
static bool wait_for(struct transfer *t, int stream, short events)
{
	const struct timespec wait = {.tv_sec = LOOK_MS / 1000,
				      .tv_nsec = LOOK_MS % 1000 * 1000000};
	struct pollfd p = {.fd = stream, .events = events};
	sigset_t none;
	int n;

	sigemptyset(&none);
	do {
		n = ppoll(&p, 1, &wait, &none);
		hold_stir(t->hold);
		t->interrupted = caught != 0;
	} while (n <= 0 && !t->interrupted);
	return !t->interrupted;
}

static void moved(struct transfer *t, size_t n)
{
	char done[CTL_SIZE_TEXT], total[CTL_SIZE_TEXT];

	t->bytes += n;
	if (progress_due(&t->progress))
		progress_show(&t->progress, "%s: %s of %s", t->what, ctl_size_human(t->bytes, done),
			      ctl_size_human(t->total, total));
}

/* write(), which a signal may end: a pipe may be full for ever. */
static ssize_t write_some(int fd, const char *data, size_t n)
{
	ssize_t done;
	int error;

	pthread_sigmask(SIG_UNBLOCK, &ending, NULL);
	done = write(fd, data, n);
	error = errno;
	pthread_sigmask(SIG_BLOCK, &ending, NULL);
	errno = error;
	return done;
}

/* All of it, unless a signal comes. 0, or a negative errno. */
static int write_all(int fd, const char *data, size_t n)
{
	while (n > 0 && caught == 0) {
		ssize_t done = write_some(fd, data, n);

		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0) {
			data += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

/* From the server to the file, until the server closes its end. */
static void receive(struct transfer *t, int stream, int fd, char *buf)
{
	while (wait_for(t, stream, POLLIN)) {
		ssize_t n = recv(stream, buf, BUFFER, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return; /* the answer says whether that was all */
		t->error = write_all(fd, buf, (size_t)n);
		t->interrupted = caught != 0;
		if (t->error < 0)
			return;
		moved(t, (size_t)n);
	}
}

/* False: the server takes no more, and will say why, or a signal has come. */
static bool send_all(struct transfer *t, int stream, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t sent;

		if (!wait_for(t, stream, POLLOUT))
			return false;
		sent = send(stream, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (sent > 0) {
			data += sent;
			n -= (size_t)sent;
			moved(t, (size_t)sent);
		}
	}
	return true;
}

/* From the file to the server. What is not sent to its end is truncated, which the server sees. */
static void transmit(struct transfer *t, int stream, int fd, char *buf)
{
	ssize_t n;

	do {
		n = read(fd, buf, BUFFER);
		if (n < 0)
			t->error = -errno;
	} while (n > 0 && send_all(t, stream, buf, (size_t)n));
}

/* The thread's. */
struct call {
	struct transfer *transfer;
	int stream; /* the server's end */
};

static void *make_call(void *opaque)
{
	struct call *call = opaque;
	struct transfer *t = call->transfer;

	t->ret = control_call_with(t->client, t->command, t->arguments, call->stream, &t->result,
				   &t->message);
	return NULL;
}

/* One that is not wanted any more has little time left: the server may hang. */
static void join(struct transfer *t, pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CTL_TIMEOUT_MS / 1000;
	if (!t->interrupted || pthread_timedjoin_np(thread, NULL, &until) != 0) {
		if (t->interrupted)
			pthread_cancel(thread);
		pthread_join(thread, NULL);
	}
}

int transfer_begin(struct transfer *t, struct ctl_device *device, struct control_client *client,
		   const char *doing, const char *place)
{
	int index, status;

	t->client = client;
	ctl_device_query(device, client);
	if (device->error < 0)
		return ctl_device_failed(device, device->error, device->why);
	if (asprintf(&t->what, "%s: %s", device->name, doing) < 0) {
		t->what = NULL;
		ctl_complain("%s: %s", device->name, strerror(ENOMEM));
		return CTL_FAILURE;
	}
	status = hold_find(device, device->stat, &index);
	return status == CTL_OK ? hold_begin(t->hold, device->name, index, place) : status;
}

void transfer_run(struct transfer *t, int fd, bool saves)
{
	struct call call = {.transfer = t};
	char *buf = malloc(BUFFER);
	pthread_t thread;
	int ends[2];

	if (!buf || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		t->error = buf ? -errno : -ENOMEM;
		free(buf);
		return;
	}
	/* It takes as long as it takes. */
	control_set_timeout(t->client, -1);
	call.stream = ends[1];
	t->ret = -ETIMEDOUT; /* if no answer is waited for */
	t->error = -pthread_create(&thread, NULL, make_call, &call);
	if (t->error == 0) {
		progress_start(&t->progress);
		if (saves)
			receive(t, ends[0], fd, buf);
		else
			transmit(t, ends[0], fd, buf);
		progress_end(&t->progress);
		/* The server's end is at its end now: it answers. */
		shutdown(ends[0], SHUT_RDWR);
		join(t, thread);
	} else {
		close(ends[1]);
	}
	close(ends[0]);
	free(buf);
}

void transfer_free(struct transfer *t)
{
	json_object_put(t->result);
	free(t->message);
	free(t->what);
	control_close(t->client);
}
