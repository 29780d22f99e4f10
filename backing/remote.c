/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine on an export of an NBD server, by libnbd's asynchronous calls. One thread has the
 * handle, and nobody else ever sees it.
 *
 * An export may be gone and come back: requests that were under way are sent again then, which does
 * no harm: each names its place, and nothing else is written there until it has been answered. Who
 * waits longer than patience allows gets -ETIMEDOUT, whether the server is gone or only silent.
 * Before anything is sent again, the header is read: a server may have come back with other content
 * (identify).
 *
 * libnbd allocates for each request, and for each connection.
 */
#include <dlfcn.h>
#include <errno.h>
#include <libnbd.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backing/engine.h"
#include "backing/list.h"
#include "common/os.h"
#include "common/threads.h"
#include "common/util.h"

#define RETRY_MIN_MS	 50
#define RETRY_MAX_MS	 2000
#define CONNECT_MS	 10000 /* until it is up, or tried again */
#define REMOTE_BLOCK_MIN 512

/* What is called of libnbd. */
#define EACH_FUNCTION(x)                                                                           \
	x(nbd_aio_connect_uri) x(nbd_aio_disconnect) x(nbd_aio_flush) x(nbd_aio_get_direction)     \
		x(nbd_aio_get_fd) x(nbd_aio_is_closed) x(nbd_aio_is_dead) x(nbd_aio_is_ready)      \
			x(nbd_aio_notify_read) x(nbd_aio_notify_write) x(nbd_aio_pread)            \
				x(nbd_aio_pwrite) x(nbd_can_flush) x(nbd_close) x(nbd_connect_uri) \
					x(nbd_create) x(nbd_get_block_size) x(nbd_get_errno)       \
						x(nbd_get_error) x(nbd_get_size)                   \
							x(nbd_is_read_only)                        \
								x(nbd_set_uri_allow_local_file)

static struct {
#define DECLARE(name) __typeof__(name) *name;
	EACH_FUNCTION(DECLARE)
} lib;

enum stage {
	STAGE_ABSENT,	  /* no handle; the next attempt is at retry_at */
	STAGE_CONNECTING, /* there is one */
	STAGE_CHECKING,	  /* it is connected; the header is being read */
	STAGE_UP,
	STAGE_OVER /* no handle, and never again: all requests fail with over_error */
};

struct remote_engine {
	struct engine engine;
	pthread_mutex_t lock; /* the engine lock of backing.h */
	/* lock protects these */
	struct io_list arrived;
	bool stop, cancel;

	uint32_t link;	      /* enum engine_link; atomic */
	uint64_t reconnects;  /* atomic */
	const void *identity; /* of engine_identify(); atomic */
	/* constant */
	int event; /* eventfd: look at what the lock protects */
	char *uri;
	uint64_t patience; /* ns */
	void (*begin_thread)(void *opaque);
	void *opaque;
	pthread_t thread;
	/* the thread's own */
	struct nbd_handle *nbd;
	enum stage stage;
	struct io_list waiting, under_way;
	uint64_t retry_at, checked_by; /* ns */
	unsigned int backoff;	       /* ms */
	int check_error;	       /* -EINPROGRESS: the header has not come yet */
	int over_error;
	char check[ENGINE_BLOCK_MAX];
};

/*
 * Only who has an export needs libnbd, and all that it needs: some 3 MiB of memory. Loaded once, and
 * kept.
 */
static int load_once(char *why)
{
	static void *loaded;
	void *opened;

	if (loaded)
		return 0;
	opened = dlopen("libnbd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!opened)
		return engine_why(why, -EOPNOTSUPP, "NBD exports need libnbd: %s", dlerror());
#define FIND(name)                                                                       \
	lib.name = (__typeof__(lib.name))dlsym(opened, #name);                           \
	if (!lib.name) {                                                                 \
		engine_why(why, -EOPNOTSUPP, "NBD exports need a newer libnbd: " #name); \
		dlclose(opened);                                                         \
		return -EOPNOTSUPP;                                                      \
	}
	EACH_FUNCTION(FIND)
	loaded = opened;
	return 0;
}

static int load(char *why)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int r;

	pthread_mutex_lock(&lock);
	r = load_once(why);
	pthread_mutex_unlock(&lock);
	return r;
}

static struct remote_engine *remote_of(struct engine *engine)
{
	return (struct remote_engine *)(void *)engine;
}

static struct nbd_handle *handle_new(void)
{
	struct nbd_handle *nbd = lib.nbd_create();

	/* An URI may name a file with keys. */
	if (nbd)
		lib.nbd_set_uri_allow_local_file(nbd, true);
	return nbd;
}

static void handle_drop(struct remote_engine *e)
{
	lib.nbd_close(e->nbd);
	e->nbd = NULL;
}

/* The connection is no good: all that was sent is to be sent again. */
static void disconnected(struct remote_engine *e)
{
	struct io_list again = {0};

	store_relaxed(&e->link, ENGINE_GONE);
	handle_drop(e);
	io_list_move(&again, &e->under_way);
	io_list_move(&again, &e->waiting);
	e->waiting = again;
	e->backoff = e->backoff == 0 ? RETRY_MIN_MS
				     : (unsigned int)min_u64(e->backoff * 2U, RETRY_MAX_MS);
	e->retry_at = os_now() + e->backoff * NS_PER_MS;
	e->stage = STAGE_ABSENT;
}

static void fail_all(struct io_list *list, int error)
{
	while (list->first) {
		struct engine_io *io = io_list_take(list);

		io->done(io, error);
	}
}

static void end_connecting(struct remote_engine *e, int error)
{
	if (e->nbd)
		handle_drop(e);
	e->stage = STAGE_OVER;
	e->over_error = error;
}

static void foreign(struct remote_engine *e)
{
	store_relaxed(&e->link, ENGINE_FOREIGN);
	end_connecting(e, -ESTALE);
}

/* Without its handle nobody touches the buffers of what was sent. */
static void cancel_all(struct remote_engine *e)
{
	store_relaxed(&e->link, ENGINE_GONE);
	end_connecting(e, -ECANCELED);
	fail_all(&e->under_way, -ECANCELED);
	fail_all(&e->waiting, -ECANCELED);
}

static void up(struct remote_engine *e)
{
	e->stage = STAGE_UP;
	e->backoff = 0;
	add_relaxed(&e->reconnects, 1);
	store_relaxed(&e->link, ENGINE_UP);
}

/* Called by libnbd in the thread. *ERROR: an errno. Returns 1: libnbd may forget it. */
static int checked(void *opaque, int *error)
{
	struct remote_engine *e = opaque;

	e->check_error = -*error;
	return 1;
}

/*
 * The same. What was lost with its connection, or refused by a server that ends, stays under way
 * until the connection is seen to be gone.
 */
static int finished(void *opaque, int *error)
{
	struct engine_io *io = opaque;
	struct remote_engine *e = remote_of(io->engine);

	if (*error == ENOTCONN || *error == ESHUTDOWN)
		return 1;
	io_list_remove(&e->under_way, io);
	io->done(io, -*error);
	return 1;
}

/* False: the connection is no good. */
static bool send_one(struct remote_engine *e, struct engine_io *io)
{
	nbd_completion_callback callback = {.callback = finished, .user_data = io};

	if (io->op == ENGINE_FLUSH && lib.nbd_can_flush(e->nbd) == 0) {
		io->done(io, 0);
		return true;
	}
	/* First, as it may be finished when the call returns. */
	io_list_put(&e->under_way, io);
	if (io->op == ENGINE_READ)
		return lib.nbd_aio_pread(e->nbd, io->buf, io->len, io->offset, callback, 0) >= 0;
	if (io->op == ENGINE_WRITE)
		return lib.nbd_aio_pwrite(e->nbd, io->buf, io->len, io->offset, callback, 0) >= 0;
	return lib.nbd_aio_flush(e->nbd, callback, 0) >= 0;
}

static void send_all(struct remote_engine *e)
{
	while (e->waiting.first)
		if (!send_one(e, io_list_take(&e->waiting)))
			return disconnected(e);
}

static void begin_connecting(struct remote_engine *e)
{
	uint64_t now = os_now();

	if (now < e->retry_at)
		return;
	e->nbd = handle_new();
	if (!e->nbd || lib.nbd_aio_connect_uri(e->nbd, e->uri) < 0)
		return disconnected(e);
	e->checked_by = now + CONNECT_MS * NS_PER_MS;
	e->stage = STAGE_CONNECTING;
}

static void begin_checking(struct remote_engine *e)
{
	nbd_completion_callback callback = {.callback = checked, .user_data = e};

	if (!__atomic_load_n(&e->identity, __ATOMIC_ACQUIRE))
		return up(e);
	if (lib.nbd_get_size(e->nbd) < (int64_t)e->engine.size || lib.nbd_is_read_only(e->nbd) != 0)
		return foreign(e);
	e->check_error = -EINPROGRESS;
	e->stage = STAGE_CHECKING;
	if (lib.nbd_aio_pread(e->nbd, e->check, sizeof(e->check), 0, callback, 0) < 0)
		disconnected(e);
}

static void end_checking(struct remote_engine *e)
{
	const void *identity = __atomic_load_n(&e->identity, __ATOMIC_ACQUIRE);

	if (e->check_error == -EINPROGRESS)
		return;
	if (e->check_error < 0)
		disconnected(e);
	else if (memcmp(e->check, identity, sizeof(e->check)) != 0)
		foreign(e);
	else
		up(e);
}

static bool is_lost(const struct remote_engine *e)
{
	return lib.nbd_aio_is_dead(e->nbd) != 0 || lib.nbd_aio_is_closed(e->nbd) != 0;
}

static void advance(struct remote_engine *e)
{
	bool late = e->stage != STAGE_UP && os_now() >= e->checked_by;

	if (e->nbd && (is_lost(e) || late))
		return disconnected(e);
	switch (e->stage) {
	case STAGE_ABSENT:
		return begin_connecting(e);
	case STAGE_CONNECTING:
		if (lib.nbd_aio_is_ready(e->nbd) > 0)
			begin_checking(e);
		return;
	case STAGE_CHECKING:
		return end_checking(e);
	case STAGE_UP:
		return send_all(e);
	case STAGE_OVER:
		return fail_all(&e->waiting, e->over_error);
	}
}

/* Both lists are in order of arrival, so of their deadlines. */
static void expire(struct remote_engine *e)
{
	uint64_t now = os_now();

	if (e->under_way.first && e->under_way.first->deadline <= now)
		disconnected(e);
	while (e->waiting.first && e->waiting.first->deadline <= now) {
		struct engine_io *io = io_list_take(&e->waiting);

		io->done(io, -ETIMEDOUT);
	}
}

/* ms until there is something to do without being told; -1: nothing. */
static int time_left(const struct remote_engine *e)
{
	uint64_t now = os_now(), next = UINT64_MAX;

	if (e->waiting.first)
		next = e->waiting.first->deadline;
	if (e->under_way.first)
		next = min_u64(next, e->under_way.first->deadline);
	if (e->stage == STAGE_ABSENT)
		next = min_u64(next, e->retry_at);
	if (e->stage == STAGE_CONNECTING || e->stage == STAGE_CHECKING)
		next = min_u64(next, e->checked_by);
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)min_u64(div_round_up(next - now, NS_PER_MS), INT_MAX);
}

static void notify(struct remote_engine *e, unsigned int direction, short revents)
{
	/* What comes of it, advance() sees. */
	if (revents & ~POLLOUT && direction & LIBNBD_AIO_DIRECTION_READ)
		lib.nbd_aio_notify_read(e->nbd);
	else if (revents & ~POLLIN && direction & LIBNBD_AIO_DIRECTION_WRITE)
		lib.nbd_aio_notify_write(e->nbd);
}

static void wait_for_events(struct remote_engine *e)
{
	struct pollfd fds[2] = {{.fd = e->event, .events = POLLIN}, {.fd = -1}};
	unsigned int direction = 0;
	uint64_t ignored;

	if (e->nbd) {
		direction = lib.nbd_aio_get_direction(e->nbd);
		fds[1].fd = lib.nbd_aio_get_fd(e->nbd);
		fds[1].events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
					(direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
	}
	if (poll(fds, 2, time_left(e)) <= 0)
		return;
	if (fds[0].revents && read(e->event, &ignored, sizeof(ignored)) < 0)
		return;
	if (fds[1].revents)
		notify(e, direction, fds[1].revents);
}

static bool take_arrived(struct remote_engine *e)
{
	bool stop, cancel;

	pthread_mutex_lock(&e->lock);
	io_list_move(&e->waiting, &e->arrived);
	stop = e->stop;
	cancel = e->cancel;
	pthread_mutex_unlock(&e->lock);
	if (cancel && e->over_error != -ECANCELED)
		cancel_all(e);
	return !stop;
}

static void *remote_thread(void *opaque)
{
	struct remote_engine *e = opaque;

	os_thread_name("zcram-backing");
	if (e->begin_thread)
		e->begin_thread(e->opaque);
	while (take_arrived(e)) {
		enum stage before;

		do {
			before = e->stage;
			advance(e);
		} while (e->stage != before);
		expire(e);
		wait_for_events(e);
	}
	return NULL;
}

static void raise_event(const struct remote_engine *e)
{
	uint64_t one = 1;

	while (write(e->event, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void remote_submit(struct engine *engine, struct engine_io *io)
{
	struct remote_engine *e = remote_of(engine);
	uint64_t deadline = os_now() + e->patience;

	pthread_mutex_lock(&e->lock);
	for (struct engine_io *next; io; io = next) {
		next = io->next;
		io->engine = engine;
		io->deadline = deadline;
		io_list_put(&e->arrived, io);
	}
	pthread_mutex_unlock(&e->lock);
	raise_event(e);
}

static enum engine_link remote_link(const struct engine *engine, uint64_t *ret_reconnects)
{
	const struct remote_engine *e = (const struct remote_engine *)(const void *)engine;

	*ret_reconnects = load_relaxed(&e->reconnects);
	return load_relaxed(&e->link);
}

static void remote_identify(struct engine *engine, const void *header)
{
	__atomic_store_n(&remote_of(engine)->identity, header, __ATOMIC_RELEASE);
}

static void remote_free(struct remote_engine *e)
{
	if (e->nbd) {
		lib.nbd_aio_disconnect(e->nbd, 0); /* politely, if it can be said at once */
		lib.nbd_close(e->nbd);
	}
	if (e->event >= 0)
		close(e->event);
	pthread_mutex_destroy(&e->lock);
	free(e->uri);
	free(e);
}

static void remote_cancel(struct engine *engine)
{
	struct remote_engine *e = remote_of(engine);

	pthread_mutex_lock(&e->lock);
	e->cancel = true;
	pthread_mutex_unlock(&e->lock);
	raise_event(e);
}

static void remote_close(struct engine *engine)
{
	struct remote_engine *e = remote_of(engine);

	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_mutex_unlock(&e->lock);
	raise_event(e);
	pthread_join(e->thread, NULL);
	remote_free(e);
}

static const struct engine_ops remote_ops = {
	.submit = remote_submit,
	.close = remote_close,
	.cancel = remote_cancel,
	.link = remote_link,
	.identify = remote_identify,
};

static int said(char *why)
{
	int error = lib.nbd_get_errno();
	const char *text = lib.nbd_get_error();

	return engine_why(why, error > 0 ? -error : -EIO, "%s", text ? text : "no connection");
}

static int connect_first(struct remote_engine *e, char *why)
{
	int64_t size, block;

	e->nbd = handle_new();
	if (!e->nbd || lib.nbd_connect_uri(e->nbd, e->uri) < 0)
		return said(why);
	size = lib.nbd_get_size(e->nbd);
	block = lib.nbd_get_block_size(e->nbd, LIBNBD_SIZE_MINIMUM);
	if (size < 0 || block < 0)
		return said(why);
	if (lib.nbd_is_read_only(e->nbd) != 0)
		return engine_why(why, -EROFS, "the export is read-only");
	e->engine.block = (uint32_t)max_u64((uint64_t)block, REMOTE_BLOCK_MIN);
	e->engine.size = (uint64_t)size & ~(uint64_t)(e->engine.block - 1);
	return 0;
}

int engine_open_remote(const struct engine_options *options, struct engine **ret_engine, char *why)
{
	struct remote_engine *e;
	int r = load(why);

	if (r < 0)
		return r;
	e = calloc(1, sizeof(*e));
	if (!e)
		return engine_why(why, -ENOMEM, "no memory");
	e->engine.ops = &remote_ops;
	e->engine.remote = true;
	e->stage = STAGE_UP;
	e->patience = options->patience * NS_PER_MS;
	e->begin_thread = options->begin_thread;
	e->opaque = options->opaque;
	pthread_mutex_init(&e->lock, NULL);
	e->uri = strdup(options->where);
	e->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!e->uri || e->event < 0)
		r = engine_why(why, -ENOMEM, "no memory");
	else
		r = connect_first(e, why);
	if (r == 0) {
		r = thread_begin(&e->thread, remote_thread, e);
		if (r < 0)
			engine_why(why, r, "no thread: %s", strerror(-r));
	}
	if (r < 0) {
		remote_free(e);
		return r;
	}
	*ret_engine = &e->engine;
	return 0;
}
