/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/nbd-netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "attach/attach.h"
#include "attach/internal.h"

/* A conversation with the kernel's nbd client. */
struct link {
	struct nl_sock *sock;
	int family;
	int index; /* from the answer; -1: none came */
	int error; /* the kernel's, negative errno */
};

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *message, void *opaque)
{
	struct link *link = opaque;

	/* libnl's own numbers would lose most of the kernel's. */
	link->error = message->error;
	return NL_STOP;
}

static int on_answer(struct nl_msg *message, void *opaque)
{
	struct nlattr *attributes[NBD_ATTR_MAX + 1];
	struct link *link = opaque;

	if (genlmsg_parse(nlmsg_hdr(message), 0, attributes, NBD_ATTR_MAX, NULL) == 0 &&
	    attributes[NBD_ATTR_INDEX] != NULL)
		link->index = (int)nla_get_u32(attributes[NBD_ATTR_INDEX]);
	return NL_OK;
}

static int say_nl(int error, const char *what, char **why)
{
	return attach_why(why, error == -NLE_NOMEM ? -ENOMEM : -EIO, "netlink: %s: %s", what,
			  nl_geterror(error));
}

static int open_link(struct link *link, char **why)
{
	int r;

	*link = (struct link){.sock = nl_socket_alloc(), .index = -1};
	if (link->sock == NULL)
		return attach_why(why, -ENOMEM, "netlink: no memory");
	r = genl_connect(link->sock);
	if (r < 0) {
		nl_socket_free(link->sock);
		return say_nl(r, "no connection", why);
	}
	link->family = genl_ctrl_resolve(link->sock, NBD_GENL_FAMILY_NAME);
	if (link->family < 0) {
		nl_socket_free(link->sock);
		return attach_why(why, -ENODEV,
				  "the kernel has no nbd client loaded: run `modprobe nbd`");
	}
	nl_socket_modify_err_cb(link->sock, NL_CB_CUSTOM, on_error, link);
	nl_socket_modify_cb(link->sock, NL_CB_VALID, NL_CB_CUSTOM, on_answer, link);
	return 0;
}

int attach_netlink_probe(char **why)
{
	struct link link;
	int r;

	r = open_link(&link, why);
	if (r == 0)
		nl_socket_free(link.sock);
	return r;
}

static struct nl_msg *new_message(const struct link *link, uint8_t command)
{
	struct nl_msg *message = nlmsg_alloc();

	if (message != NULL && genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, link->family, 0, 0,
					   command, NBD_GENL_VERSION) == NULL) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

/* Send MESSAGE, which is freed, and wait for the kernel's word. Negative errno of the kernel's. */
static int transact(struct link *link, struct nl_msg *message, char **why)
{
	int r = nl_send_auto(link->sock, message);

	nlmsg_free(message);
	/* Up to the acknowledgement, which comes behind the answer. */
	if (r >= 0)
		r = nl_wait_for_ack(link->sock);
	if (link->error < 0)
		return link->error;
	return r < 0 ? say_nl(r, "no answer", why) : 0;
}

static int put_sockets(struct nl_msg *message, const int *fds, size_t count)
{
	struct nlattr *list, *item;

	list = nla_nest_start(message, NBD_ATTR_SOCKETS);
	if (list == NULL)
		return -NLE_NOMEM;
	for (size_t i = 0; i < count; i++) {
		item = nla_nest_start(message, NBD_SOCK_ITEM);
		if (item == NULL || nla_put_u32(message, NBD_SOCK_FD, (uint32_t)fds[i]))
			return -NLE_NOMEM;
		nla_nest_end(message, item);
	}
	nla_nest_end(message, list);
	return 0;
}

static int put_index(struct nl_msg *message, const struct attach_request *request)
{
	return nla_put_u32(message, NBD_ATTR_INDEX, (uint32_t)request->index);
}

static int put_connection(struct nl_msg *message, const struct attach_request *request)
{
	int r = 0;

	if (request->index >= 0)
		r = put_index(message, request);
	if (r == 0)
		r = nla_put_u64(message, NBD_ATTR_SIZE_BYTES, request->size);
	if (r == 0)
		r = nla_put_u64(message, NBD_ATTR_BLOCK_SIZE_BYTES, ATTACH_BLOCK_SIZE);
	if (r == 0)
		r = nla_put_u64(message, NBD_ATTR_SERVER_FLAGS, request->flags);
	/* Always: the device may have had another before. */
	if (r == 0)
		r = nla_put_u64(message, NBD_ATTR_TIMEOUT, request->timeout);
	if (r == 0)
		r = nla_put_u64(message, NBD_ATTR_DEAD_CONN_TIMEOUT, request->dead_timeout);
	if (r == 0)
		r = nla_put_string(message, NBD_ATTR_BACKEND_IDENTIFIER, request->identifier);
	return r == 0 ? put_sockets(message, request->fds, request->fd_count) : r;
}

static int put_reconnection(struct nl_msg *message, const struct attach_request *request)
{
	int r = put_index(message, request);

	if (r == 0)
		r = nla_put_string(message, NBD_ATTR_BACKEND_IDENTIFIER, request->identifier);
	return r == 0 ? put_sockets(message, request->fds, request->fd_count) : r;
}

/* In words that help, where the kernel's number has a meaning here. */
static int say_kernel(int r, const char *what, int index, char **why)
{
	if (r == -EPERM)
		return attach_why(why, r, "%s: not permitted: it takes CAP_SYS_ADMIN: run as root",
				  what);
	if (index < 0)
		return attach_why(why, r,
				  "%s: %s: the kernel has no /dev/nbdN to give: its log may say "
				  "more; see also the nbds_max parameter of its nbd module",
				  what, strerrordesc_np(-r));
	if (r == -EBUSY)
		return attach_why(why, r, "%s nbd%d: it is in use by something else", what, index);
	return attach_why(why, r, "%s nbd%d: %s: the kernel's log may say more", what, index,
			  strerrordesc_np(-r));
}

/*
 * Send COMMAND with what PUT takes of REQUEST, and wait for the kernel's word. WHAT is done, in words.
 * *ret_index is -1 where the kernel names none.
 */
static int order(uint8_t command, int (*put)(struct nl_msg *, const struct attach_request *),
		 const struct attach_request *request, const char *what, int *ret_index, char **why)
{
	struct nl_msg *message;
	struct link link;
	int r;

	r = open_link(&link, why);
	if (r < 0)
		return r;
	message = new_message(&link, command);
	if (message == NULL || put(message, request) < 0) {
		nlmsg_free(message);
		r = attach_why(why, -ENOMEM, "netlink: no room for the request");
	} else {
		r = transact(&link, message, why);
	}
	if (link.error < 0)
		say_kernel(r, what, request->index, why);
	nl_socket_free(link.sock);
	*ret_index = link.index;
	return r;
}

int attach_netlink_connect(const struct attach_request *request, int *ret_index, char **why)
{
	int index, r = order(NBD_CMD_CONNECT, put_connection, request, "attaching", &index, why);

	if (r == 0 && index < 0)
		r = attach_why(why, -EPROTO,
			       "netlink: the kernel attached a device and does not say which");
	if (r == 0)
		*ret_index = index;
	return r;
}

int attach_netlink_disconnect(int index, char **why)
{
	const struct attach_request request = {.index = index};

	return order(NBD_CMD_DISCONNECT, put_index, &request, "detaching", &index, why);
}

int attach_netlink_reconnect(int index, const char *identifier, int socket, char **why)
{
	const struct attach_request request = {
		.index = index,
		.identifier = identifier,
		.fds = &socket,
		.fd_count = 1,
	};

	return order(NBD_CMD_RECONFIGURE, put_reconnection, &request, "connecting anew", &index,
		     why);
}
