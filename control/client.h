/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * client: how the programs talk to a running device, over its control socket. control/protocol.h
 * says in what words.
 *
 * A client belongs to one thread at a time. All of it allocates; nothing of it logs.
 */
#ifndef ZCRAM_CONTROL_CLIENT_H
#define ZCRAM_CONTROL_CLIENT_H

#include <sys/types.h>

struct json_object;
struct control_client;

/*
 * Connect to the socket at PATH. TIMEOUT_MS is for connecting, and for each call on it: milliseconds
 * (< 0: for ever). -ENOENT: there is none; -ECONNREFUSED: there is one, and nobody serves it;
 * -EACCES; -ENOTSOCK: it is something else; -ENAMETOOLONG; -ETIMEDOUT; -ENOMEM, -EMFILE.
 */
int control_connect(const char *path, int timeout_ms, struct control_client **ret_client);

/* NULL: nothing. */
void control_close(struct control_client *client);

/* From now on: as in control_connect(). For a command that takes long. */
void control_set_timeout(struct control_client *client, int timeout_ms);

/* The server's process id, as the kernel knows it; of a process that has ended, or not ours: 0. */
pid_t control_peer(const struct control_client *client);

/*
 * Send a command and wait for its answer. ARGUMENTS: an object, borrowed, or NULL for none.
 * 0: *ret_result is the answer's result, an object that the caller puts.
 *
 * A negative errno that the server gave: *ret_message, unless RET_MESSAGE is NULL, is its line, to
 * be freed; the connection stays usable, unless the server has closed it behind the line.
 * One that came up on the way: *ret_message is NULL. -ETIMEDOUT; -EMSGSIZE: the request is longer
 * than a server takes; -EPROTO: what came is no answer; -ECONNRESET: the server went away; -ENOMEM.
 * After any of these but -EMSGSIZE the connection is of no more use, and calls give -ENOTCONN.
 */
int control_call(struct control_client *client, const char *command, struct json_object *arguments,
		 struct json_object **ret_result, char **ret_message);

/*
 * The same, with a descriptor for the server. FD is taken over in any case, and closed before the
 * answer is waited for: who has the other end of a socket sees when the server has closed it.
 */
int control_call_with(struct control_client *client, const char *command,
		      struct json_object *arguments, int fd, struct json_object **ret_result,
		      char **ret_message);

/*
 * The same in two halves, for who has other things to wait for between them: send a command; and, when
 * control_fd() can be read from, take its answer. Both wait as control_call() does, which is to say
 * not at all for what is short and there.
 */
int control_send(struct control_client *client, const char *command, struct json_object *arguments);
int control_receive(struct control_client *client, struct json_object **ret_result,
		    char **ret_message);
int control_fd(const struct control_client *client);

#endif
