/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transfer: an image between a server and this process, through a socket pair of which the server is
 * given one end. The server never has a file of ours: it need not be allowed to open any, and waits
 * for no disk that it cannot be cut off from.
 *
 * The call is waited for on a thread of its own, while the main one moves the bytes.
 */
#ifndef ZCRAM_CTL_TRANSFER_H
#define ZCRAM_CTL_TRANSFER_H

#include <stdbool.h>
#include <sys/types.h>

#include "ctl/devices.h"
#include "ctl/hold.h"
#include "ctl/progress.h"

struct transfer {
	const char *command;
	struct json_object *arguments; /* borrowed; NULL: none */
	struct hold *hold;	       /* an unused one; told that it goes on */
	struct control_client *client;
	/* For the line of progress: */
	char *what;
	uint64_t total; /* bytes, about */
	struct progress progress;
	uint64_t bytes;
	/* after transfer_run() */
	bool interrupted;	    /* by a signal */
	int error;		    /* of our file: 0, or a negative errno */
	int ret;		    /* of the call, as control_call() */
	struct json_object *result; /* to be put */
	char *message;		    /* to be freed */
};

/*
 * From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT end a transfer and are seen nowhere else, so that
 * what has to be taken back can be; SIGPIPE and SIGXFSZ are errors of the call that they come of. To be
 * called before there is another thread.
 */
void transfer_catch_signals(void);

/* Has one of the signals come? */
bool transfer_is_interrupted(void);

/*
 * Look at DEVICE, which CLIENT is connected to and is the transfer's from then on, and keep it still; what is
 * DOING is shown ("saving"). PLACE: as in hold_begin(). CTL_OK: end the hold, and then, as after an error,
 * transfer_free(). What is wrong is said.
 */
int transfer_begin(struct transfer *transfer, struct ctl_device *device,
		   struct control_client *client, const char *doing, const char *place);

/* Run the call, with FD the file that is written (SAVES) or read. */
void transfer_run(struct transfer *transfer, int fd, bool saves);

void transfer_free(struct transfer *transfer);

#endif
