/* SPDX-License-Identifier: BSD-3-Clause */
/* purge: remove pools whose server is gone, and with them what was stored. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/pools.h"
#include "ctl/size.h"

static const struct ctl_option options[] = {
	{'a', "all", NULL, "all pools that have no server"},
	{'y', "yes", NULL, "do not ask"},
	{0},
};

static const char *why(int error)
{
	switch (error) {
	case -EINVAL:
		return "not a pool's name: give 1 to 47 letters, digits, dots, dashes or "
		       "underscores";
	case -ENOENT:
		return "there is no such pool";
	case -EBUSY:
		return "a server is running on it: end that first";
	case -EACCES:
	case -EPERM:
		return "permission denied: run as root";
	case -EADDRINUSE:
		return "there is no such pool: its key is another's";
	default:
		return strerror(-error);
	}
}

/* "Remove zcram0, 12.3M? [y/N] ": what does not begin with a y is no. */
static bool is_wanted(const struct ctl_pool *pool)
{
	char size[CTL_SIZE_TEXT], answer[16];

	printf("%s: %s of memory: what is stored there is lost. Remove it? [y/N] ", pool->name,
	       ctl_size_human(pool->memory, size));
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

/* A server that is started meanwhile has the claim, or finds no pool. */
static int purge(const char *name)
{
	struct segment segment;
	int ret = segment_claim(name, 0, &segment);
	bool made;

	if (ret == 0) {
		ret = segment_attach(&segment, 0, &made);
		if (ret == 0)
			ret = segment_remove(&segment);
		else
			segment_close(&segment);
	}
	if (ret == 0)
		return CTL_OK;
	ctl_complain("%s: %s", name, why(ret));
	return CTL_FAILURE;
}

static const struct ctl_pool *find(const struct ctl_pool *pools, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(pools[i].name, name) == 0)
			return &pools[i];
	return NULL;
}

/* Each of NAMES, or all POOLS where there are none, if it is wanted. */
static int purge_all(const struct ctl_pool *pools, size_t count, char *const *names,
		     size_t nr_names, bool ask)
{
	size_t n = nr_names > 0 ? nr_names : count;
	int status = CTL_OK;

	for (size_t i = 0; i < n; i++) {
		const char *name = nr_names > 0 ? names[i] : pools[i].name;
		const struct ctl_pool *pool = find(pools, count, name);

		/* One that cannot be asked about is refused all the same. */
		if (ask && pool && !is_wanted(pool))
			continue;
		if (purge(name) != CTL_OK)
			status = CTL_FAILURE;
	}
	return status;
}

static int run(struct ctl_args *args)
{
	struct ctl_pool *pools;
	bool all = false, yes = false;
	size_t count;
	int opt, status;

	while ((opt = ctl_next_option(args)) > 0) {
		all = all || opt == 'a';
		yes = yes || opt == 'y';
	}
	if (opt < 0)
		return args->status;
	if (all == (args->count > 0))
		return ctl_misused("purge: give the names of pools, or --all");
	if (!yes && !isatty(STDIN_FILENO))
		return ctl_misused("purge: nobody can be asked: give --yes");
	status = ctl_pools_find(&pools, &count);
	if (status != CTL_OK)
		return status;
	status = purge_all(pools, count, args->operands, args->count, !yes);
	free(pools);
	return status;
}

const struct ctl_command ctl_purge = {
	.name = "purge",
	.operands = "POOL...",
	.summary = "remove pools that have no server, and what is stored there",
	.options = options,
	.run = run,
};
