/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/util.h"
#include "nbd/loop.h"
#include "serve/say.h"

static const char usage[] =
	"usage: zcram-server [--pidfile=FILE] [--threads=N] [--wait]\n"
	"                    --connection=REGION,RING,SOCKET... KEY=VALUE...\n"
	"\n"
	"Serve a compressed RAM disk on connections that were prepared by another program, which\n"
	"keeps them: descriptors of their memory, io_uring and socket.\n"
	"\n"
	"--connection=REGION,RING,SOCKET  Three descriptors; once for each connection.\n"
	"--pidfile=FILE         Write the process id there when about to serve.\n"
	"--threads=N            Threads for each connection that execute requests.\n"
	"--wait                 Take over from another server, when it gives its pool up or ends.\n"
	"--help, --version      Print this, or the version.\n"
	"\n" PARAMS_HELP;

/* Descriptors. */

enum kind { REGION, RING, SOCKET, KINDS };

static const char *const kind_is[KINDS] = {
	[REGION] = "the memory of a connection: give a memfd",
	[RING] = "an io_uring",
	[SOCKET] = "a socket",
};

static bool is_ring(int fd)
{
	static const char text[] = "anon_inode:[io_uring]";
	char path[64], target[sizeof(text)];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	/* Without /proc it will be seen when it is mapped. */
	return n < 0 || ((size_t)n == sizeof(text) - 1 && memcmp(target, text, (size_t)n) == 0);
}

static bool is_of_kind(int fd, enum kind kind)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	switch (kind) {
	case REGION:
		return S_ISREG(st.st_mode) && st.st_size > 0;
	case SOCKET:
		return S_ISSOCK(st.st_mode);
	default:
		return is_ring(fd);
	}
}

static int refuse(const char *text, const char *why)
{
	say_error("--connection=%s: %s", text, why);
	return -1;
}

/* Three numbers and nothing else. */
static int read_numbers(const char *text, int ret_fds[KINDS])
{
	const char *at = text;

	for (int i = 0; i < KINDS; i++) {
		char *end;
		unsigned long n;

		if (*at < '0' || *at > '9')
			return -1;
		errno = 0;
		n = strtoul(at, &end, 10);
		if (errno != 0 || n > INT32_MAX || *end != (i + 1 < KINDS ? ',' : '\0'))
			return -1;
		ret_fds[i] = (int)n;
		at = end + 1;
	}
	return 0;
}

static bool is_given(const struct options *options, int fd)
{
	for (unsigned int i = 0; i < options->nr_connections; i++) {
		const struct control_descriptors *c = &options->connections[i];

		if (c->region == fd || c->ring == fd || c->socket == fd)
			return true;
	}
	return false;
}

/* Each is open, of its kind, and there once. */
static int check_descriptors(const struct options *options, const char *text, const int fds[KINDS])
{
	for (int i = 0; i < KINDS; i++) {
		bool again = is_given(options, fds[i]);

		for (int j = 0; j < i; j++)
			again |= fds[j] == fds[i];
		if (fds[i] <= STDERR_FILENO || again) {
			say_error("--connection=%s: %d is %s", text, fds[i],
				  again ? "given twice" : "a standard stream");
			return -1;
		}
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0) {
			say_error("--connection=%s: %d is not an open descriptor", text, fds[i]);
			return -1;
		}
		if (!is_of_kind(fds[i], (enum kind)i)) {
			say_error("--connection=%s: %d is not %s", text, fds[i], kind_is[i]);
			return -1;
		}
	}
	return 0;
}

static int add_connection(struct options *options, const char *text)
{
	int fds[KINDS];

	if (read_numbers(text, fds) < 0)
		return refuse(text, "not three descriptors: give REGION,RING,SOCKET");
	if (options->nr_connections == OPTIONS_CONNECTIONS_MAX)
		return refuse(text, "too many: give at most 64");
	if (check_descriptors(options, text, fds) < 0)
		return -1;
	options->connections[options->nr_connections++] = (struct control_descriptors){
		.region = fds[REGION],
		.ring = fds[RING],
		.socket = fds[SOCKET],
	};
	return 0;
}

static int set_threads(struct options *options, const char *text)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || n < 1 ||
	    n > NBD_WORKERS_MAX) {
		say_error("--threads=%s: not a number of threads: give 1 to %d", text,
			  NBD_WORKERS_MAX);
		return -1;
	}
	options->threads = (unsigned int)n;
	return 0;
}

/* Parameters. */

static int add_parameter(struct params *params, char *text)
{
	char *equals = strchr(text, '=');

	if (equals == NULL || equals == text) {
		say_error("%s: not a parameter: give KEY=VALUE", text);
		return -1;
	}
	*equals = '\0';
	return params_set(params, text, equals + 1);
}

static int complete(const struct options *options, struct params *params)
{
	if (options->nr_connections == 0) {
		say_error("--connection: missing: give --connection=REGION,RING,SOCKET");
		return -1;
	}
	if (options->wait && params->pool == NULL) {
		say_error("--wait: there is no pool to wait for: give pool=NAME too");
		return -1;
	}
	return params_complete(params);
}

enum { CONNECTION = 1, PIDFILE, THREADS, WAIT, HELP, VERSION };

static const struct option long_options[] = {
	{"connection", required_argument, NULL, CONNECTION},
	{"pidfile", required_argument, NULL, PIDFILE},
	{"threads", required_argument, NULL, THREADS},
	{"wait", no_argument, NULL, WAIT},
	{"help", no_argument, NULL, HELP},
	{"version", no_argument, NULL, VERSION},
	{0},
};

static enum options_result take(int option, const char *given, struct options *options)
{
	switch (option) {
	case CONNECTION:
		return add_connection(options, optarg) < 0 ? OPTIONS_WRONG : OPTIONS_OK;
	case PIDFILE:
		options->pidfile = optarg;
		return OPTIONS_OK;
	case THREADS:
		return set_threads(options, optarg) < 0 ? OPTIONS_WRONG : OPTIONS_OK;
	case WAIT:
		options->wait = true;
		return OPTIONS_OK;
	case HELP:
		fputs(usage, stdout);
		return OPTIONS_DONE;
	case VERSION:
		puts("zcram-server " ZCRAM_VERSION);
		return OPTIONS_DONE;
	case ':':
		say_error("%s: it takes a value", given);
		return OPTIONS_WRONG;
	default:
		say_error("%s: not an option: give --connection, --pidfile, --threads, --wait, "
			  "--help "
			  "or --version",
			  given);
		return OPTIONS_WRONG;
	}
}

enum options_result options_parse(int argc, char **argv, struct options *ret_options,
				  struct params *params)
{
	enum options_result result = OPTIONS_OK;
	char letter[] = "-?";
	int option;

	*ret_options = (struct options){0};
	/* A colon: what is wrong is told, and not printed. */
	while (result == OPTIONS_OK &&
	       (option = getopt_long(argc, argv, ":", long_options, NULL)) >= 0) {
		/* A letter that is none may be followed by others. */
		if (option == '?' && optopt >= ' ') {
			letter[1] = (char)optopt;
			result = take(option, letter, ret_options);
		} else {
			result = take(option, argv[optind - 1], ret_options);
		}
	}
	if (result != OPTIONS_OK)
		return result;
	for (int i = optind; i < argc; i++)
		if (add_parameter(params, argv[i]) < 0)
			return OPTIONS_WRONG;
	return complete(ret_options, params) < 0 ? OPTIONS_WRONG : OPTIONS_OK;
}
