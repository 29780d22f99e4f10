/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/attach.h"
#include "codec/algorithm.h"
#include "daemon/lifecycle.h"
#include "daemon/mounts.h"
#include "daemon/protect.h"
#include "daemon/report.h"
#include "daemon/zcramd.h"

#define EXIT_USAGE 2

/* The server where there is no other; also what --server= is for it. */
#define NBDKIT "nbdkit"
#ifndef ZCRAM_SERVER_PATH
#define ZCRAM_SERVER_PATH NBDKIT
#endif

static const char usage[] =
	"Usage: zcramd [OPTION...] NAME\n"
	"Serve the device NAME of zcram.conf, such as zcram0, as swap or as a file system, until\n"
	"asked to stop.\n"
	"\n"
	"      --check       read the configuration, print what would be done, and exit\n"
	"      --root=DIR    read the configuration below DIR\n"
	"      --server=PATH the server: zcram-server, or nbdkit, which has no successor when it\n"
	"                    dies (default: " ZCRAM_SERVER_PATH ")\n"
	"      --plugin=NAME the plugin for nbdkit to load, a name or path (default: zcram)\n"
	"  -h, --help        print this and exit\n"
	"  -V, --version     print the version and exit\n"
	"\n"
	"See zcramd(8).\n";

struct arguments {
	const char *name, *root, *server, *plugin;
	bool check;
};

__attribute__((noreturn)) static void fail_usage(const char *text, const char *subject)
{
	fprintf(stderr, "zcramd: %s%s: see zcramd --help\n", subject, text);
	exit(EXIT_USAGE);
}

static struct arguments parse_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{"check", no_argument, NULL, 'c'},
		{"root", required_argument, NULL, 'r'},
		{"server", required_argument, NULL, 's'},
		{"plugin", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	struct arguments arguments = {.server = ZCRAM_SERVER_PATH, .plugin = "zcram"};
	int option;

	while ((option = getopt_long(argc, argv, "hV", options, NULL)) >= 0) {
		switch (option) {
		case 'c':
			arguments.check = true;
			break;
		case 'r':
			arguments.root = optarg;
			break;
		case 's':
			arguments.server = optarg;
			break;
		case 'p':
			arguments.plugin = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(EXIT_SUCCESS);
		case 'V':
			puts("zcramd " ZCRAM_VERSION);
			exit(EXIT_SUCCESS);
		default:
			/* getopt has said what is wrong. */
			exit(EXIT_USAGE);
		}
	}
	if (argc - optind != 1)
		fail_usage(argc > optind ? "give one NAME" : "give the NAME of a device", "");
	arguments.name = argv[optind];
	if (!conf_is_name(arguments.name))
		fail_usage(": not the name of a device: give zcram0, zcram1, ...", arguments.name);
	return arguments;
}

static void say_no_section(const struct conf *conf, const char *name)
{
	char list[512] = "";
	size_t len = 0;

	if (conf_count(conf) == 0) {
		report(LOG_ERR,
		       "there is no section [%s]: the configuration has none at all: see "
		       "zcram.conf(5)",
		       name);
		return;
	}
	for (size_t i = 0; i < conf_count(conf) && len < sizeof(list); i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s[%s]", i > 0 ? ", " : "",
					conf_at(conf, i)->name);
	report(LOG_ERR, "there is no section [%s] in the configuration: it has %s", name, list);
}

/* Read the configuration, and work out the names of things. */
static int prepare(struct zcramd *z, const struct arguments *arguments)
{
	char *why = NULL;
	int r;

	*z = (struct zcramd){
		.root = arguments->root,
		.server_path = arguments->server,
		.plugin = arguments->plugin,
		.looped = strcmp(arguments->server, NBDKIT) != 0,
		.server = &z->servers[0],
		.index = -1,
	};
	r = conf_host_get(NULL, &z->host);
	if (r < 0) {
		report(LOG_ERR, "/proc/meminfo: %s", strerror(-r));
		return r;
	}
	z->host.check_algorithm = codec_algorithm_check;
	r = conf_load(z->root, &z->host, &z->conf, &why);
	if (r == 0)
		r = rundir_init(&z->rundir, arguments->name, &why);
	if (r < 0) {
		report_lines(LOG_ERR, why);
		free(why);
		return r;
	}
	z->device = conf_find(z->conf, arguments->name);
	if (z->device == NULL) {
		say_no_section(z->conf, arguments->name);
		return -ENOENT;
	}
	snprintf(z->identifier, sizeof(z->identifier), ATTACH_PREFIX "%s", z->device->name);
	return 0;
}

/* May another zcramd go on from here? Nothing is under way that only we know of. */
static bool may_leave(const struct zcramd *z)
{
	return z->loop.leaves > 0 && z->loop.stops == 0 && z->server->serves &&
	       z->server->child.running;
}

/* True: it is to be left as it is; false: it is to end. */
static bool serve(struct zcramd *z)
{
	report_step(NULL);
	report(LOG_NOTICE, "%s is %s%s", z->path, z->device->swap ? "swap" : "a file system",
	       z->device->mount_point ? ", mounted" : "");
	if (z->device->swap)
		protect_advise(NULL);
	/* Who waits for this may ask for an upgrade at once. */
	upgrade_look(z);
	report_notify("READY=1\nSTATUS=%s is served as %s", z->device->name, z->path);
	renew_look(z);
	while (z->loop.stops == 0 && !z->lost && !z->revive.failing) {
		if (may_leave(z))
			return true;
		loop_turn(&z->loop, UINT64_MAX);
		upgrade_look(z);
		renew_look(z);
		if (z->loop.reloads > 0 && !z->lost && z->server->serves) {
			z->loop.reloads = 0;
			zcramd_reload(z);
		}
	}
	return false;
}

/* The device's whole life. A negative errno: it was not what it should be. */
static int live(struct zcramd *z)
{
	struct steps steps = lifecycle(z);
	const char *failed;
	char *why;
	int r;

	r = steps_start(&steps, &failed, &why);
	if (r == -ECANCELED && z->loop.stops > 0) {
		free(why);
		report(LOG_NOTICE, "stopped while starting");
		return 0;
	}
	if (r < 0) {
		report_step(failed);
		report(LOG_ERR, "%s: %s", failed, why ? why : strerror(-r));
		report_status("Failed: %s: %s", failed, why ? why : strerror(-r));
		free(why);
		return r;
	}
	if (serve(z)) {
		report(LOG_NOTICE, "%s and its server, pid %d, are left to the next zcramd",
		       z->path, (int)z->server->child.pid);
		return 0;
	}
	report_notify("STOPPING=1");
	upgrade_stop(z);
	r = steps_stop(&steps);
	report_step(NULL);
	if (z->lost || z->revive.failing)
		return -EIO;
	if (r == 0)
		report(LOG_NOTICE, "stopped");
	return r;
}

static int run(struct zcramd *z)
{
	int r;

	if (!z->device->applies) {
		report(LOG_NOTICE, "not needed here: %s", z->device->why_not);
		report_notify("READY=1\nSTATUS=Not needed here: %s", z->device->why_not);
		return 0;
	}
	if (geteuid() != 0) {
		report(LOG_ERR, "not root: attaching a device takes root");
		return -EPERM;
	}
	mounts_kept();
	protect_self(z->device->swap);
	r = loop_open(&z->loop);
	if (r < 0) {
		report(LOG_ERR, "no event loop: %s", strerror(-r));
		return r;
	}
	r = live(z);
	loop_close(&z->loop);
	return r;
}

int main(int argc, char **argv)
{
	struct arguments arguments = parse_arguments(argc, argv);
	struct zcramd z;
	int r;

	report_device(arguments.name);
	r = prepare(&z, &arguments);
	if (r == 0)
		r = arguments.check ? zcramd_print_plan(&z) : run(&z);
	conf_free(z.reloaded);
	conf_free(z.conf);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
