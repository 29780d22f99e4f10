/* SPDX-License-Identifier: BSD-3-Clause */
#include "nbd/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/util.h"
#include "nbd/region.h"

/* user_data: which way, and the position. */
#define WAY_SHIFT     62
#define POSITION_MASK ((UINT64_C(1) << WAY_SHIFT) - 1)

enum way { WAY_RECEIVE = 1, WAY_SEND = 2 };

int ring_new(int *ret_fd, struct io_uring_params *ret_params)
{
	struct io_uring ring;
	int r, fd;

	*ret_params = (struct io_uring_params){0};
	r = io_uring_queue_init_params(RING_ENTRIES, &ring, ret_params);
	if (r < 0)
		return r;
	/* liburing closes its own with the mapping. */
	fd = fcntl(ring.ring_fd, F_DUPFD_CLOEXEC, 0);
	r = fd < 0 ? -errno : 0;
	io_uring_queue_exit(&ring);
	*ret_fd = fd;
	return r;
}

/* The new position, for one that has been noted already the same; -EUCLEAN: it cannot be. */
static int note(uint64_t *position, uint64_t from, int32_t count)
{
	uint64_t now = *position;

	if (now != from && now != from + (uint64_t)count)
		return -EUCLEAN;
	__atomic_store_n(position, from + (uint64_t)count, __ATOMIC_RELEASE);
	return 0;
}

static int complete(struct region *region, const struct io_uring_cqe *cqe, struct ring_outcome *out)
{
	uint64_t from = cqe->user_data & POSITION_MASK;

	switch (cqe->user_data >> WAY_SHIFT) {
	case WAY_RECEIVE:
		if (cqe->res < 0) {
			out->receive_error = cqe->res;
			return 0;
		}
		out->received = (uint32_t)cqe->res;
		out->end = cqe->res == 0;
		return note(&region->received, from, cqe->res);
	case WAY_SEND:
		if (cqe->res < 0) {
			out->send_error = cqe->res;
			return 0;
		}
		return note(&region->sent, from, cqe->res);
	default:
		return -EUCLEAN;
	}
}

/* Note all completions. Each leaves the queue after that: the store to the head releases. */
static int complete_all(struct io_uring *ring, struct region *region, struct ring_outcome *out)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;
	int r = 0;

	io_uring_for_each_cqe(ring, head, cqe)
	{
		r = complete(region, cqe, out);
		if (r < 0)
			break;
		n++;
	}
	io_uring_cq_advance(ring, n);
	return r;
}

/* Each operation that the kernel has taken is completed once: so many are not. */
static unsigned int under_way(const struct io_uring *ring)
{
	return __atomic_load_n(ring->sq.khead, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE);
}

int ring_open(struct io_uring *ring, int fd, struct region *region)
{
	struct io_uring_params params;
	struct ring_outcome ignored = {0};
	unsigned int head;
	int r, own;

	region_get_params(region, &params);
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	r = io_uring_queue_mmap(own, &params, ring);
	if (r < 0) {
		close(own);
		return r;
	}
	if (*ring->sq.kring_mask != RING_ENTRIES - 1 ||
	    *ring->cq.kring_mask != 2 * RING_ENTRIES - 1)
		r = -EUCLEAN; /* the words are not where the region says */
	else if (under_way(ring) != 0)
		r = -EBUSY;
	else
		r = complete_all(ring, region, &ignored);
	if (r < 0) {
		ring_close(ring);
		return r;
	}
	/* Forget what was queued and not taken, and begin where the kernel stands. */
	head = *ring->sq.khead;
	__atomic_store_n(ring->sq.ktail, head, __ATOMIC_RELEASE);
	ring->sq.sqe_head = ring->sq.sqe_tail = head;
	return 0;
}

void ring_close(struct io_uring *ring)
{
	io_uring_queue_exit(ring);
}

/* Have the kernel take what is queued. It lacks memory now and then, for a moment. */
static int submit(struct io_uring *ring)
{
	for (;;) {
		int r = io_uring_submit(ring);

		if (r < 0 && r != -EAGAIN && r != -EINTR && r != -ENOMEM)
			return r;
		if (__atomic_load_n(ring->sq.khead, __ATOMIC_ACQUIRE) == *ring->sq.ktail)
			return under_way(ring) == 0 ? 0 : -EUCLEAN;
		if (r < 0 && r != -EINTR)
			poll(NULL, 0, 1);
	}
}

int ring_exchange(struct io_uring *ring, struct region *region, int socket,
		  const struct msghdr *send, struct msghdr *receive, struct ring_outcome *ret)
{
	struct io_uring_sqe *sqe;
	int r;

	*ret = (struct ring_outcome){0};
	if (send) {
		sqe = io_uring_get_sqe(ring);
		if (!sqe)
			return -EUCLEAN;
		io_uring_prep_sendmsg(sqe, socket, send, MSG_DONTWAIT | MSG_NOSIGNAL);
		sqe->user_data = (uint64_t)WAY_SEND << WAY_SHIFT | region->sent;
	}
	if (receive) {
		sqe = io_uring_get_sqe(ring);
		if (!sqe)
			return -EUCLEAN;
		io_uring_prep_recvmsg(sqe, socket, receive, MSG_DONTWAIT);
		sqe->user_data = (uint64_t)WAY_RECEIVE << WAY_SHIFT | region->received;
	}
	r = submit(ring);
	return r < 0 ? r : complete_all(ring, region, ret);
}
