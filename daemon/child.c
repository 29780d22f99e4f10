/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/os.h"
#include "daemon/why.h"

/* Of the server's main thread and of each of its others: what a request goes through is 32 KiB. */
#define SERVER_STACK ((rlim_t)512 << 10)

/* What the pipe says by now: nothing yet, why there is no program, or, by being closed, that it is executed. */
static void read_failure(struct child *child)
{
	int error;
	ssize_t len = read(sd_event_source_get_io_fd(child->failure), &error, sizeof(error));

	if (len < 0)
		return;
	if (len == sizeof(error))
		child->error = -error;
	child->executed = true;
	child->failure = sd_event_source_disable_unref(child->failure);
}

static void note_exit(struct child *child, int code, int status)
{
	child->running = false;
	child->code = code;
	child->status = status;
	child->source = sd_event_source_disable_unref(child->source);
	/* Its own event may come later. */
	if (child->failure != NULL)
		read_failure(child);
	child->failure = sd_event_source_disable_unref(child->failure);
	child->executed = true;
	if (child->on_exit != NULL)
		child->on_exit(child, child->opaque);
}

static int on_exit_event(sd_event_source *source, const siginfo_t *info, void *opaque)
{
	note_exit(opaque, info->si_code, info->si_status);
	return 0;
}

/* A pidfd can be read from when all threads of its process are dead. */
static int on_pidfd(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	struct child *child = opaque;

	close(fd);
	child->pidfd = -1;
	note_exit(child, CHILD_ENDED_UNSEEN, 0);
	return 0;
}

/* In the child: signals as a program expects them. */
static void reset_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_limits(void)
{
	struct rlimit stack;

	/* The soft limit only: each thread's stack is as large as that. */
	if (getrlimit(RLIMIT_STACK, &stack) == 0) {
		if (stack.rlim_max == RLIM_INFINITY || stack.rlim_max > SERVER_STACK)
			stack.rlim_cur = SERVER_STACK;
		setrlimit(RLIMIT_STACK, &stack);
	}
	/* A core dump of it would take long, and its sockets stay open until it is written. */
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

/* Whoever else is started from us has none of these, nor has the program any of ours but these. */
static void keep_open(const struct child_job *job)
{
	for (size_t i = 0; i < job->nr_inherited; i++)
		fcntl(job->inherited[i], F_SETFD, 0);
}

static void set_output(const struct child_job *job)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (job->output < 0)
		return;
	dup2(job->output, STDERR_FILENO);
	if (job->long_lived)
		dup2(job->output, STDOUT_FILENO);
}

/* FAILURE: the pipe that says why the program cannot be executed. */
__attribute__((noreturn)) static void be_child(const struct child_job *job, int failure)
{
	int error;

	reset_signals();
	/* A terminal's signals are for zcramd, which ends the server when nobody needs it. */
	if (job->long_lived) {
		setsid();
		set_limits();
	}
	/* What we are ourselves for lack of memory, other programs need not be. */
	os_thread_urgent(job->urgent);
	keep_open(job);
	set_output(job);
	if (job->argv == NULL)
		_exit(job->run(job->opaque));
	execvp(job->argv[0], (char *const *)(uintptr_t)job->argv);
	error = errno;
	(void)!write(failure, &error, sizeof(error));
	_exit(127);
}

static int on_failure(sd_event_source *source, int fd, uint32_t events, void *opaque)
{
	read_failure(opaque);
	return 0;
}

/* The reading end is the event's from then on. */
static int watch_failure(struct child *child, int fd)
{
	int r = sd_event_add_io(child->loop->event, &child->failure, fd, EPOLLIN, on_failure,
				child);

	if (r < 0)
		close(fd);
	else
		sd_event_source_set_io_fd_own(child->failure, true);
	return r;
}

/* The events that come from a child that is there. A negative errno: it no longer is. */
static int watch(struct child *child)
{
	int r = sd_event_add_child(child->loop->event, &child->source, child->pid, WEXITED,
				   on_exit_event, child);

	if (r < 0) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
	}
	return r;
}

int child_start(struct child *child, struct loop *loop, const struct child_job *job)
{
	int pipe[2], r;

	*child = (struct child){.loop = loop, .pidfd = -1};
	if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = watch_failure(child, pipe[0]);
	if (r == 0) {
		child->pid = fork();
		r = child->pid < 0 ? -errno : 0;
	}
	if (r == 0 && child->pid == 0)
		be_child(job, pipe[1]);
	close(pipe[1]);
	if (r == 0)
		r = watch(child);
	if (r < 0) {
		child->failure = sd_event_source_disable_unref(child->failure);
		return r;
	}
	child->running = true;
	return 0;
}

int child_adopt(struct child *child, struct loop *loop, pid_t pid, int pidfd)
{
	int r;

	*child = (struct child){.loop = loop, .pid = pid, .pidfd = pidfd};
	r = sd_event_add_io(loop->event, &child->source, pidfd, EPOLLIN, on_pidfd, child);
	if (r < 0) {
		close(pidfd);
		child->pidfd = -1;
		return r;
	}
	child->running = true;
	return 0;
}

void child_signal(const struct child *child, int signal)
{
	/* A number may be another process's by now; that of our own is not before we have waited. */
	if (child->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL, 0);
	else if (child->running)
		kill(child->pid, signal);
}

bool child_succeeded(const struct child *child)
{
	return child->code == CLD_EXITED && child->status == 0;
}

void child_describe(const struct child *child, char text[CHILD_TEXT_SIZE])
{
	if (child->code == CLD_EXITED)
		snprintf(text, CHILD_TEXT_SIZE, "exit status %d", child->status);
	else if (child->code == CHILD_ENDED_UNSEEN)
		snprintf(text, CHILD_TEXT_SIZE, "it was not ours to see how");
	else
		snprintf(text, CHILD_TEXT_SIZE, "killed by signal %d (%s)", child->status,
			 strsignal(child->status));
}

/* Until it ends by itself, or because we are to stop. */
static bool await(struct child *child, bool cancelable)
{
	struct loop *loop = child->loop;
	bool canceled = false;

	while (child->running) {
		loop_turn(loop, UINT64_MAX);
		if (cancelable && loop->stops > 0 && !canceled) {
			child_signal(child, SIGTERM);
			canceled = true;
		}
	}
	return canceled;
}

int child_run(struct loop *loop, const char *const argv[], bool cancelable, char **why)
{
	struct child_job job = {.argv = argv};
	char text[CHILD_TEXT_SIZE];
	struct output output;
	struct child child;
	bool canceled;
	int pipe[2], r;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return say_why(why, -errno, "%s: no pipe: %m", argv[0]);
	fcntl(pipe[0], F_SETFL, O_NONBLOCK);
	job.output = pipe[1];
	r = output_open(&output, loop, pipe[0], NULL);
	if (r == 0)
		r = child_start(&child, loop, &job);
	close(pipe[1]);
	canceled = r == 0 && await(&child, cancelable);
	output_close(&output);
	if (r == 0)
		r = child.error;
	if (r < 0)
		return say_why(why, r, "%s: cannot be run: %s", argv[0], strerror(-r));
	if (canceled)
		return say_why(why, -ECANCELED, "%s: ended, for zcramd is to stop", argv[0]);
	if (child_succeeded(&child))
		return 0;
	child_describe(&child, text);
	return say_why(why, -EIO, "%s: %s%s%s", argv[0], text, *output.all ? ": " : "", output.all);
}
