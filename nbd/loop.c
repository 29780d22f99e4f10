/* SPDX-License-Identifier: BSD-3-Clause */
#include "nbd/loop.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/os.h"
#include "common/util.h"
#include "nbd/internal.h"

/* Requests that the loop's thread executes before it looks at the socket again. */
#define INLINE_TURN 8

/* The keeper's. */

size_t nbd_loop_region_size(size_t data)
{
	return sizeof(struct region) + align_up(data, REGION_PAGE);
}

unsigned int nbd_loop_writes(size_t data)
{
	uint64_t pages = min_u64(div_round_up(data, REGION_PAGE), REGION_PAGES_MAX);

	return region_own_pages((uint32_t)pages) / REGION_RUN;
}

int nbd_loop_prepare(void *region, size_t size, int *ret_ring)
{
	struct io_uring_params params;
	int r;

	if (size <= sizeof(struct region) || size % REGION_PAGE != 0 ||
	    (size - sizeof(struct region)) / REGION_PAGE > REGION_PAGES_MAX)
		return -EINVAL;
	r = ring_new(ret_ring, &params);
	if (r == 0)
		region_init(region, size, &params);
	return r;
}

void nbd_loop_get_stats(const void *opaque, struct nbd_loop_stats *ret)
{
	const struct region *region = opaque;

	*ret = (struct nbd_loop_stats){
		.requests = load_relaxed(&region->requests),
		.takeovers = load_relaxed(&region->takeovers),
		.repeated = load_relaxed(&region->repeated),
		.stalls = load_relaxed(&region->stalls),
		.longest_gap_ns = load_relaxed(&region->longest_gap_ns),
	};
}

/* Making one. */

/* Twice: before anything in it is followed, and after the ring has said what it knows more. */
static int open_region(struct nbd_loop *loop, const char **ret_why)
{
	const struct nbd_loop_options *o = &loop->options;
	int r = region_validate(loop->region, o->region_size, ret_why);

	if (r < 0)
		return r;
	r = ring_open(&loop->ring, o->ring, loop->region);
	if (r < 0) {
		*ret_why = "its ring is not the one that belongs to it, or in use";
		return r;
	}
	r = region_validate(loop->region, o->region_size, ret_why);
	if (r < 0)
		ring_close(&loop->ring);
	return r;
}

unsigned int nbd_loop_default_workers(void)
{
	return os_cpus() + 1;
}

static int start(struct nbd_loop *loop, const char **ret_why)
{
	unsigned int workers = loop->options.workers;
	int r;

	loop->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->event < 0)
		return -errno;
	r = work_new(loop, workers ? workers : nbd_loop_default_workers(), &loop->work);
	if (r == 0)
		r = loop_recover(loop, ret_why);
	if (r < 0) {
		work_free(loop->work);
		close(loop->event);
	}
	return r;
}

int nbd_loop_new(const struct nbd_loop_options *options, struct nbd_loop **ret_loop,
		 const char **ret_why)
{
	struct nbd_loop *loop;
	int r;

	*ret_why = NULL;
	if (options->workers > NBD_WORKERS_MAX)
		return -EINVAL;
	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	os_prefault(loop, sizeof(*loop));
	loop->options = *options;
	loop->region = options->region;
	r = open_region(loop, ret_why);
	if (r == 0) {
		r = start(loop, ret_why);
		if (r < 0)
			ring_close(&loop->ring);
	}
	if (r < 0) {
		free(loop);
		return r;
	}
	*ret_loop = loop;
	return 0;
}

void nbd_loop_free(struct nbd_loop *loop)
{
	if (!loop)
		return;
	work_free(loop->work);
	ring_close(&loop->ring);
	close(loop->event);
	free(loop);
}

/* Running. */

void nbd_loop_stop(struct nbd_loop *loop)
{
	uint64_t one = 1;
	int saved = errno;

	__atomic_store_n(&loop->stop, 1, __ATOMIC_SEQ_CST);
	/* Fails only when it is signalled already, over and over. */
	if (write(loop->event, &one, sizeof(one)) < 0)
		errno = saved;
}

static bool is_stopping(const struct nbd_loop *loop)
{
	return __atomic_load_n(&loop->stop, __ATOMIC_SEQ_CST) != 0;
}

static bool may_receive(const struct nbd_loop *loop)
{
	return !loop->stalled && loop->region->end == REGION_OPEN && !is_stopping(loop);
}

static bool is_refused(const struct nbd_loop *loop, const struct region_entry *entry)
{
	return loop->options.refusal_pace_ms > 0 && entry_is_write(entry) &&
	       entry->reply.error == htobe32(PROTO_ENOSPC);
}

static uint64_t pace(const struct nbd_loop *loop)
{
	return loop->options.refusal_pace_ms * NS_PER_MS;
}

/* An entry is done: queue its reply, or, when it is a refusal, have it wait for its turn. */
static void answer(struct nbd_loop *loop, unsigned int index)
{
	struct region_entry *entry = &loop->region->entry[index];

	if (!is_refused(loop, entry)) {
		reply_queue(loop, index);
		return;
	}
	reply_drop_data(loop, entry);
	if (fifo_is_empty(&loop->refused))
		loop->answer_at = os_now() + pace(loop);
	fifo_put(&loop->refused, index);
}

/* Queue the refusals whose turn it is; all of them, when there is nobody left to be slowed. */
static void answer_refused(struct nbd_loop *loop)
{
	bool all = is_stopping(loop) || loop->region->end != REGION_OPEN;

	while (!fifo_is_empty(&loop->refused) && (all || os_now() >= loop->answer_at)) {
		reply_queue(loop, fifo_get(&loop->refused));
		loop->answer_at += pace(loop);
	}
}

/* Milliseconds until it is the next one's turn; -1: there is none. */
static int until_refusal(const struct nbd_loop *loop)
{
	uint64_t now = os_now();

	if (fifo_is_empty(&loop->refused))
		return -1;
	return now < loop->answer_at ? (int)div_round_up(loop->answer_at - now, NS_PER_MS) : 0;
}

/* Queue the replies of what is done. */
static void collect(struct nbd_loop *loop)
{
	struct fifo done = {0};

	if (loop->working == 0)
		return;
	work_collect(loop->work, &done);
	while (!fifo_is_empty(&done)) {
		answer(loop, fifo_get(&done));
		loop->working--;
	}
}

/* Have done what waits, a part of it here. True: there may be more of that. */
static bool work_inline(struct nbd_loop *loop)
{
	unsigned int index, n;

	if (loop->working == 0)
		return false;
	work_wake(loop->work, INLINE_TURN);
	for (n = 0; n < INLINE_TURN && work_take_short(loop->work, &index); n++) {
		request_execute(loop, &loop->region->entry[index]);
		answer(loop, index);
		loop->working--;
	}
	return n == INLINE_TURN;
}

/* The kernel's, for a moment: also for an operation of the ring, not only for what it sends. */
static bool lacks_memory(int error)
{
	return error == -ENOBUFS || error == -ENOMEM;
}

/* Is it one after which the same may be tried again? */
static bool is_passing(int error)
{
	return error == 0 || error == -EAGAIN || error == -EINTR || lacks_memory(error);
}

/* What happened to the streams; 0, or why it cannot go on. */
static int judge(struct nbd_loop *loop, const struct ring_outcome *out, size_t asked)
{
	loop->cannot_send = out->send_error != 0;
	loop->is_gone = out->send_error == -EPIPE || out->send_error == -ECONNRESET;
	if (out->end || loop->is_gone || out->receive_error == -ECONNRESET) {
		__atomic_store_n(&loop->region->end, REGION_CLOSED, __ATOMIC_RELEASE);
		return 0;
	}
	/* Less than there was room for: there is no more. */
	if (asked > 0)
		loop->is_drained = out->received < asked;
	if (lacks_memory(out->send_error) || lacks_memory(out->receive_error))
		poll(NULL, 0, 1);
	if (!is_passing(out->send_error))
		return out->send_error;
	return is_passing(out->receive_error) ? 0 : out->receive_error;
}

/* Send what can be sent, receive what there is room for. */
static int exchange(struct nbd_loop *loop, bool send, bool receive)
{
	struct iovec out[REPLY_PARTS], in[3];
	struct msghdr output = {.msg_iov = out}, input = {.msg_iov = in};
	struct ring_outcome outcome;
	size_t asked = 0;
	int r;

	if (send)
		output.msg_iovlen = replies_parts(loop, out);
	if (receive)
		input.msg_iovlen = requests_room(loop, in);
	for (size_t i = 0; i < input.msg_iovlen; i++)
		asked += in[i].iov_len;
	r = ring_exchange(&loop->ring, loop->region, loop->options.socket,
			  output.msg_iovlen > 0 ? &output : NULL, asked > 0 ? &input : NULL,
			  &outcome);
	store_relaxed(&loop->region->alive_ns, os_now());
	if (r == 0)
		r = judge(loop, &outcome, asked);
	replies_retire(loop);
	return r;
}

/* Sleep until there is something to do. */
static int sleep_until(struct nbd_loop *loop, bool replies)
{
	struct pollfd fds[] = {
		{.fd = loop->event, .events = POLLIN},
		{.fd = loop->options.socket,
		 .events = (short)((may_receive(loop) ? POLLIN : 0) | (replies ? POLLOUT : 0))},
	};
	uint64_t count;

	if (fds[1].events == 0)
		fds[1].fd = -1; /* a hangup would be told for ever */
	if (!work_sleep(loop->work))
		return 0;
	if (poll(fds, 2, until_refusal(loop)) < 0 && errno != EINTR)
		return -errno;
	work_awake(loop->work);
	if ((fds[0].revents & POLLIN) != 0 && read(loop->event, &count, sizeof(count)) < 0 &&
	    errno != EAGAIN && errno != EINTR)
		return -errno;
	loop->cannot_send = loop->cannot_send && (fds[1].revents & ~POLLIN) == 0;
	loop->is_drained = loop->is_drained && (fds[1].revents & ~POLLOUT) == 0;
	return 0;
}

/* Is there nothing left to wait for? */
static bool is_finished(const struct nbd_loop *loop)
{
	bool unsent = loop->queued > loop->region->sent;

	if (loop->working > 0 || !fifo_is_empty(&loop->refused))
		return false;
	if (is_stopping(loop))
		return !unsent || loop->cannot_send;
	return loop->region->end == REGION_CLOSED && (!unsent || loop->is_gone);
}

/* One turn: do what can be done now, else sleep. 0, or why it cannot go on. */
static int turn(struct nbd_loop *loop)
{
	bool more, send, receive;
	int r;

	collect(loop);
	more = work_inline(loop);
	answer_refused(loop);
	if (loop->stalled && loop->has_more_room)
		return requests_parse(loop);
	send = loop->queued > loop->region->sent && !loop->cannot_send;
	receive = may_receive(loop) && (send || !loop->is_drained);
	if (!send && !receive) {
		if (more || is_finished(loop))
			return 0;
		return sleep_until(loop, loop->queued > loop->region->sent && !loop->is_gone);
	}
	r = exchange(loop, send, receive);
	return r < 0 ? r : requests_parse(loop);
}

int nbd_loop_run(struct nbd_loop *loop)
{
	int r;

	store_relaxed(&loop->region->alive_ns, os_now());
	/* The predecessor may have received what it did not parse. */
	r = requests_parse(loop);
	while (r == 0 && !is_finished(loop))
		r = turn(loop);
	if (r < 0) {
		__atomic_store_n(&loop->region->end, REGION_BROKEN, __ATOMIC_RELEASE);
		return r;
	}
	return loop->region->end == REGION_CLOSED ? NBD_LOOP_CLOSED : NBD_LOOP_STOPPED;
}
