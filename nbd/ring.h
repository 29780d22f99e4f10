/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring: send and receive so that it is known, whenever the server is killed, how many bytes went.
 *
 * A plain recv() tells only its caller how many bytes it took, and a caller that is killed before
 * it has written that down takes the knowledge with it. An io_uring writes the number into its
 * completion queue, which is the kernel's memory: it lives as long as somebody has the ring's
 * descriptor, and can be read by whoever maps it. So:
 *
 * - Each operation says in its user_data at what position of the stream it begins. Its completion
 *   alone, a position and a count, gives the new position, and noting it twice is no different
 *   from noting it once.
 * - A completion leaves the queue (its head is moved) only after the position has been noted.
 * - Operations never wait (MSG_DONTWAIT): the kernel executes them and posts their completions
 *   inside io_uring_enter(), which a signal does not cut short. When the process is dead there is
 *   nothing that it asked for and that has not been answered; what it queued and the kernel did
 *   not take (the head of the submission queue is the kernel's) never happened. Waiting is done
 *   by poll(), which leaves nothing behind.
 * - The ring has no flags: SINGLE_ISSUER and DEFER_TASKRUN would bind it to one task.
 *
 * One thread at a time may use a ring; a successor only when the predecessor is dead (waitpid() or
 * a pidfd says so for all its threads), or has returned from nbd_loop_run().
 */
#ifndef ZCRAM_RING_H
#define ZCRAM_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <sys/socket.h>

struct region;

/* One sends, one receives; each at most once in the ring. */
#define RING_ENTRIES 4

/* What came of an exchange, beside the positions in the region. */
struct ring_outcome {
	int send_error,
		receive_error; /* 0 or a negative errno; -EAGAIN: the socket is full, empty */
	uint32_t received;     /* bytes */
	bool end;	       /* of the client's stream */
};

/* Make a ring; its parameters are what others need to map it. Close-on-exec. -EPERM, -ENOSYS: there
 * is no io_uring, or not for us; -ENOMEM. Allocates. */
int ring_new(int *ret_fd, struct io_uring_params *ret_params);

/*
 * Map the ring FD, which stays the caller's, and note what the predecessor did not in REGION's
 * positions. -EUCLEAN: what is in the queues is not from this region; -EBUSY: the predecessor is not
 * dead; or the kernel's error. Allocates.
 */
int ring_open(struct io_uring *ring, int fd, struct region *region);
void ring_close(struct io_uring *ring);

/*
 * Send at the position SENT, receive at the position RECEIVED, each unless NULL, and note both. Does
 * not wait; the kernel allocates what a sendmsg() does. Negative: the ring is out of order.
 */
int ring_exchange(struct io_uring *ring, struct region *region, int socket,
		  const struct msghdr *send, struct msghdr *receive,
		  struct ring_outcome *ret_outcome);

#endif
