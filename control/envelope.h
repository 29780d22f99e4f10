/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * envelope: what all requests have in common, whoever they are to: a version, a command and its
 * arguments. It knows neither device nor command.
 */
#ifndef ZCRAM_CONTROL_ENVELOPE_H
#define ZCRAM_CONTROL_ENVELOPE_H

#include <stddef.h>

#include "control/protocol.h"

/* As much of what a client wrote as is worth repeating to it. */
#define ENVELOPE_QUOTE_SIZE 64

/* All that are taken. */
struct envelope_commands {
	const char *const *names;
	unsigned int count;
	const char *allowed; /* "give stat or map" */
};

/*
 * Read a line of LEN bytes, without its newline: *ret_command is the place of its command among the
 * names; *ret_arguments an object to be put, or NULL where there are none. A negative errno, which is
 * *ret_error's too, with a message that names what is wrong and what is allowed. Allocates.
 */
int envelope_parse(const char *line, size_t len, const struct envelope_commands *commands,
		   unsigned int *ret_command, struct json_object **ret_arguments,
		   struct control_error *ret_error);

/* For a command that takes none: -EINVAL, and an error as above, where there are arguments. */
int envelope_takes_none(struct json_object *arguments, struct control_error *ret_error);

/* A member's name, or a string, as it may stand in a message: to BUF, which is returned. */
const char *envelope_quote_key(const char *key, char buf[ENVELOPE_QUOTE_SIZE]);
const char *envelope_quote_string(struct json_object *string, char buf[ENVELOPE_QUOTE_SIZE]);

#endif
