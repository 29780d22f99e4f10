/* SPDX-License-Identifier: BSD-3-Clause */
/* fixture: for each unit test of the loop a connection that is served, as its state. */
#ifndef ZCRAM_TESTS_NBD_FIXTURE_H
#define ZCRAM_TESTS_NBD_FIXTURE_H

#include <stdlib.h>

#include "tests/nbd-loop/served.h"

#define SIZE (1u << 20)
#define DATA (256u << 10)

static int setup(void **state)
{
	struct served *s = malloc(sizeof(*s));

	served_init(s, SIZE, DATA);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	served_fini(*state);
	free(*state);
	return 0;
}

#endif
