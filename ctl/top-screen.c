/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The terminal is given back by whatever way the program ends. Signals that ask it to end are
 * blocked and read from a descriptor, with the keys; those that it dies of have a handler, which
 * makes only calls that a handler may make.
 */
#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "common/os.h"
#include "common/util.h"
#include "ctl/top.h"

/* The alternate screen without a cursor; and back. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int deadly[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static struct {
	volatile sig_atomic_t open;
	struct termios before;
	int signals; /* signalfd */
} screen = {.signals = -1};

static void put(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* the terminal has gone: SIGHUP will say so */
		text += n;
		len -= (size_t)n;
	}
}

static void enter(void)
{
	struct termios raw = screen.before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	put(ENTER, strlen(ENTER));
	screen.open = 1;
}

static void leave(void)
{
	if (!screen.open)
		return;
	screen.open = 0;
	put(LEAVE, strlen(LEAVE));
	tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
}

/* SA_RESETHAND has put the signal's own effect back, which comes when this returns. */
static void on_deadly(int signal)
{
	leave();
	raise(signal);
}

static int catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_deadly, .sa_flags = (int)SA_RESETHAND};
	sigset_t set;

	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++)
		sigaction(deadly[i], &action, NULL);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		sigaddset(&set, ending[i]);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	screen.signals = signalfd(-1, &set, SFD_CLOEXEC);
	return screen.signals < 0 ? -errno : 0;
}

int top_screen_open(void)
{
	int ret;

	if (tcgetattr(STDIN_FILENO, &screen.before) < 0)
		return -errno;
	ret = catch_signals();
	if (ret < 0)
		return ret;
	atexit(leave);
	enter();
	return 0;
}

void top_screen_close(void)
{
	leave();
}

void top_screen_layout(struct top_layout *ret_layout)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
		size = (struct winsize){.ws_col = 80, .ws_row = 24};
	ret_layout->width = size.ws_col;
	ret_layout->height = size.ws_row;
	ret_layout->unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* Do what a blocked signal would have done, with the terminal as it was. */
static void give_way(int signal)
{
	sigset_t set;

	leave();
	raise(signal);
	sigemptyset(&set);
	sigaddset(&set, signal);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	/* It was SIGTSTP, and we have been continued. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	enter();
}

static bool read_signal(enum top_event *ret_event)
{
	struct signalfd_siginfo info;

	if (read(screen.signals, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo != SIGWINCH)
		give_way((int)info.ssi_signo);
	*ret_event = TOP_RESIZE;
	return true;
}

static bool read_key(enum top_event *ret_event)
{
	char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	/* End of file, though poll() says that there is something: the terminal has gone. */
	if (n == 1 && key != 'q' && key != 'Q')
		return false;
	*ret_event = TOP_QUIT;
	return true;
}

enum top_event top_screen_wait(int milliseconds)
{
	uint64_t until = os_now() + (uint64_t)milliseconds * 1000000;
	enum top_event event;

	for (;;) {
		struct pollfd fds[] = {
			{.fd = screen.signals, .events = POLLIN},
			{.fd = STDIN_FILENO, .events = POLLIN},
		};
		uint64_t now = os_now();

		if (now >= until)
			return TOP_TIMEOUT;
		/* Rounded up: not to ask again and again within the last millisecond. */
		if (poll(fds, 2, (int)((until - now + 999999) / 1000000)) < 0 && errno != EINTR)
			return TOP_QUIT;
		if (fds[0].revents && read_signal(&event))
			return event;
		if (fds[1].revents && read_key(&event))
			return event;
	}
}

void top_screen_show(const char *text)
{
	static const char home[] = "\033[H", end_of_line[] = "\033[K", below[] = "\033[J";

	put(home, strlen(home));
	while (*text) {
		size_t len = strcspn(text, "\n");

		put(text, len);
		put(end_of_line, strlen(end_of_line));
		text += len;
		/* No newline behind the last: it would scroll a full screen. */
		if (*text == '\n' && *++text)
			put("\r\n", 2);
	}
	put(below, strlen(below));
}
