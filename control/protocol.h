/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * protocol: what is spoken on a control socket, by both sides.
 *
 * A Unix stream socket; one JSON object a line, both ways. A request, and the two kinds of answer:
 *
 *	{"version":1,"command":"stat","arguments":{...}}     (arguments may be left out)
 *	{"version":1,"result":{...}}
 *	{"version":1,"error":{"errno":"EINVAL","message":"one line"}}
 *
 * Requests are answered in order: a request behind one that takes long waits for it. The commands:
 *
 *	stat     {"name":"zcram0" or null,"pid":N,"version":"0.1.0","size":N,
 *	          "algorithm":"zstd(level=1)","filter":"auto","compact":"auto","mem-limit":N,
 *	          "allocator":"zspage" (it does not change),
 *	          "recompress-age":N (seconds),"recompress-cpu":N (percent),
 *	          "writeback-at":N (percent),"writeback-age":N (seconds),"writeback-limit":N,
 *	          "streams":N,"stats":{...}}: the settings as they are in force, and all statistics;
 *	          with a pool that outlives the server also "uuid":"..."; "ages":[{"seconds":N,
 *	          "pages":N},...], the pages in the pool by how long they have not been touched, at
 *	          least: those of the last class are idle; with a backing store "writeback":{"where":
 *	          "...","state":"ready","error":"EIO"}: the state is ready, gone (the export is, or
 *	          it was missing from the start, with an error; it is looked for), failed (a write, with that error; null: none has) or foreign (the export
 *	          came back with other content)
 *	map      arguments {"cells":N}, 1 to 4096: {"live":[...],"held":[...]}: the part of the arena
 *	         that was ever used, in at most so many equal buckets, and of each the share that
 *	         cells with objects fill and the share that has memory, 0 to 255
 *	blocks   arguments {"from":N}: what the pages from N on are: {"from":M,"blocks":"p.0h.f...s.."}:
 *	         three characters for each of the next pages from M on, which is N, or further where
 *	         nothing was ever in use: "s" of one word, "p" in the pool, "h" the same, stored as it is,
 *	         "w" in the backing store, "d" damaged, "." nothing; "r" compressed again, "n" tried, and
 *	         not made smaller; its class of ages, in hexadecimal; or "." where there is none of these. As many as the
 *	         server likes; at the end of the device M is its pages, and the text is empty
 *	compact  {"before":{"pool":N},"after":{"pool":N}}, when it is done. EBUSY: this or another
 *	         that takes long is under way
 *	idle     arguments {"seconds":N}: mark the pages idle that have not been touched for so long,
 *	         0: all: {"pages":N}, those that are idle then. EINVAL: N is too large; EBUSY as above
 *	recompress  arguments {"type":"huge","threshold":N,"max-pages":N,"algorithm":"zstd(level=9)"},
 *	         any of them: compress pages again, all or those that are idle, huge or huge_idle,
 *	         stored in at least so many bytes: {"pages":N,"saved":N,"bytes":N}: pages that were
 *	         tried, those of them that take less memory now, and how much. EBUSY as above;
 *	         or the server ends; EINVAL: there is no algorithm to do it by
 *	writeback  arguments {"type":"idle","threshold":N,"max-pages":N,"pages":[[A,B],...]}, any of
 *	         them: write pages to the backing store: all or those that are idle, huge, huge_idle or
 *	         incompressible; stored in at least so many bytes; of these ranges, both ends included:
 *	         {"pages":N,"bytes":N}, what was written, compressed. EBUSY as above; EOPNOTSUPP: there
 *	         is no backing store; ENOSPC: it is full; EIO, ENOTCONN: it has failed, or is gone: what
 *	         was not written stays in the pool
 *	set      arguments {"algorithm":"lz4","filter":"none","compact":"off","mem-limit":"200M",
 *	         "recompress-age":"15m","recompress-cpu":"10","writeback-at":"90","writeback-age":"15m",
 *	         "writeback-limit":"0"}, any of them, as the plugin's
 *	         parameters are written, but that a mem-limit of "0" takes the limit away; all or
 *	         nothing: {}
 *	handover {}, when the server has finished what it had received, and given the pool up: it ends,
 *	         and another can go on with its connections. EBUSY: one is under way; EOPNOTSUPP:
 *	         it is not a server that another could go on for
 *	adopt    {"connections":[{"region":N,"ring":N,"socket":N},...]}: the numbers that the
 *	         descriptors of its connections have in the server. The asking process may take them
 *	         with pidfd_getfd(2) from then on, until the server ends or another one asks.
 *	         EOPNOTSUPP: it has none
 *
 *	save     {"objects":N,"same":N,"damaged":N,"payload":N}, when the content has been written to
 *	         the descriptor that was sent with the request: pages compressed, of one word, and
 *	         that cannot be read; bytes of the first. EBUSY: as for compact
 *	restore  arguments {"force":true} or none: the same, when the content has been read from the
 *	         descriptor, to its end. ENOTEMPTY: there is some, and force is not given; EINVAL: it
 *	         is of another size; EBADMSG, EPROTO, ENODATA: it is not sound; ENOSPC. What it says
 *	         after the first change, it says of a device that it has left empty
 *
 * The descriptor of save and restore is one end of a connected stream socket, and comes with the first
 * byte of the request (SCM_RIGHTS). What goes through it is an image (docs/image.md).
 *
 * zcramd has a socket of its own, which is asked about the server rather than the device:
 *
 *	status   {"name":"zcram0","pid":N,"version":"0.1.0","state":"serving","since":N,
 *	          "device":"/dev/nbd0" or null,"server-pid":N,"server-version":"0.1.0" or null,
 *	          "deaths":N,"restarts":N,"upgrades":N,"last-death":"killed by signal 9 (Killed)" or
 *	          null,"last-restart-us":N}: the state is starting, serving, upgrading, restarting
 *	          (the server has died and is brought back), failing (it has died too often, and the
 *	          device is taken out of use), given-up (the same, and nobody serves any more) or
 *	          stopping, and began at the second since the epoch that is said; counts are of this
 *	          zcramd
 *	upgrade  {"old":{"pid":N,"version":"0.1.0"},"new":{...},"pause-us":N}, when the installed
 *	          zcram-server has taken over from the one that ran; the pause is what requests have
 *	          waited at most. EOPNOTSUPP: the server is nbdkit; EBUSY, EAGAIN: not now; else the old
 *	          one goes on, or, as the message says, has died and is brought back
 *
 * Sizes are bytes; a mem-limit of 0 is none. Members may be added to results in later versions.
 */
#ifndef ZCRAM_CONTROL_PROTOCOL_H
#define ZCRAM_CONTROL_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#define CONTROL_VERSION	     1
#define CONTROL_REQUEST_MAX  ((size_t)64 << 10) /* bytes of a line, without its newline */
#define CONTROL_ANSWER_MAX   ((size_t)1 << 20)
#define CONTROL_CELLS_MAX    4096
#define CONTROL_PATH_MAX     107 /* bytes: sun_path, less the NUL */

#define CONTROL_MESSAGE_SIZE 512

/* What an answer is instead of a result. */
struct control_error {
	int number; /* positive errno */
	char message[CONTROL_MESSAGE_SIZE];
};

/* Write an error; its message is cut to what fits, on one line. Returns -NUMBER. */
int control_error_set(struct control_error *error, int number, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * TEXT, LEN bytes, as it may stand in a message: to BUF, SIZE bytes, with everything but printable
 * ASCII as a question mark, and cut where it is longer. Returns BUF.
 */
const char *control_quote(const char *text, size_t len, char *buf, size_t size);

/*
 * Parse a line of LEN bytes (no newline) that must be one JSON object and nothing more.
 * -EINVAL, with *ret_why a constant; -ENOMEM too.
 */
int control_parse_object(const char *line, size_t len, struct json_object **ret_object,
			 const char **ret_why);

/* "EINVAL" for EINVAL, and back; "EIO" for a number, and EIO for a name, that has no business here.
 */
const char *control_errno_name(int number);
int control_errno_number(const char *name);

/*
 * Add VALUE, which is taken over in any case, to OBJECT. False: for want of memory one of them is
 * NULL, or it could not be added.
 */
bool control_add(struct json_object *object, const char *key, struct json_object *value);

/* Is it a string, and all of it what C takes it for? NULL: no. */
bool control_is_text(struct json_object *value);

/* Is the object's "version" this whole number? */
bool control_version_is(struct json_object *object, int version);

/*
 * Answers, as the server makes them: an object to be put, or NULL for want of memory. RESULT is
 * taken over, in either case.
 */
struct json_object *control_answer_result(struct json_object *result);
struct json_object *control_answer_error(const struct control_error *error);

/*
 * An answer as the client gets it, LEN bytes without the newline. 0: *ret_result, to be put.
 * 1: *ret_error is what the server said. -EPROTO: it is no answer; -ENOMEM.
 */
int control_parse_answer(const char *line, size_t len, struct json_object **ret_result,
			 struct control_error *ret_error);

#endif
