/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests in order of their arrival; no lock of its own. */
#ifndef ZCRAM_BACKING_LIST_H
#define ZCRAM_BACKING_LIST_H

#include "backing/engine.h"

struct io_list {
	struct engine_io *first, *last;
};

static inline void io_list_put(struct io_list *list, struct engine_io *io)
{
	io->next = NULL;
	io->previous = list->last;
	if (list->last)
		list->last->next = io;
	else
		list->first = io;
	list->last = io;
}

static inline void io_list_remove(struct io_list *list, struct engine_io *io)
{
	if (io->previous)
		io->previous->next = io->next;
	else
		list->first = io->next;
	if (io->next)
		io->next->previous = io->previous;
	else
		list->last = io->previous;
}

/* The first, which there is. */
static inline struct engine_io *io_list_take(struct io_list *list)
{
	struct engine_io *io = list->first;

	io_list_remove(list, io);
	return io;
}

/* All of FROM behind what is in TO. */
static inline void io_list_move(struct io_list *to, struct io_list *from)
{
	while (from->first)
		io_list_put(to, io_list_take(from));
}

#endif
