/* SPDX-License-Identifier: BSD-3-Clause */
/* order: what is done with the pages of a device that operands KEY=VALUE choose, in the words of the kernel's zram. */
#ifndef ZCRAM_CTL_ORDER_H
#define ZCRAM_CTL_ORDER_H

#include <json-c/json.h>
#include <stddef.h>

#include "ctl/ctl.h"
#include "ctl/devices.h"

enum ctl_key_type {
	CTL_KEY_TEXT,
	CTL_KEY_NUMBER,
	CTL_KEY_PAGE,  /* N; may be given several times, also with the next one */
	CTL_KEY_PAGES, /* N-M */
};

struct ctl_key {
	const char *key;    /* zram's */
	const char *member; /* of the request's arguments */
	enum ctl_key_type type;
};

struct ctl_order {
	const char *command; /* here, and in the request */
	const char *give;    /* "give KEY=, ...": what is allowed */
	const struct ctl_key *keys;
	size_t keys_count;
	int (*report)(const struct ctl_device *device, const struct json_object *result);
};

/* The command line "DEVICE [KEY=VALUE...]", however long it takes. What fails is said. Blocks. The exit status. */
int ctl_order_run(const struct ctl_order *order, struct ctl_args *args);

#endif
