/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * renew: what is done when one of several connections dies, and the others go on.
 *
 * A successor may refuse one that its predecessor has left damaged, a server may find one broken, and the
 * kernel may cut one off whose answers take too long. Whoever gives it up shuts its socket down, which is
 * seen here. The kernel sends what is new on the others from then on, and again on these, when their
 * time is over, the requests that were under way on the dead one: nothing of a connection that was given
 * up is executed any more when the server that had it has ended.
 *
 * It is begun anew alone: the kernel gets another in its place, and the server is followed by one that
 * has that too (successor.h), for a ring cannot be given to a server that runs. Requests on the others wait no
 * longer than for any upgrade. Should no server come up, the new one is shut down again, and all of it is
 * tried once more after a while. Of a connection that is the only one, or of all of them, the server
 * ends by itself, and that is seen to in revive.h.
 */
#ifndef ZCRAM_DAEMON_RENEW_H
#define ZCRAM_DAEMON_RENEW_H

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "config/conf.h"

struct zcramd;

struct renew {
	sd_event_source *watches[CONF_MAX_CONNECTIONS]; /* of the connections' sockets */
	sd_event_source *timer; /* until the next try; NULL: there was none */
	bool due;		/* one may be dead */
	uint64_t next;		/* loop_now(), before which it is not tried again */
};

/* Watch z->connections, instead of those before. A negative errno: some are not watched. */
int renew_watch(struct zcramd *z);

/* No more: before they are closed. */
void renew_forget(struct zcramd *z);

/* In use as it should be, and after each event: begin anew those that are dead, if a server serves. */
void renew_look(struct zcramd *z);

#endif
