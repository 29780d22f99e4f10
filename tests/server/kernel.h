/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kernel: what the kernel's nbd client is to zcramd, for a zcramd that is linked with tests/server/attach.c
 * instead of attach/: it has one device, keeps the sockets that it is given, and, as the kernel does,
 * replaces a socket only by another one when it is dead. Its requests are the test's.
 *
 * Answered in a thread of its own, which also takes what zcramd tells the service manager. What goes wrong of
 * itself ends the program (CHECK).
 */
#ifndef ZCRAM_TESTS_SERVER_KERNEL_H
#define ZCRAM_TESTS_SERVER_KERNEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define KERNEL_CONNECTIONS 4
#define KERNEL_INDEX	   7

enum kernel_op { KERNEL_CONNECT, KERNEL_RECONNECT, KERNEL_DISCONNECT, KERNEL_FIND, KERNEL_USE };

/* A question, with sockets where it has any, and its answer: a message each, on a connection of its own. */
struct kernel_question {
	enum kernel_op op;
	char identifier[64];
};

struct kernel_answer {
	int r; /* of FIND: the index */
	char identifier[64];
};

struct kernel {
	char path[96], notify_path[96];
	int listener, notify, stop;
	int ready; /* eventfd: zcramd has said READY=1 */
	pthread_t thread;
	pthread_mutex_t lock; /* what follows */
	bool attached;
	bool unknown_use; /* what the device is used for cannot be read */
	char identifier[64];
	unsigned int count;
	int clients[KERNEL_CONNECTIONS];
	unsigned int replaced; /* sockets, by others */
};

/* Listen in directory DIR, and say so to programs that are started from now on: $ZCRAM_TEST_KERNEL. */
void kernel_init(struct kernel *kernel, const char *dir);
void kernel_fini(struct kernel *kernel);

/* The socket of a connection; it may be replaced by another one. -1: there is none. */
int kernel_client(struct kernel *kernel, unsigned int i);

unsigned int kernel_replaced(struct kernel *kernel);
bool kernel_is_attached(struct kernel *kernel);
void kernel_hide_use(struct kernel *kernel, bool hide);

#endif
