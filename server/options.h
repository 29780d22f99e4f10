/* SPDX-License-Identifier: BSD-3-Clause */
/* options: the command line of zcram-server. */
#ifndef ZCRAM_SERVER_OPTIONS_H
#define ZCRAM_SERVER_OPTIONS_H

#include <stdbool.h>

#include "control/server.h"
#include "serve/params.h"

/* As many as the kernel's client has at most. */
#define OPTIONS_CONNECTIONS_MAX 64

struct options {
	const char *pidfile;  /* NULL: none */
	unsigned int threads; /* of each connection that execute requests; 0: as the loop likes */
	bool wait;
	/* By the numbers that were given: open, each once, and of the right kind. */
	struct control_descriptors connections[OPTIONS_CONNECTIONS_MAX];
	unsigned int nr_connections;
};

enum options_result {
	OPTIONS_OK,
	OPTIONS_DONE,  /* --help or --version: all is said */
	OPTIONS_WRONG, /* why, is said in one line (say.h) */
};

/* Read the command line; parameters go to PARAMS. The strings must stay. */
enum options_result options_parse(int argc, char **argv, struct options *ret_options,
				  struct params *params);

#endif
