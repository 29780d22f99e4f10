/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/protocol.h"

#include "common/os.h"

#define BACKLOG 16

/* Lock the directory that PATH is in. Returns its descriptor: closing it unlocks it. */
static int lock_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int fd, r;

	if (slash == NULL)
		parent = strdup(".");
	else
		parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (parent == NULL)
		return -ENOMEM;
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : fd;
	free(parent);
	while (fd >= 0 && flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		r = -errno;
		close(fd);
		break;
	}
	return r;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Does anybody serve the socket at ADDRESS? 0, or -EADDRINUSE: yes. */
static int check_stale(const struct sockaddr_un *address)
{
	int fd = new_socket(), r = -EADDRINUSE;

	if (fd < 0)
		return fd;
	/* With a full queue it is live, and so is one of another type. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno != EAGAIN && errno != EPROTOTYPE)
		r = errno == ECONNREFUSED ? 0 : -errno;
	close(fd);
	return r;
}

/* Make room for a socket: only another one, and only one that nobody serves, is taken away. */
static int make_room(const struct sockaddr_un *address)
{
	struct stat st;
	int r;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	r = check_stale(address);
	if (r < 0)
		return r;
	return unlink(address->sun_path) < 0 ? -errno : 0;
}

/* The mode that a socket has before it is bound is that of its file, less the umask. */
static int bind_and_listen(int fd, const struct sockaddr_un *address)
{
	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	if (listen(fd, BACKLOG) < 0) {
		int r = -errno;

		unlink(address->sun_path);
		return r;
	}
	return 0;
}

static int make_locked(const struct sockaddr_un *address, struct control_socket *socket)
{
	struct stat st;
	int r;

	r = make_room(address);
	if (r < 0)
		return r;
	socket->fd = new_socket();
	if (socket->fd < 0)
		return socket->fd;
	r = bind_and_listen(socket->fd, address);
	if (r == 0 && lstat(address->sun_path, &st) < 0)
		r = -errno;
	if (r < 0) {
		close(socket->fd);
		return r;
	}
	socket->dev = st.st_dev;
	socket->ino = st.st_ino;
	return 0;
}

static int make(const struct sockaddr_un *address, struct control_socket *socket)
{
	int r, parent = lock_parent(socket->path);

	if (parent < 0)
		return parent;
	r = make_locked(address, socket);
	close(parent);
	return r;
}

/*
 * Wait until who serves at ADDRESS has gone: a client that he has not looked at is then told of it,
 * and so is one that he has. False: he has not.
 */
static bool wait_gone(const struct sockaddr_un *address, int milliseconds)
{
	struct pollfd p = {.fd = new_socket(), .events = 0};
	bool gone;

	if (p.fd < 0)
		return false;
	gone = milliseconds > 0 &&
	       (connect(p.fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
		poll(&p, 1, milliseconds) > 0);
	close(p.fd);
	return gone;
}

/* Milliseconds until DEADLINE, as os_now() has it. */
static int left(uint64_t deadline)
{
	uint64_t now = os_now();

	return now < deadline ? (int)((deadline - now + 999999) / 1000000) : 0;
}

int socket_make(const char *path, unsigned int wait, struct control_socket *ret_socket)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control_socket socket = {.path = path};
	uint64_t deadline = os_now() + wait * UINT64_C(1000000);
	int r;

	/* An empty name would be taken for one that is in no file system. */
	if (*path == '\0')
		return -ENOENT;
	if (strlen(path) > CONTROL_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	r = make(&address, &socket);
	/* It may drop its clients, us among them, some time before it is gone. */
	while (r == -EADDRINUSE && wait_gone(&address, left(deadline)))
		r = make(&address, &socket);
	if (r == 0)
		*ret_socket = socket;
	return r;
}

int socket_take_over(const struct control_socket *socket)
{
	return listen(socket->fd, BACKLOG) < 0 ? -errno : 0;
}

void socket_end(struct control_socket *socket, bool remove)
{
	int parent = remove ? lock_parent(socket->path) : -1;
	struct stat st;

	/* Not closed before: the number of a file that is gone could be another's by now. */
	if (parent >= 0 && lstat(socket->path, &st) == 0 && st.st_dev == socket->dev &&
	    st.st_ino == socket->ino)
		unlink(socket->path);
	close(socket->fd);
	if (parent >= 0)
		close(parent);
}
