/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/ask.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control/client.h"
#include "control/protocol.h"

/*
 * For a server that is about to serve to say so. What it does then is touch and lock its memory;
 * a starved machine may take seconds for that.
 */
#define ANSWER_TIMEOUT_MS 60000

/* Nothing depends on it, and zcramd looks after nothing else meanwhile. */
#define RECOVERED_TIMEOUT_MS 1000

/* One command on a connection of its own; *ret_result is to be put. */
static int ask(const struct rundir *dir, const char *command, int timeout_ms,
	       struct json_object **ret_result)
{
	struct control_client *client;
	int r = control_connect(dir->files[RUNDIR_CONTROL], timeout_ms, &client);

	if (r < 0)
		return r;
	r = control_call(client, command, NULL, ret_result, NULL);
	control_close(client);
	return r;
}

int ask_anything(const struct rundir *dir)
{
	struct json_object *result;
	int r = ask(dir, "stat", ANSWER_TIMEOUT_MS, &result);

	if (r == 0)
		json_object_put(result);
	return r;
}

int ask_recovered(const struct rundir *dir, uint64_t *ret_pages, char ret_version[ASK_VERSION_SIZE])
{
	struct json_object *result, *stats, *pages, *version;
	int r = ask(dir, "stat", RECOVERED_TIMEOUT_MS, &result);

	if (r < 0)
		return r;
	if (json_object_object_get_ex(result, "stats", &stats) &&
	    json_object_object_get_ex(stats, "pages_recovered", &pages) &&
	    json_object_object_get_ex(result, "version", &version) && control_is_text(version)) {
		*ret_pages = json_object_get_uint64(pages);
		snprintf(ret_version, ASK_VERSION_SIZE, "%s", json_object_get_string(version));
	} else {
		r = -EPROTO;
	}
	json_object_put(result);
	return r;
}

static bool read_number(struct json_object *object, const char *key, int *ret_number)
{
	struct json_object *number;

	if (!json_object_object_get_ex(object, key, &number) ||
	    !json_object_is_type(number, json_type_int))
		return false;
	*ret_number = json_object_get_int(number);
	return true;
}

static int read_numbers(struct json_object *result, struct ask_server *server)
{
	struct json_object *list;

	if (!json_object_object_get_ex(result, "connections", &list) ||
	    !json_object_is_type(list, json_type_array) ||
	    json_object_array_length(list) > CONF_MAX_CONNECTIONS)
		return -EPROTO;
	server->count = (unsigned int)json_object_array_length(list);
	for (unsigned int i = 0; i < server->count; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		if (!read_number(one, "region", &server->numbers[i].memory) ||
		    !read_number(one, "ring", &server->numbers[i].ring) ||
		    !read_number(one, "socket", &server->numbers[i].server))
			return -EPROTO;
	}
	return server->count > 0 ? 0 : -EPROTO;
}

/* The server of CLIENT; it answers after its pidfd was opened, so that is its. */
static int ask_it(struct control_client *client, struct ask_server *server)
{
	struct json_object *result;
	int r;

	server->pid = control_peer(client);
	server->pidfd = (int)syscall(SYS_pidfd_open, server->pid, 0);
	if (server->pidfd < 0)
		return -errno;
	r = control_call(client, "adopt", NULL, &result, NULL);
	if (r == 0) {
		r = read_numbers(result, server);
		json_object_put(result);
	} else if (r == -EOPNOTSUPP) {
		r = 0;
	}
	if (r < 0)
		close(server->pidfd);
	return r;
}

int ask_server(const struct rundir *dir, struct ask_server *ret_server)
{
	struct control_client *client;
	int r = control_connect(dir->files[RUNDIR_CONTROL], ANSWER_TIMEOUT_MS, &client);

	*ret_server = (struct ask_server){.pidfd = -1};
	if (r < 0)
		return r;
	r = ask_it(client, ret_server);
	control_close(client);
	return r;
}
